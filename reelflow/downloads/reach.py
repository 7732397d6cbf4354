"""Which addresses of the network may be reached for a file that somebody only names: public ones, and those allowed.

An address on the web is typed into a form, or comes from a plan or a redirect. The machine that loads it can reach more
than the one who names it: itself, the router, the PCs beside it, and in a cloud the service that hands out its keys
(169.254.169.254). What a host's name means is looked up once, checked, and the connection goes to that very address: a
name that means another address a moment later leads nowhere else.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import httpcore
import httpx

from reelflow.addresses import HIGHEST_PORT, is_loopback
from reelflow.errors import InputError
from reelflow.transport import tls, useless_proxy
from reelflow.wording import one_line

PRIVATE_VARIABLE = "REELFLOW_PRIVATE_ADDRESSES"
"""Private addresses and networks that may be reached all the same, with commas between them."""

Resolver = Callable[[str, int], Sequence[str]]
"""The addresses of a host, as texts; raises OSError if there are none."""
MOST_TRIED = 4
"""Addresses of one host to which a connection is tried, each for as long as one may take."""
_PUBLIC_6 = IPv6Network("2000::/3")
"""What is assigned to the internet at all."""
_TRANSLATED = IPv6Network("64:ff9b::/96")
"""IPv4 behind NAT64: in a network without IPv4, every site that has no IPv6 is there."""


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, by this machine's own rules.

    Raises:
        OSError: there is none, or no such port, which the system would take for another one.
    """
    if port > HIGHEST_PORT:
        raise OSError(f"There is no port {port}.")
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def is_public(address: str) -> bool:
    """Whether an address is one of the internet; an IPv6 address that stands for an IPv4 one is as that one is."""
    ip = _inner(ipaddress.ip_address(address))
    if isinstance(ip, IPv6Address) and ip not in _PUBLIC_6:
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def _inner(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(ip, IPv4Address):
        return ip
    if ip in _TRANSLATED:
        return IPv4Address(ip.packed[-4:])
    return ip.ipv4_mapped or ip.sixtofour or ip


def allowed_networks() -> tuple[IPv4Network | IPv6Network, ...]:
    """The networks of REELFLOW_PRIVATE_ADDRESSES. Only who runs the machine sets it, not who fills in a form.

    Raises:
        InputError: it names something else.
    """
    names = [name.strip() for name in os.environ.get(PRIVATE_VARIABLE, "").split(",")]
    return tuple(_network(name) for name in names if name)


def _network(name: str) -> IPv4Network | IPv6Network:
    try:
        return ipaddress.ip_network(name, strict=False)
    except ValueError:
        raise InputError(
            f"{one_line(name)!r} in {PRIVATE_VARIABLE} is not an IP address or network. Write those without a port and "
            "with commas between them, such as 192.168.1.20, 10.0.0.0/8."
        ) from None


@dataclass(frozen=True)
class Reach:
    """Which addresses may be reached.

    Attributes:
        allowed: Networks that are not public and may be reached all the same.
        resolve: How a host's name is looked up.
        plain_http: Whether what is not encrypted may come from the internet, too; else only from an allowed network.
    """

    allowed: tuple[IPv4Network | IPv6Network, ...] = field(default_factory=allowed_networks)
    resolve: Resolver = resolve
    plain_http: bool = False

    def client(self, url: httpx.URL, name: str, timeout: httpx.Timeout) -> httpx.Client:
        """A client for one request to `url`, which connects to nothing that may not be reached.

        Through a proxy that this machine is set up to use, the host is looked up by the proxy, again: it decides what
        can be reached, and the check here is a first one.

        Raises:
            InputError: a proxy is used, and it is of no use, or the host's address may not be reached.
        """
        proxy = _proxy_of(url)
        limits = httpx.Limits(max_keepalive_connections=0)
        try:
            transport = httpx.HTTPTransport(verify=tls(trust_env=True), limits=limits, proxy=proxy, trust_env=False)
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            raise useless_proxy(error, f"{name} cannot be loaded") from None
        if proxy is None:
            # httpx has no other place for the network that its connections are made by.
            transport._pool = httpcore.ConnectionPool(
                ssl_context=tls(trust_env=True),
                max_keepalive_connections=0,
                network_backend=_CheckedNetwork(self, name, is_plain=url.scheme == "http"),
            )
        else:
            self._check_for_proxy(url, name)
        return httpx.Client(timeout=timeout, follow_redirects=False, trust_env=False, transport=transport)

    def check(self, addresses: Iterable[str], name: str, *, is_plain: bool) -> None:
        """Whether a host with these addresses may be reached: all of them, since which one is used is left to chance.

        Raises:
            InputError: it may not.
        """
        for address in addresses:
            if is_public(address):
                if is_plain and not self.plain_http:
                    raise InputError(f"{name} is not encrypted (http). Use an address that begins with https://.")
            elif not self._is_allowed(address):
                raise InputError(
                    f"{name} leads to {address}, a private address: nothing is loaded from there. To allow "
                    f"it, set {PRIVATE_VARIABLE}={address} on the machine that runs the flow or command, and start "
                    "reelflow there again."
                )

    def _is_allowed(self, address: str) -> bool:
        ip = _inner(ipaddress.ip_address(address))
        return any(ip in network for network in self.allowed)

    def _check_for_proxy(self, url: httpx.URL, name: str) -> None:
        try:
            addresses = self.resolve(url.host, url.port or 443)
        except (OSError, UnicodeError, OverflowError):
            return  # behind a proxy, many names are known only to it
        self.check(addresses, name, is_plain=url.scheme == "http")


class _CheckedNetwork(httpcore.SyncBackend):
    """Connects to the address that was checked, and not to the name once more."""

    def __init__(self, reach: Reach, name: str, *, is_plain: bool) -> None:
        super().__init__()
        self._reach, self._name, self._is_plain = reach, name, is_plain

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """A connection to the first address of the host that accepts one, of a few; all of them are checked before."""
        try:
            addresses = self._reach.resolve(host, port)
        except (OSError, UnicodeError, OverflowError) as error:  # the last: of a port
            raise httpcore.ConnectError(str(error)) from error
        self._reach.check(addresses, self._name, is_plain=self._is_plain)
        failed: Exception = httpcore.ConnectError("the host has no address")
        for address in addresses[:MOST_TRIED]:
            try:
                return super().connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed


def _proxy_of(url: httpx.URL) -> str | None:
    """The proxy that this machine is set up to use for an address; None for none."""
    if is_loopback(str(url)) or urllib.request.proxy_bypass(url.host):
        return None
    proxies = urllib.request.getproxies()
    found = proxies.get(url.scheme) or proxies.get("all")
    return f"http://{found}" if found and "://" not in found else found
