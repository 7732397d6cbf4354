"""reelflow's HTTP layer: timeouts, counted uploads, and one mapping from httpx to our errors.

No request is ever repeated here: the caller decides whether that is safe, by the class of the error
(`reelflow.errors`). Redirects are not followed, since they would send the key to another address.
"""

from __future__ import annotations

import email.utils
import math
import ssl
import time
from collections.abc import Callable
from functools import cache
from types import TracebackType
from typing import Any, Self

import httpx

from reelflow.addresses import is_loopback
from reelflow.answers import has_begun, receive
from reelflow.counted_body import CountedBody
from reelflow.errors import (
    Busy,
    InputError,
    NotAllowed,
    NotFound,
    NothingSent,
    OutcomeUnknown,
    ReelflowError,
    Refused,
    UnreadableAnswer,
)
from reelflow.wording import duration, one_line

CONNECT_TIMEOUT = 10.0
"""Seconds. Nothing has been sent by then, so giving up early costs nothing."""
READ_TIMEOUT = 30.0
"""Seconds without a byte of an ordinary answer."""
ANSWER_TIMEOUT = 60.0
"""Seconds for the whole of an ordinary answer."""
UPLOAD_READ_TIMEOUT = 300.0
"""Seconds for the whole answer. Taisly answers an upload only when it has taken the file; clients in the wild wait
180-300 s."""
WRITE_TIMEOUT = 60.0
"""Seconds that one piece of 256 KiB may take to be accepted by the network."""
LONGEST_WAIT = 3600.0
"""Seconds; the longest quota that either service documents is an hour's. Longer waits that a service asks for are
mistakes: an endless one, or a moment in place of seconds."""
FURTHEST_CLOCK = 100 * 365 * 86400.0
"""Seconds; a service whose clock is further from ours tells no time."""
POOL_TIMEOUT = 10.0
"""Seconds for a free connection; we use one at a time, so this only catches a mistake of ours."""

REQUEST_TIMEOUT = httpx.Timeout(READ_TIMEOUT, connect=CONNECT_TIMEOUT, write=WRITE_TIMEOUT, pool=POOL_TIMEOUT)
UPLOAD_TIMEOUT = httpx.Timeout(UPLOAD_READ_TIMEOUT, connect=CONNECT_TIMEOUT, write=WRITE_TIMEOUT, pool=POOL_TIMEOUT)


# What httpx raises before the first byte of a request has left.
_BEFORE_SENDING = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
# Timeout, conflict, too early: such a request may have been carried out, or be carried out a moment later.
_UNDECIDED = (408, 409, 425)
# Mistakes in the address, or of ours: nothing can have been sent.
_BAD_REQUEST = (httpx.UnsupportedProtocol, httpx.InvalidURL, UnicodeError)


def open_client(
    base_url: str,
    *,
    headers: dict[str, str] | None = None,
    transport: httpx.BaseTransport | None = None,
) -> httpx.Client:
    """A client for one service: no redirects, explicit timeouts, no proxy on the way to this machine.

    Each request has its own connection. On one that the service is just closing, a request that never left would count
    as one whose outcome is unknown.
    """
    trust_env, url = not is_loopback(base_url), httpx.URL(base_url)
    always = {"User-Agent": "reelflow", "Accept": "application/json", "Accept-Encoding": "gzip"}
    try:
        return httpx.Client(
            base_url=url,
            verify=tls(trust_env),
            headers={**always, **(headers or {})},
            timeout=REQUEST_TIMEOUT,
            limits=httpx.Limits(max_keepalive_connections=0),
            follow_redirects=False,
            trust_env=trust_env,
            transport=transport,
            event_hooks={"response": [_ignore_location]},
        )
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise useless_proxy(error, f"{url.host} cannot be reached") from None


def useless_proxy(error: Exception, what: str) -> InputError:
    """The error if a proxy that this machine is set up to use cannot be used; its address may hold a password.

    Args:
        error: What httpx raised.
        what: What cannot be done without it.
    """
    advice = "HTTP_PROXY, HTTPS_PROXY and ALL_PROXY need addresses that begin with http:// or https://"
    if isinstance(error, ImportError):
        return InputError(
            f"{what}: this machine is set up to use a SOCKS proxy, for which a package is missing. Install it: "
            f"uv pip install socksio. Without it, {advice}."
        )
    return InputError(
        f"{what}: this machine is set up to use a proxy whose address cannot be used. Correct or remove it: {advice}."
    )


@cache
def tls(trust_env: bool) -> ssl.SSLContext:
    """Which certificates are accepted, read once: it takes longer than a request to this machine."""
    return httpx.create_ssl_context(trust_env=trust_env)


def _ignore_location(response: httpx.Response) -> None:
    """Leave the address of a redirect unread: httpx builds the next request in any case, and fails with an odd one."""
    response.headers.pop("Location", None)


class ServiceClient:
    """What both clients are: one address, one pool of connections, closed at the end of a `with`."""

    def __init__(self, base_url: str, http: httpx.Client, clock: Callable[[], float] = time.time) -> None:
        self._base_url = base_url
        self._http = http
        self._clock = clock
        self.clock_ahead: float | None = None
        """Seconds by which the service's clock was ahead of ours at its last answer; its Date header has whole ones."""
        http.event_hooks["response"].append(self._note_clock)

    def _request(self, method: str, path: str, **kwargs: Any) -> httpx.Request:
        """A request to be sent by `exchange`.

        Raises:
            InputError: it has text that cannot be sent, such as the name of a file in another charset.
        """
        try:
            return self._http.build_request(method, path, **kwargs)
        except ValueError as error:
            raise InputError(f"The request has text that cannot be sent ({one_line(str(error))}).") from None

    def _note_clock(self, response: httpx.Response) -> None:
        try:
            there = email.utils.parsedate_to_datetime(response.headers.get("Date", "")).timestamp()
        except (ValueError, TypeError, OverflowError):
            return
        ahead = there + 0.5 - self._clock()
        self.clock_ahead = ahead if abs(ahead) < FURTHEST_CLOCK else None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._base_url!r})"  # never with a key

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


def exchange(
    client: httpx.Client, request: httpx.Request, *, service: str, seconds: float | None = None
) -> httpx.Response:
    """Send one request once and read the answer, whatever its status.

    Args:
        client: From `open_client`.
        request: To be sent.
        service: For messages.
        seconds: For the whole answer, from the last piece of the request on; None for the usual time.

    Raises:
        NothingSent: the service was not reached, or did not get the whole body.
        OutcomeUnknown: it may have the whole request, and its answer is lost, endless, or cannot be understood.
        InputError: the address cannot be used.
    """
    usual = UPLOAD_READ_TIMEOUT if isinstance(request.stream, CountedBody) else ANSWER_TIMEOUT
    try:
        return receive(client, request, seconds=usual if seconds is None else seconds)
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, httpx.CookieConflict, UnicodeError) as error:
        raise from_httpx(error, request=request, service=service) from None


def from_httpx(error: Exception, *, request: httpx.Request, service: str) -> ReelflowError:
    """Say what an exception of httpx means for the one who sent `request`.

    The order is the reasoning: an address that cannot be used; nothing had left yet; part of the body had not
    left yet; and for everything else the service may have acted.
    """
    where = f"{request.url.scheme}://{request.url.netloc.decode('ascii', 'replace')}"
    if isinstance(error, _BAD_REQUEST) and not has_begun(request):
        return InputError(f"{where} cannot be used as the address of {service}.", service=service)
    if isinstance(error, _BEFORE_SENDING):
        return NothingSent(f"{service} cannot be reached at {where}: {reason_of(error)}.", service=service)
    body = request.stream
    if isinstance(body, CountedBody) and not body.complete:
        return NothingSent(
            f"The connection to {service} broke after {body.taken:,} of {body.total:,} bytes "
            f"({reason_of(error)}). The request was incomplete, so it had no effect.",
            service=service,
        )
    if isinstance(error, httpx.DecodingError):
        return UnreadableAnswer(f"{service} sent an answer that cannot be read: {reason_of(error)}.", service=service)
    return OutcomeUnknown(
        f"The connection to {service} was lost before its answer came ({reason_of(error)}).", service=service
    )


def reason_of(error: Exception) -> str:
    """Why a request failed, in a few words for a person."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}"
        if isinstance(cause, ConnectionRefusedError):
            return "connection refused; nothing is listening there"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.ConnectTimeout):
        return f"no connection within {CONNECT_TIMEOUT:.0f} s"
    if isinstance(error, httpx.ReadTimeout):
        return "timed out waiting for the answer"
    if isinstance(error, httpx.WriteTimeout):
        return "the network stopped accepting data"
    return one_line(str(error)).rstrip(".") or type(error).__name__


def from_status(
    response: httpx.Response, *, service: str, code: str | None, words: str | None, by_service: bool
) -> ReelflowError | None:
    """Say what an HTTP status means; None for a success.

    Args:
        response: The answer, already read.
        service: For the message.
        code: The service's own code in the body, where there is one.
        words: The service's own words for people, where there are any; quoted to the person.
        by_service: Whether the body is in the service's own format. A proxy, a firewall or a captive portal on the way
            answers with the same statuses, and does not know what the service did.
    """
    status = response.status_code
    if status < 300:
        return None
    said = f": {words}" if words else ""
    fields: dict[str, Any] = {"service": service, "status": status, "code": code, "by_service": by_service}
    if status == 429:
        wait = retry_after(response)
        hint = f"; retry in {duration(wait)}" if wait is not None else ""
        return Busy(f"{service}: rate limit reached{hint}{said}.", retry_after=wait, **fields)
    if status < 400:
        return Refused(
            f"{service} answered with a redirect ({status}), which reelflow does not follow. Check the base URL.",
            **fields,
        )
    if status == 401:
        return NotAllowed(f"{service} does not accept the API key (401{said}). Check the API key.", **fields)
    if status == 403:
        return NotAllowed(f"{service} does not allow this (403{said}).", **fields)
    if status == 404:
        return NotFound(f"{service}: not found (404{said}).", **fields)
    if status in _UNDECIDED:
        return OutcomeUnknown(f"{service} did not complete the request ({status}{said}).", **fields)
    if status < 500:
        return Refused(f"{service} refused the request ({status}{said}).", **fields)
    if isinstance(response.request.stream, CountedBody) and not response.request.stream.complete:
        return NothingSent(f"{service} aborted the upload with an error ({status}{said}).", **fields)
    return OutcomeUnknown(f"Internal error at {service} ({status}{said}).", **fields)


def retry_after(response: httpx.Response) -> float | None:
    """Seconds to wait, at most `LONGEST_WAIT`: the body's ``retryAfter``, or the Retry-After header.

    The header has seconds or an HTTP date. What is no finite number of seconds counts as not said.
    """
    try:
        body = response.json()
    except ValueError:
        body = None
    told = body.get("retryAfter") if isinstance(body, dict) else None
    header = response.headers.get("Retry-After", "").strip()
    for wait in (_seconds(told), _seconds(header), _seconds_until(header)):
        if wait is not None:
            return min(max(0.0, wait), LONGEST_WAIT)
    return None


def _seconds(value: Any) -> float | None:
    """A finite number of seconds, as number or text; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) else None


def _seconds_until(date: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(date).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None


def redact(text: str, secret: str) -> str:
    """`text` without `secret`: a service may quote the key that it was sent."""
    return text.replace(secret, "…")
