"""Addresses on the web: which of services are safe to use, which lead to the same place, and how they are shown."""

from __future__ import annotations

import ipaddress
from pathlib import PurePosixPath

import httpx

from reelflow.errors import InputError
from reelflow.wording import one_line

HIGHEST_PORT = 65535
"""The system takes a higher one for another."""
NO_NAME = "The address"
"""What an address is called that has no host."""


def is_address(source: str) -> bool:
    """Whether a plan or a video is named by an address on the web, and not by its path."""
    return source.lower().startswith(("http://", "https://"))


def name_of(address: str) -> str:
    """What a file on the web is called: no more of its address than may be shown, since a link may hold a key."""
    try:
        url = httpx.URL(address)
    except (httpx.InvalidURL, ValueError):
        return NO_NAME
    last = PurePosixPath(url.path).name
    return one_line(f"{url.host}/…/{last}" if last and url.host else last or url.host, 100) or NO_NAME


def is_loopback(url: str) -> bool:
    """Whether `url` points at this very machine."""
    host = httpx.URL(url).host
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_url(url: str, *, service: str, plain_http_anywhere: bool = False) -> str:
    """Return `url` without a trailing slash, or raise InputError when using it would be unsafe.

    A key travels with every request to Taisly, so its address is https unless it is this machine. TikMatrix
    has no authentication at all, so its address is this machine unless its owner says otherwise
    (`plain_http_anywhere`).
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise InputError(f"{url!r} is not a web address ({error}).", service=service) from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise InputError(
            f"{url!r} is not a web address. Enter the base URL of {service}, beginning with https:// or http://.",
            service=service,
        )
    if parsed.userinfo:
        raise InputError(f"The base URL of {service} must not contain a user name or password.", service=service)
    if (parsed.port or 0) > HIGHEST_PORT:
        raise InputError(f"{url!r} has the port {parsed.port}, and ports end at {HIGHEST_PORT}.", service=service)
    if parsed.scheme == "http" and not plain_http_anywhere and not is_loopback(url):
        raise InputError(
            f"{url} is unencrypted, so your key and posts could be read on the network. Use https://, "
            "or an address on this machine (http://127.0.0.1:…).",
            service=service,
        )
    return url.rstrip("/")


def same_address(url: str) -> str:
    """One spelling for all that lead to the same place, by which the ledger knows a service.

    Upper and lower case of scheme and host, a port that is the scheme's own, the names of this machine, and a slash at
    the end make no difference.
    """
    parsed = httpx.URL(url.strip())
    if parsed.host in ("localhost", "::1"):
        parsed = parsed.copy_with(host="127.0.0.1")
    return str(parsed).rstrip("/")
