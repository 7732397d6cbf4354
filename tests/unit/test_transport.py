import inspect
import ssl
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path

import httpx
import pytest
from support.early import EarlyAnswers

from reelflow.addresses import check_url
from reelflow.counted_body import CountedBody
from reelflow.errors import Busy, InputError, NotFound, NothingSent, OutcomeUnknown, ReelflowError, UnreadableAnswer
from reelflow.taisly import TaislyClient
from reelflow.tikmatrix import TikMatrixClient
from reelflow.transport import from_httpx, open_client, retry_after
from tasks.upkeep.health import check_clock

URL = "https://app.taisly.com/api/private"


def _all_of_httpx() -> list[type[Exception]]:
    return [
        value
        for value in vars(httpx).values()
        if inspect.isclass(value)
        and issubclass(value, httpx.HTTPError | httpx.StreamError | httpx.InvalidURL | httpx.CookieConflict)
    ]


def _make(kind: type[Exception]) -> Exception:
    request = httpx.Request("GET", URL)
    if kind is httpx.HTTPStatusError:
        return httpx.HTTPStatusError("odd", request=request, response=httpx.Response(500, request=request))
    try:
        return kind("odd")
    except TypeError:
        return kind()  # type: ignore[call-arg]


BEFORE = {"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError"}
INPUT = {"UnsupportedProtocol", "InvalidURL"}


@pytest.mark.parametrize("kind", _all_of_httpx(), ids=lambda kind: kind.__name__)
def test_every_exception_of_httpx_is_mapped(kind: type[Exception]) -> None:
    """Whatever httpx raises, the caller learns whether repeating is safe; never a bare httpx error."""
    error = from_httpx(_make(kind), request=httpx.Request("POST", URL), service="Taisly")

    if kind.__name__ in BEFORE:
        assert type(error) is NothingSent
    elif kind.__name__ in INPUT:
        assert type(error) is InputError
    elif kind.__name__ == "DecodingError":
        assert type(error) is UnreadableAnswer
    else:
        assert type(error) is OutcomeUnknown


def test_small_pieces_are_handed_out_together() -> None:
    """All of the body arrives, in order, counted, its last piece alone."""

    class Many(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield from (bytes([i % 251]) * 50_000 for i in range(20))

    seen: list[int] = []
    body = CountedBody(Many(), total=1_000_000, progress=lambda taken, total: seen.append(taken))

    pieces = list(body)

    assert b"".join(pieces) == b"".join(Many())
    assert len(pieces) < 6
    assert len(pieces[-1]) == 50_000
    assert seen[-1] == 1_000_000 == body.taken
    assert body.complete


class _Pieces(httpx.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        yield from (b"head", b"middle", b"end")


@pytest.mark.parametrize(("pieces", "expected"), [(0, NothingSent), (1, NothingSent), (2, OutcomeUnknown)])
def test_a_body_that_did_not_leave_whole_is_a_request_that_was_not_made(
    pieces: int, expected: type[ReelflowError]
) -> None:
    """The connection broke: had the last piece left or not?"""
    body = CountedBody(_Pieces(), total=13)
    for _, _piece in zip(range(pieces), body, strict=False):
        pass
    request = httpx.Request("POST", URL, stream=body)

    error = from_httpx(httpx.ReadError("reset"), request=request, service="Taisly")

    assert type(error) is expected


def test_the_last_piece_waits_for_permission() -> None:
    """Raising before the last piece leaves the service with a request that it cannot use."""

    def forbid() -> None:
        raise InputError("changed")

    body, got = CountedBody(_Pieces(), total=13, before_last=forbid), []

    with pytest.raises(InputError, match="changed"):
        got.extend(body)

    assert b"".join(got) == b"headmiddle"
    assert not body.complete


@pytest.mark.parametrize(
    ("url", "ok"),
    [
        ("https://app.taisly.com/api/private/", True),
        ("http://127.0.0.1:8099/api", True),
        ("http://localhost:8099", True),
        ("http://[::1]:8099", True),
        ("http://app.taisly.com/api", False),
        ("http://192.168.1.10/api", False),
        ("http://127.0.0.1.evil.example/api", False),
        ("ftp://app.taisly.com", False),
        ("app.taisly.com", False),
        ("https://me:secret@app.taisly.com", False),
        ("http://127.0.0.1:65535/api", True),
        ("http://127.0.0.1:65536/api", False),
        ("", False),
    ],
)
def test_a_key_travels_only_encrypted_or_within_this_machine(url: str, ok: bool) -> None:
    """Https anywhere; http only to a loopback address."""
    if ok:
        assert check_url(url, service="Taisly") == url.rstrip("/")
    else:
        with pytest.raises(InputError):
            check_url(url, service="Taisly")


def test_a_remote_tikmatrix_needs_its_owners_word() -> None:
    """An API without a password is reached over the network only where that was said."""
    assert check_url("http://192.168.1.10:50809/api/v1", service="TikMatrix", plain_http_anywhere=True)


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({}, {"retryAfter": 42}, 42),
        ({}, {"retryAfter": "3.5"}, 3.5),
        ({"Retry-After": "17"}, {}, 17),
        ({"Retry-After": "99"}, {"retryAfter": 5}, 5),
        ({"Retry-After": "soon"}, {"retryAfter": "later"}, None),
        ({"Retry-After": "-3"}, {}, 0),
        ({}, [], None),
    ],
)
def test_how_long_to_wait_is_read_from_body_or_header(headers: dict, body: object, seconds: float | None) -> None:
    """The body's retryAfter counts before the header."""
    assert retry_after(httpx.Response(429, headers=headers, json=body)) == seconds


def test_how_long_to_wait_may_be_a_date() -> None:
    """A Retry-After header may be an HTTP date."""
    date = formatdate(time.time() + 60, usegmt=True)

    assert retry_after(httpx.Response(429, headers={"Retry-After": date})) == pytest.approx(60, abs=3)


def _client(answer: Callable[[httpx.Request], httpx.Response]) -> TaislyClient:
    return TaislyClient("taisly_very_secret", URL, transport=httpx.MockTransport(answer))


@pytest.mark.parametrize("padding", ["", "x" * 269])
def test_no_error_or_repr_shows_the_key(padding: str) -> None:
    """A service that quotes the key back must not bring it into logs, not even the beginning of it."""

    def quoting(request: httpx.Request) -> httpx.Response:
        return httpx.Response(401, json={"error": f"bad key {padding} {request.headers['Authorization']}"})

    client = _client(quoting)

    with pytest.raises(ReelflowError) as caught:
        client.platforms()

    assert "taisly_very" not in str(caught.value)
    assert "very_secret" not in repr(client)
    assert "very_secret" not in repr(caught.value.__dict__)
    assert "bad key" in str(caught.value)


def test_redirects_are_not_followed() -> None:
    """The key is not carried to another place."""
    seen: list[str] = []

    def elsewhere(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(302, headers={"Location": "https://evil.example/"})

    with pytest.raises(ReelflowError, match="redirect"):
        _client(elsewhere).platforms()

    assert len(seen) == 1


def test_nothing_is_repeated_by_the_client() -> None:
    """Not on 429, not on 500: whoever calls decides."""
    for status in (429, 500, 503):
        calls: list[int] = []

        def failing(request: httpx.Request, status: int = status, calls: list[int] = calls) -> httpx.Response:
            calls.append(1)
            return httpx.Response(status, json={})

        with pytest.raises(ReelflowError):
            _client(failing).generate_key()

        assert calls == [1]


def test_a_429_after_a_whole_upload_says_how_long(tmp_path: Path) -> None:
    """Busy carries the seconds that the service asked for."""
    video = tmp_path / "v.mp4"
    video.write_bytes(b"x" * 1000)

    def busy(request: httpx.Request) -> httpx.Response:
        request.read()
        return httpx.Response(429, json={"success": False, "retryAfter": 12})

    with pytest.raises(Busy) as caught:
        _client(busy).create_post(video, ["a"], "hello")

    assert caught.value.retry_after == 12


@pytest.mark.parametrize("status", [500, 502, 503])
def test_an_error_before_the_upload_is_complete_means_that_nothing_was_sent(tmp_path: Path, status: int) -> None:
    """As from a proxy that does not wait for the rest."""
    video = tmp_path / "v.mp4"
    video.write_bytes(b"x" * 1_000_000)
    client = TaislyClient("k", URL, transport=EarlyAnswers(httpx.Response(status, text="<html>")))

    with pytest.raises(NothingSent, match=rf"aborted the upload with an error \({status}\)"):
        client.create_post(video, ["a"])


def test_what_a_service_does_not_have_is_told_apart() -> None:
    with pytest.raises(NotFound, match=r"not found \(404\)"):
        _client(lambda request: httpx.Response(404)).platforms()


def test_a_certificate_that_is_not_trusted_is_said() -> None:
    """Wherever in the chain of causes it is."""
    cause = ssl.SSLCertVerificationError()
    cause.verify_message = "certificate has expired"
    error = httpx.ConnectError("odd")
    error.__cause__ = OSError("odd")
    error.__cause__.__context__ = cause

    found = from_httpx(error, request=httpx.Request("GET", URL), service="Taisly")

    assert "its certificate is not trusted: certificate has expired" in str(found)


def test_no_proxy_stands_before_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy from the environment is for the internet, not for the sandbox or for TikMatrix."""
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid:1")

    assert open_client("http://127.0.0.1:8099").trust_env is False
    assert open_client("https://app.taisly.com").trust_env is True


@pytest.mark.parametrize("proxy", ["socks5://me:PASSWORD@127.0.0.1:1", "foo://me:PASSWORD@127.0.0.1:1"])
def test_a_proxy_that_cannot_be_used_is_one_sentence(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """Without its address, in which a password may stand."""
    monkeypatch.setenv("ALL_PROXY", proxy)

    with pytest.raises(InputError, match=r"^app\.taisly\.com cannot be reached: .* proxy") as error:
        open_client(URL)

    assert "PASSWORD" not in str(error.value)


@pytest.mark.parametrize(("ahead", "worth_a_word"), [(0, False), (30, False), (600, True), (-600, True)])
def test_the_services_clock_is_compared_with_ours(ahead: float, worth_a_word: bool) -> None:
    """By the Date header of its last answer; minutes of difference are said, for posts are looked up by time."""
    date = formatdate(time.time() + ahead, usegmt=True)
    answer = httpx.Response(200, headers={"Date": date}, json={"code": 0, "data": {"plan_name": "Pro"}})
    client = TikMatrixClient("http://localhost:1/api/v1", transport=httpx.MockTransport(lambda request: answer))

    client.license()

    assert client.clock_ahead == pytest.approx(ahead, abs=2)
    if worth_a_word:
        with pytest.raises(ReelflowError, match=f"10 minutes {'ahead of' if ahead > 0 else 'behind'} this machine"):
            check_clock(client.clock_ahead)
    else:
        check_clock(client.clock_ahead)
