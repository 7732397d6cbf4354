"""A video on the web becomes a file of this machine: once, whole, within limits, and from no private address."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from support.encrypted import encrypted
from support.file_server import File, FileServer
from support.raw_server import raw_server
from support.waiting import until

from reelflow.campaigns.check import check_alone
from reelflow.campaigns.reading import ReadingOptions, read_plan
from reelflow.campaigns.rows import Plan, PlanRow, RowProblem
from reelflow.campaigns.sources import load as load_plan
from reelflow.campaigns.videos import PAUSES, read_videos
from reelflow.campaigns.writing import write_problems
from reelflow.downloads.folder import Downloads
from reelflow.downloads.from_web import WebVideos
from reelflow.downloads.kept import Kept
from reelflow.downloads.names import file_name_for, name_on_web
from reelflow.downloads.reach import Reach, allowed_networks, is_public
from reelflow.downloads.source import is_elsewhere, shown_name
from reelflow.errors import Busy, InputError, LinkEnded, NoRoom, NothingSent, OutcomeUnknown, ReelflowError
from reelflow.posts.form import PostForm
from reelflow.posts.requests import read_video
from reelflow.records.posts import Video

Get = Callable[..., Any]
HERE = (ip_network("127.0.0.1"),)
SECRET = "SIGNATURE"
ONE_DAY = 86400.0


@pytest.fixture
def web() -> Iterator[FileServer]:
    with FileServer() as server:
        yield server


@pytest.fixture
def get(downloads: Path) -> Get:
    """Download an address, with this machine allowed."""

    def load(address: str, **options: Any) -> Any:
        spare = options.pop("spare_bytes", 0)
        return WebVideos(Downloads(downloads, spare), **({"reach": Reach(HERE)} | options)).get(address)

    return load


def test_a_video_on_the_web_is_read_like_a_file(web: FileServer, clip: Any, on_loopback: None) -> None:
    """Under the name that people know it by, and without the key in its address."""
    web.files[f"/in/bread.mp4?key={SECRET}"] = File(clip("small.mp4").read_bytes())

    video = read_video(f'"{web.address}/in/bread.mp4?key={SECRET}"')

    assert video.sha256 == read_video(str(clip("small.mp4"))).sha256
    assert video.path.name == "bread.mp4"
    assert SECRET not in str(video.path)
    assert {"Authorization", "Cookie"}.isdisjoint(web.asked[0])
    assert web.asked[0]["Accept-Encoding"] == "identity"


def test_nothing_is_written_of_the_key_in_an_address(web: FileServer, get: Get, downloads: Path) -> None:
    web.files[f"/a.mp4?key={SECRET}"] = File(b"video", etag='"1"')

    get(f"{web.address}/a.mp4?key={SECRET}")

    assert all(SECRET not in str(path) for path in downloads.rglob("*"))
    assert all(SECRET.encode() not in path.read_bytes() for path in downloads.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    "marks", [{"etag": '"1"'}, {"last_modified": "Thu, 26 Nov 2026 10:00:00 GMT"}], ids=["etag", "time"]
)
@pytest.mark.parametrize("conditional", [True, False], ids=["304", "200"])
def test_an_unchanged_video_is_downloaded_once(web: FileServer, get: Get, marks: Any, conditional: bool) -> None:
    """Its server is asked each time, also one that answers 200 to "only if it has changed"."""
    web.files["/a.mp4"] = File(b"video", **marks)
    first = get(f"{web.address}/a.mp4")
    if not conditional:
        name, value = ("ETag", '"1"') if "etag" in marks else ("Last-Modified", marks["last_modified"])
        web.files["/a.mp4"] = File(b"other", headers={name: value})

    again = get(f"{web.address}/a.mp4")

    assert again == first
    assert again.path.read_bytes() == b"video"
    assert len(web.asked) == 2


def test_a_changed_video_is_noticed_and_the_earlier_copy_stays(web: FileServer, get: Get) -> None:
    """Another run may be sending that one."""
    web.files["/a.mp4"] = File(b"video", etag='"1"')
    first = get(f"{web.address}/a.mp4")
    web.files["/a.mp4"] = File(b"other", etag='"2"')

    second = get(f"{web.address}/a.mp4")

    assert second.path.read_bytes() == b"other"
    assert first.path.read_bytes() == b"video"


def test_a_server_that_tells_no_marks_is_read_again(web: FileServer, get: Get) -> None:
    """The same content keeps its file: a run that sends it sees no change."""
    web.files["/a.mp4"] = File(b"video")
    first = get(f"{web.address}/a.mp4")
    stat = first.path.stat()

    again = get(f"{web.address}/a.mp4")

    assert (again.path, again.path.stat().st_mtime_ns) == (first.path, stat.st_mtime_ns)
    assert web.sent == 2
    assert len(list(first.path.parent.parent.glob("*/*.mp4"))) == 1


def test_a_copy_is_used_while_its_server_is_away(web: FileServer, get: Get, downloads: Path) -> None:
    """For a day after the server was last asked, and the report says so; an older one may be wrong by now."""
    web.files["/a.mp4"] = File(b"video", etag='"1"')
    first = get(f"{web.address}/a.mp4")
    web.files["/a.mp4"] = File(status=503)

    again = get(f"{web.address}/a.mp4")
    assert again.path == first.path
    assert "server answered 503. The copy from" in again.note

    [noted] = downloads.glob("*/kept.json")
    kept = Kept.model_validate_json(noted.read_bytes())
    noted.write_text(kept.model_copy(update={"confirmed_at": time.time() - ONE_DAY}).model_dump_json())
    with pytest.raises(OutcomeUnknown, match="server answered 503"):
        get(f"{web.address}/a.mp4")


@pytest.mark.parametrize("status", [401, 403])
def test_a_copy_is_used_after_its_link_has_ended(web: FileServer, get: Get, downloads: Path, status: int) -> None:
    """A campaign that waited for its approval asks again; a day later, the copy may be wrong."""
    web.files["/a.mp4"] = File(b"video")
    first = get(f"{web.address}/a.mp4")
    web.files["/a.mp4"] = File(status=status)

    again = get(f"{web.address}/a.mp4")
    assert again.path == first.path
    assert f"server answered {status}. Check the address" in again.note
    assert "The copy from 0 s ago is used" in again.note

    [noted] = downloads.glob("*/kept.json")
    kept = Kept.model_validate_json(noted.read_bytes())
    noted.write_text(kept.model_copy(update={"confirmed_at": time.time() - ONE_DAY}).model_dump_json())
    with pytest.raises(InputError, match=f"server answered {status}"):
        get(f"{web.address}/a.mp4")


def test_a_video_that_was_removed_is_not_sent_from_its_copy(web: FileServer, get: Get) -> None:
    web.files["/a.mp4"] = File(b"video", etag='"1"')
    get(f"{web.address}/a.mp4")
    web.files["/a.mp4"] = File(status=404, headers={"ETag": '"1"'})

    with pytest.raises(InputError, match="server answered 404"):
        get(f"{web.address}/a.mp4")


def test_a_copy_that_somebody_changed_is_downloaded_again(web: FileServer, get: Get) -> None:
    web.files["/a.mp4"] = File(b"video", etag='"1"')
    get(f"{web.address}/a.mp4").path.write_bytes(b"changed!")

    assert get(f"{web.address}/a.mp4").path.read_bytes() == b"video"


@pytest.mark.parametrize(
    ("file", "kind", "words"),
    [
        (File(status=404), InputError, "server answered 404. Check the address"),
        (File(status=403), LinkEnded, "server answered 403. Check the address"),
        (File(status=418), InputError, "server answered 418. Download the video yourself"),
        (File(status=302), InputError, "server answered 302"),
        (File(status=503), OutcomeUnknown, "server answered 503"),
        (File(status=429, headers={"Retry-After": "7"}), Busy, "too many requests"),
        (File(b"x", headers={"Content-Type": "text/html; charset=utf-8"}), InputError, "is a web page, not a video"),
        (File(b"\xef\xbb\xbf\n <!DOCTYPE HTML><html>"), InputError, "is a web page, not a video"),
        (File(b"x", headers={"Content-Encoding": "gzip"}), InputError, "sends it compressed"),
        (File(b""), InputError, "is empty"),
        (File(b"x" * 101), InputError, "is larger than 0 MB"),
        (File(status=302, headers={"Location": "/a.mp4?key=SIGNATURE"}), InputError, "redirects too many times"),
        (File(status=302, headers={"Location": "ftp://127.0.0.1/a"}), InputError, "not a web address"),
        (File(status=302, headers={"Location": "http://me:key@127.0.0.1/a"}), InputError, "user name or password"),
        (File(status=302, headers={"Location": "http://a:b"}), OutcomeUnknown, "Invalid port"),
        (File(status=302, headers={"Location": "http://10.0.0.1/a.mp4"}), InputError, "10.0.0.1, a private address"),
        (File(status=302, headers={"Location": "http://169.254.169.254/"}), InputError, "254, a private address"),
        (File(status=302, headers={"Location": "http://[::1]:80/a"}), InputError, "::1, a private address"),
        (File(status=302, headers={"Location": "http://[::ffff:10.0.0.1]/a"}), InputError, "a private address"),
        (File(status=302, headers={"Location": "http://2130706434/a"}), InputError, "127.0.0.2, a private address"),
    ],
)  # fmt: skip
def test_what_is_no_video_is_one_sentence_and_nothing_is_kept(
    web: FileServer, get: Get, downloads: Path, file: File, kind: type[ReelflowError], words: str
) -> None:
    web.files[f"/a.mp4?key={SECRET}"] = file

    with pytest.raises(kind, match=words) as error:
        get(f"{web.address}/a.mp4?key={SECRET}", most_bytes=100)
    assert type(error.value) is kind
    assert "127.0.0.1/…/a.mp4" in str(error.value)
    assert SECRET not in str(error.value)
    assert list(downloads.glob("?" * 32)) == []


def test_a_length_beyond_the_limit_is_refused_before_a_byte_is_read(web: FileServer, get: Get) -> None:
    web.files["/a.mp4"] = File(b"x" * 101, hold=threading.Event())  # its second half never comes

    with pytest.raises(InputError, match="is larger than"):
        get(f"{web.address}/a.mp4", most_bytes=100)


def _endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\n\r\n")
    while True:
        connection.sendall(b"x" * 65536)


def test_a_body_without_end_is_cut_at_the_limit(get: Get, downloads: Path) -> None:
    with raw_server(_endless) as address, pytest.raises(InputError, match="is larger than 1 MB"):
        get(f"{address}/a.mp4", most_bytes=1_000_000)
    assert list(downloads.glob("?" * 32)) == []


def _dripping(head: bytes) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        connection.sendall(head)
        connection.settimeout(0.05)
        for _ in range(400):
            connection.sendall(b"x")
            threading.Event().wait(0.05)

    return answer


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: "],
    ids=["until it is closed", "of known length", "in its head"],
)  # fmt: skip
def test_a_body_that_drips_is_cut_when_its_time_is_over(get: Get, downloads: Path, head: bytes) -> None:
    """Each byte is in time; a copy that was cut counts as none, also where the end of the connection is its end."""
    with (
        raw_server(_dripping(head)) as address,
        pytest.raises(InputError, match="took longer than 0 s and was stopped"),
    ):
        get(f"{address}/a.mp4", seconds=0.4)
    assert list(downloads.glob("?" * 32)) == []


def test_redirects_share_the_time_of_one_download(get: Get) -> None:
    """Each of them is in time."""

    def answer(connection: socket.socket) -> None:
        threading.Event().wait(0.3)
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /a.mp4\r\nContent-Length: 0\r\n\r\n")

    begun = time.monotonic()
    with raw_server(answer) as address, pytest.raises(InputError, match="took longer than"):
        get(f"{address}/a.mp4", seconds=0.8)
    assert time.monotonic() - begun < 1.7


def test_a_connection_that_is_made_when_the_time_is_over_is_cut(get: Get) -> None:
    """Looking up a name cannot be stopped."""

    def resolve(host: str, port: int) -> Sequence[str]:
        threading.Event().wait(0.4)
        return ["127.0.0.1"]

    begun = time.monotonic()
    with (
        raw_server(_dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")) as address,
        pytest.raises(InputError, match="took longer than"),
    ):
        get(f"{address}/a.mp4", seconds=0.1, reach=Reach(HERE, resolve))
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nvideo",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nvideo\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"nonsense\r\n\r\n",
    ],
    ids=["shorter than its length", "without a last chunk", "half a head", "no HTTP"],
)
def test_an_answer_that_is_cut_may_be_tried_again(get: Get, downloads: Path, answer: bytes) -> None:
    def send(connection: socket.socket) -> None:
        connection.sendall(answer)
        raise OSError

    with raw_server(send) as address, pytest.raises(OutcomeUnknown, match=r"127\.0\.0\.1/…/a\.mp4 was interrupted"):
        get(f"{address}/a.mp4")
    assert list(downloads.glob("?" * 32)) == []


def test_a_server_that_cannot_be_reached_may_be_tried_again(get: Get) -> None:
    with pytest.raises(NothingSent, match="server cannot be reached"):
        get("http://127.0.0.1:1/a.mp4")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://me:secret@127.0.0.1/a.mp4", "user name or password"),
        ("https://", "not a web address"),
        ("http://a:b/a.mp4", "Check the address"),
        ("http://\udcff/a.mp4", "Check the address|not a web address"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(get: Get, address: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        get(address)
    assert "secret" not in str(error.value)


# Which addresses may be reached


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.1",
        "255.255.255.255", "224.0.0.1", "240.0.0.1", "192.0.0.1", "198.18.0.1", "203.0.113.1",
        "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1",
        "100::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::a00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1",
        "2002:a00:1::1", "2002:7f00:1::", "2001:0:a00:1::1", "::10.0.0.1",
    ],
)  # fmt: skip
def test_a_private_address_is_told_in_each_of_its_forms(address: str) -> None:
    """Also as IPv6 that stands for IPv4: mapped, translated (NAT64), 6to4, Teredo and compatible."""
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"])
def test_a_public_address_is_told(address: str) -> None:
    """In a network without IPv4, every older site is behind NAT64."""
    assert is_public(address)


def test_this_machine_is_refused_unless_it_is_allowed(web: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    web.files["/a.mp4"] = File(b"video")
    address = f"{web.address}/a.mp4"

    with pytest.raises(InputError, match=r"127\.0\.0\.1, a private address.*REELFLOW_PRIVATE_ADDRESSES=127\.0\.0\.1"):
        read_video(address)
    monkeypatch.setenv("REELFLOW_PRIVATE_ADDRESSES", "10.0.0.0/8, 192.168.1.20")
    with pytest.raises(InputError, match="a private address"):
        read_video(address)
    assert web.asked == []


def test_an_allowed_network_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REELFLOW_PRIVATE_ADDRESSES", "127.0.0.1, my-nas")

    with pytest.raises(InputError, match="'my-nas' in REELFLOW_PRIVATE_ADDRESSES is not an IP address"):
        allowed_networks()


def test_a_name_is_looked_up_once_and_the_connection_goes_there(web: FileServer, get: Get) -> None:
    """A name that means another address the second time leads nowhere else."""
    web.files["/a.mp4"] = File(b"video")
    answers = iter([["127.0.0.1"]])
    port = httpx.URL(web.address).port

    found = get(f"http://videos.example:{port}/a.mp4", reach=Reach(HERE, lambda host, port: next(answers)))

    assert found.path.read_bytes() == b"video"
    assert web.asked[0]["Host"] == f"videos.example:{port}"


@pytest.mark.parametrize("found", [["127.0.0.1", "10.0.0.1"], ["8.8.8.8", "127.0.0.2"]], ids=["second", "not allowed"])
def test_a_name_with_any_private_address_is_refused(get: Get, found: Sequence[str]) -> None:
    """Which of its addresses a connection would go to is left to chance."""
    with pytest.raises(InputError, match="a private address"):
        get("https://videos.example/a.mp4", reach=Reach(HERE, lambda host, port: found))


def test_what_is_not_encrypted_comes_from_no_public_address(get: Get) -> None:
    with pytest.raises(InputError, match="not encrypted"):
        get("http://videos.example/a.mp4", reach=Reach((), lambda host, port: ["8.8.8.8"]))


def test_a_name_that_is_not_found_may_be_tried_again(get: Get) -> None:
    def resolve(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(NothingSent, match="Name or service not known"):
        get("https://videos.example/a.mp4", reach=Reach((), resolve))


def test_through_a_proxy_the_address_is_checked_before(monkeypatch: pytest.MonkeyPatch, get: Get) -> None:
    """The proxy of the environment is used as for all other requests, and looks names up itself."""
    seen = []

    def answer(connection: socket.socket) -> None:
        seen.append(connection)
        connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")

    def resolve(host: str, port: int) -> Sequence[str]:
        if host == "inside.example":
            return ["10.0.0.1"]
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with raw_server(answer) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        monkeypatch.setenv("https_proxy", proxy)
        with pytest.raises(InputError, match=r"10\.0\.0\.1, a private address"):
            get("https://inside.example/a.mp4", reach=Reach((), resolve))
        assert seen == []
        with pytest.raises(NothingSent, match="cannot be reached"):
            get("https://videos.example/a.mp4", reach=Reach((), resolve))
        assert len(seen) == 1


@pytest.mark.parametrize(
    ("proxy", "words"),
    [
        ("socks5://me:PASSWORD@127.0.0.1:1", "a SOCKS proxy, .* uv pip install socksio. Without it, HTTP_PROXY"),
        ("foo://me:PASSWORD@127.0.0.1:1", "whose address cannot be used. Correct or remove it: HTTP_PROXY"),
        ("http://me:pass@PASSWORD@127.0.0.1:1:1", "whose address cannot be used. Correct or remove it"),
        ("http://127.0.0.1:PASSWORD", "whose address cannot be used. Correct or remove it"),
    ],
)  # fmt: skip
def test_a_proxy_that_cannot_be_used_is_one_sentence_without_its_password(
    monkeypatch: pytest.MonkeyPatch, get: Get, proxy: str, words: str
) -> None:
    """Of a video and of a plan."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    monkeypatch.setenv("https_proxy", proxy)

    for load in (get, lambda address: load_plan(address, "videos.example/…/a.mp4")):
        with pytest.raises(InputError, match=f"^videos.example/…/a.mp4 cannot be loaded: .* {words}") as error:
            load("https://videos.example/a.mp4")
        assert "PASSWORD" not in str(error.value)


def test_only_a_few_addresses_of_a_host_are_tried(web: FileServer, get: Get) -> None:
    """Each may take its whole time to refuse."""
    web.files["/a.mp4"] = File(b"video")
    address = f"http://videos.example:{httpx.URL(web.address).port}/a.mp4"
    silent = [f"127.0.0.{number}" for number in range(2, 6)]
    reach = [Reach((ip_network("127.0.0.0/8"),), lambda host, port, n=n: [*silent[n:], "127.0.0.1"]) for n in (0, 1)]

    with pytest.raises(NothingSent, match="server cannot be reached"):
        get(address, reach=reach[0])
    assert get(address, reach=reach[1]).path.read_bytes() == b"video"


def test_a_port_that_does_not_exist_cannot_be_reached(web: FileServer, get: Get) -> None:
    """The system takes it modulo 65536, and would find the server of another port there."""
    web.files["/a.mp4"] = File(b"video")
    address = httpx.URL(f"{web.address}/a.mp4")

    with pytest.raises(NothingSent, match="server cannot be reached"):
        get(str(address.copy_with(port=address.port + 65536)))
    assert web.asked == []


# One download at a time, and nothing half done

LOADER = """
import sys
from ipaddress import ip_network
from pathlib import Path
from reelflow.downloads.from_web import WebVideos
from reelflow.downloads.folder import Downloads
from reelflow.downloads.reach import Reach
from reelflow.errors import ReelflowError
if len(sys.argv) > 3:
    import resource, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    reach = Reach((ip_network("127.0.0.1"),), lambda host, port: ["127.0.0.1"])
    found = WebVideos(Downloads(Path(sys.argv[2]), 0), reach).get(sys.argv[1])
    print(found.path, flush=True)
    sys.stdin.read()
except ReelflowError as error:
    print(f"{type(error).__name__}: {error}", flush=True)
"""


def _loader(address: str, folder: Path, *more: str, **environment: str) -> subprocess.Popen[str]:
    """A process that downloads an address, and then lives until it is told to end. Every name leads to this machine."""
    words, env = [sys.executable, "-c", LOADER, address, str(folder), *more], os.environ | environment
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)


def test_two_processes_download_an_address_once(web: FileServer, downloads: Path) -> None:
    hold = threading.Event()
    web.files["/a.mp4"] = File(b"video" * 1000, etag='"1"', hold=hold)
    processes = [_loader(f"{web.address}/a.mp4", downloads) for _ in range(2)]
    assert web.has_begun.wait(timeout=60)
    hold.set()

    said = [process.communicate(timeout=60)[0].strip() for process in processes]

    assert said[0] == said[1]
    assert Path(said[0]).read_bytes() == b"video" * 1000
    assert web.sent == 1


@pytest.mark.parametrize("host", ["videos.example", "other.example"])
def test_the_certificate_is_that_of_the_name_and_not_of_the_address(
    web: FileServer, downloads: Path, tmp_path: Path, host: str
) -> None:
    """Although the connection goes to an address that was looked up before."""
    web.files["/a.mp4"] = File(b"video")
    address = web.address.replace("http://127.0.0.1", "https://videos.example")

    with encrypted(web, host, tmp_path) as certificate:
        said, _ = _loader(f"{address}/a.mp4", downloads, SSL_CERT_FILE=str(certificate)).communicate(timeout=60)

    if host == "videos.example":
        assert Path(said.strip()).read_bytes() == b"video"
    else:
        assert "NothingSent: videos.example/…/a.mp4 could not be downloaded" in said
        assert "its certificate is not trusted: Hostname mismatch" in said


def test_threads_download_an_address_once(web: FileServer, get: Get) -> None:
    web.files["/a.mp4"] = File(b"video" * 1000, etag='"1"')
    found = list[Any]()
    threads = [threading.Thread(target=lambda: found.append(get(f"{web.address}/a.mp4"))) for _ in range(5)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)

    assert len(found) == 5
    assert len({each.path for each in found}) == 1
    assert web.sent == 1


def test_a_download_that_was_killed_leaves_nothing_and_is_made_again(
    web: FileServer, get: Get, downloads: Path
) -> None:
    web.files["/a.mp4"] = File(b"video" * 1000, hold=threading.Event())
    process = _loader(f"{web.address}/a.mp4", downloads)
    assert web.has_begun.wait(timeout=60)
    until("the download has begun", lambda: list(downloads.glob("*/*/.part")), seconds=30)
    process.kill()
    process.communicate(timeout=30)
    [place] = downloads.glob("?" * 32)
    (place / "kept.1a2b3c4d.part").write_text("{}")
    web.files["/a.mp4"] = File(b"video" * 1000)

    found = get(f"{web.address}/a.mp4")

    assert found.path.read_bytes() == b"video" * 1000
    assert list(downloads.glob("*/*/*")) == [found.path]
    assert sorted(path.name for path in place.iterdir()) == [found.path.parent.name, "kept.json"]


def test_a_run_does_not_wait_for_another_one_without_end(web: FileServer, get: Get) -> None:
    hold = threading.Event()
    web.files["/a.mp4"] = File(b"video" * 1000, hold=hold)
    first = threading.Thread(target=get, args=(f"{web.address}/a.mp4",))
    first.start()
    assert web.has_begun.wait(timeout=30)

    with pytest.raises(InputError, match=r"^127\.0\.0\.1/…/a\.mp4 was not downloaded: another download is"):
        get(f"{web.address}/a.mp4", seconds=0.3)
    hold.set()
    first.join(timeout=30)


@pytest.mark.skipif(sys.platform == "win32", reason="a limit of the size of files is POSIX's")
def test_a_disk_that_is_full_is_one_sentence(web: FileServer, downloads: Path) -> None:
    """Here a limit of the process stands for it: the same error at the same place."""
    web.files["/a.mp4"] = File(b"x" * 3_000_000)

    said, _ = _loader(f"{web.address}/a.mp4", downloads, "1000000").communicate(timeout=60)

    assert said.startswith("NoRoom: 127.0.0.1/…/a.mp4 cannot be saved in ")
    assert "Nothing was sent. Make it a folder that can be written to, or set REELFLOW_DOWNLOADS to another" in said
    assert list(downloads.glob("?" * 32)) == []


@pytest.mark.parametrize(
    ("number", "advice"),
    [(errno.ENOSPC, "Free some space there"), (errno.EACCES, "Make it a folder that can be written to")],
)
def test_what_to_do_about_a_folder_depends_on_what_is_wrong_with_it(downloads: Path, number: int, advice: str) -> None:
    with pytest.raises(NoRoom, match=advice), Downloads(downloads).saving("a.mp4"):
        raise OSError(number, os.strerror(number))


def test_a_disk_without_room_is_not_filled(web: FileServer, get: Get, downloads: Path) -> None:
    """The ledger may be on it."""
    web.files["/a.mp4"] = File(b"video")

    with pytest.raises(NoRoom, match=r"has 0\.0 MB, and the disk of .* has only .* MB free"):
        get(f"{web.address}/a.mp4", spare_bytes=1 << 60)
    assert list(downloads.glob("?" * 32)) == []


def test_copies_that_nobody_uses_make_room_for_a_download(
    web: FileServer, downloads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The longest unused first, and no more than it takes. The disk is one with room for three videos."""
    for number in range(4):
        web.files[f"/{number}.mp4"] = File(bytes([number]) * 1000)
    for number in range(3):
        _loader(f"{web.address}/{number}.mp4", downloads).communicate(timeout=60)
        [path] = downloads.glob(f"*/*/{number}.mp4")
        os.utime(path.parent, (time.time() - 1000.0 * (3 - number),) * 2)
    _disk_of(3000, downloads, monkeypatch)

    WebVideos(Downloads(downloads, 0), Reach(HERE)).get(f"{web.address}/3.mp4")

    assert _copies(downloads) == {"1.mp4", "2.mp4", "3.mp4"}


@pytest.mark.parametrize("body", [b"Content-Length: 40000000\r\n", b""], ids=["of known length", "until it is closed"])
def test_the_disk_is_looked_at_while_it_fills(
    get: Get, downloads: Path, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    """A server may not tell how much it sends, and other downloads write at the same time."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + body + b"\r\n")
        until("the download has begun", lambda: list(downloads.glob("*/*/.part")), seconds=30)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
        for _ in range(40):
            connection.sendall(bytes(1_000_000))
        raise OSError

    words = r"a\.mp4 cannot be downloaded: the disk of .* has only 0 MB free"
    with raw_server(answer) as address, pytest.raises(NoRoom, match=words):
        get(f"{address}/a.mp4", spare_bytes=1)
    assert list(downloads.glob("?" * 32)) == []


def test_a_folder_that_cannot_be_used_is_named(web: FileServer, downloads: Path, get: Get) -> None:
    downloads.write_text("a file")

    with pytest.raises(InputError, match=r"cannot be saved in .*downloads .* set REELFLOW_DOWNLOADS"):
        get(f"{web.address}/a.mp4")


# Forgetting


def _disk_of(size: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the disk be one of `size` bytes for videos."""

    def usage(_: Path) -> Any:
        return SimpleNamespace(free=size - sum(path.stat().st_size for path in folder.glob("*/*/*")))

    monkeypatch.setattr(shutil, "disk_usage", usage)


def _copies(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*/*/*.mp4")}


def test_copies_that_nobody_uses_are_forgotten_by_age_and_by_size(web: FileServer, downloads: Path) -> None:
    """The longest unused go first."""
    for number in range(3):
        web.files[f"/{number}.mp4"] = File(bytes(1000 + number))
        _loader(f"{web.address}/{number}.mp4", downloads).communicate(timeout=60)
    for number in range(3):
        [path] = downloads.glob(f"*/*/{number}.mp4")
        os.utime(path.parent, (1000.0 * (number + 1),) * 2)

    Downloads(downloads).forget_old(now=2500.0, kept_seconds=1000.0)
    assert _copies(downloads) == {"1.mp4", "2.mp4"}
    Downloads(downloads).forget_old(now=2500.0, most_bytes=1500)
    assert _copies(downloads) == {"2.mp4"}
    assert len(list(downloads.glob("?" * 32))) == 1


def test_a_copy_in_use_is_never_forgotten(web: FileServer, get: Get, downloads: Path) -> None:
    """By this process, nor by another one while it lives, however old and large it is, and replaced meanwhile."""
    web.files["/a.mp4"] = File(b"ours", etag='"1"')
    web.files["/b.mp4"] = File(b"theirs", etag='"1"')
    get(f"{web.address}/a.mp4")
    other = _loader(f"{web.address}/b.mp4", downloads)
    assert other.stdout is not None
    theirs = Path(other.stdout.readline().strip())
    web.files["/a.mp4"] = File(b"new", etag='"2"')
    get(f"{web.address}/a.mp4")

    Downloads(downloads).forget_old(now=time.time() + 99 * ONE_DAY, most_bytes=0)
    assert theirs.read_bytes() == b"theirs"
    assert {path.read_bytes() for path in downloads.glob("*/*/a.mp4")} == {b"ours", b"new"}

    other.communicate(timeout=30)
    Downloads(downloads).forget_old(now=time.time() + 99 * ONE_DAY, most_bytes=0)
    assert not theirs.exists()


def test_a_copy_that_was_replaced_is_forgotten_as_any_other(web: FileServer, downloads: Path) -> None:
    """A campaign that waits for its approval has no process, and the copy is the one that a person saw."""
    for number, content in enumerate((b"seen", b"new")):
        web.files["/a.mp4"] = File(content, etag=f'"{number}"')
        _loader(f"{web.address}/a.mp4", downloads).communicate(timeout=60)

    assert {path.read_bytes() for path in downloads.glob("*/*/a.mp4")} == {b"seen", b"new"}
    Downloads(downloads).forget_old(now=time.time() + 99 * ONE_DAY)
    assert _copies(downloads) == set()


def test_a_video_whose_newest_copy_was_forgotten_is_downloaded_again(
    web: FileServer, get: Get, downloads: Path
) -> None:
    """Although an earlier one is still in use, and its server would say that nothing has changed."""
    web.files["/a.mp4"] = File(b"used", etag='"1"')
    get(f"{web.address}/a.mp4")
    web.files["/a.mp4"] = File(b"new", etag='"2"')
    _loader(f"{web.address}/a.mp4", downloads).communicate(timeout=60)
    Downloads(downloads).forget_old(now=time.time() + 99 * ONE_DAY)
    assert [path.read_bytes() for path in downloads.glob("*/*/a.mp4")] == [b"used"]

    assert get(f"{web.address}/a.mp4").path.read_bytes() == b"new"


def test_forgetting_where_nothing_is_kept_is_no_error(tmp_path: Path) -> None:
    Downloads(tmp_path / "none").forget_old()


# Names


@pytest.mark.parametrize(
    ("disposition", "kind", "address", "name"),
    [
        ("", "video/mp4", "https://a.example/in/bread.mp4", "bread.mp4"),
        ('attachment; filename="Fresh bread.MOV"', "", "https://a.example/in/x", "Fresh bread.MOV"),
        ("attachment; filename*=UTF-8''Br%C3%B6tchen.mp4", "", "https://a.example/x", "Brötchen.mp4"),
        ('attachment; filename="../../etc/passwd"', "video/mp4", "https://a.example/x", "passwd.mp4"),
        ('attachment; filename="..\\..\\a:b.mp4"', "", "https://a.example/x", "a_b.mp4"),
        ('attachment; filename="con.mp4"', "", "https://a.example/x", "_con.mp4"),
        ("", "video/quicktime", "https://a.example/get/abc", "abc.mov"),
        ("", "video/mp4", "https://a.example/", "video.mp4"),
        ("", "", "https://a.example/%2e%2e%2fx%0ay.mp4", "x y.mp4"),
        ("", "", f"https://a.example/{'x' * 300}.mp4", "x" * 96 + ".mp4"),
        ("", "", f"https://a.example/{'漢' * 96}.mp4", "漢" * 65 + ".mp4"),
        ("", "", f"https://a.example/{'漢' * 96}", "漢" * 66),
        ("attachment; filename*0=a; filename*=b", "", "https://a.example/x.mp4", "x.mp4"),
        (f"attachment; filename*{'1' * 5000}=a", "", "https://a.example/x.mp4", "x.mp4"),
        ("attachment; filename*=idna''x%ff", "", "https://a.example/x.mp4", "x.mp4"),
    ],
)
def test_a_download_has_the_name_that_people_know(disposition: str, kind: str, address: str, name: str) -> None:
    headers = {"Content-Disposition": disposition.encode(), "Content-Type": kind.encode()}
    answer = httpx.Response(200, headers={key: value for key, value in headers.items() if value})

    assert name_on_web(answer, httpx.URL(address)) == name


def test_a_name_is_never_a_path() -> None:
    for name in ("/", "..", ".", "", "a/..", "\\", "\0", ".part", "kept.json"):
        found = file_name_for([name])
        assert Path(found).name == found
        assert found not in ("", ".", "..", ".part")


def test_what_people_write_is_told_apart() -> None:
    assert is_elsewhere("HTTPS://a.example/b.mp4")
    assert is_elsewhere("block://remote-file-system/main/b.mp4")
    assert not is_elsewhere("C:\\videos\\b.mp4")
    assert shown_name(f"https://a.example/b.mp4?{SECRET}") == "a.example/…/b.mp4"
    assert shown_name("block://smb/nas/in/b.mp4") == "b.mp4"
    assert PostForm(video=f" 'https://a.example/b.mp4?{SECRET}' ", accounts=["X"]).file_name == "a.example/…/b.mp4"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("s3://me:SIGNATURE@bucket/in/a.mp4?SIGNATURE", "^bucket/…/a.mp4 .* s3://. Save a block Remote File System"),
        ("GS://bucket/a.mp4", "the base path gs://…, and write block://remote-file-system/NAME/PATH"),
        ("smb://me:SIGNATURE@nas", "^nas cannot .* smb://. Save a block SMB for the share, and write block://smb/NAME/"),
        ("ftp://me:SIGNATURE@host/a.mp4", "^host/…/a.mp4 cannot .* ftp://. FTP is not supported. Give its https://"),
        ("file:///videos/a.mp4", "^a.mp4 cannot .* file://. Write the path of the file alone"),
    ],
)  # fmt: skip
def test_an_address_of_a_storage_is_one_sentence_without_its_key(source: str, words: str) -> None:
    """It says what to write in its place."""
    with pytest.raises(InputError, match=words) as error:
        read_video(source)
    assert SECRET not in str(error.value)


# In a plan


def _plan(folder: Path, *sources: str) -> Plan:
    path = folder / "plan.csv"
    path.write_text("\n".join(["video,when", *(f'"{source}",now' for source in sources)]), "utf-8")
    return read_plan(str(path), folder=None, options=ReadingOptions(), now=datetime.now(UTC))


def test_an_address_in_a_plan_is_not_looked_up_beside_it(tmp_path: Path) -> None:
    """Nor in the file with the wrong rows."""
    sources = ("https://a.example/b.mp4", "block://smb/nas/in/b.mp4", "b.mp4")

    plan = _plan(tmp_path, *sources)

    assert [row.video for row in plan.rows] == [*sources[:2], str(tmp_path / "b.mp4")]
    wrong = [RowProblem(number, "video", "video", "wrong") for number in (1, 2, 3)]
    (tmp_path / "else").mkdir()
    written = write_problems(plan, wrong, tmp_path / "else" / "plan.problems.csv").read_text("utf-8-sig")
    assert [line.partition(",")[0] for line in written.splitlines()[1:]] == [*sources[:2], str(tmp_path / "b.mp4")]


def test_a_plan_is_checked_with_the_videos_of_its_addresses(
    web: FileServer, tmp_path: Path, clip: Any, on_loopback: None
) -> None:
    """Without a server; of what is in a storage, which needs one, only how its path is written."""
    web.files["/good.mp4"] = File(clip("good.mp4").read_bytes())
    web.files["/page.mp4"] = File(b"<html>")
    plan = _plan(
        tmp_path, f"{web.address}/good.mp4", f"{web.address}/page.mp4", "block://smb/nas/b.mp4", "block://smb/b.mp4"
    )

    found = check_alone(plan, datetime.now(UTC))

    assert [(problem.number, problem.column) for problem in found.problems] == [(2, "video"), (4, "video")]
    assert "is a web page, not a video" in found.problems[0].sentence
    assert "is not a path in a storage" in found.problems[1].sentence


def test_a_full_disk_is_no_fault_of_a_row(
    web: FileServer, tmp_path: Path, on_loopback: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.files["/a.mp4"] = File(b"video")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))

    found = check_alone(_plan(tmp_path, f"{web.address}/a.mp4"), datetime.now(UTC))

    assert [(problem.number, problem.code) for problem in found.problems] == [(1, "disk_full")]


def test_a_server_that_is_away_is_asked_again_and_then_its_row_is_wrong(
    web: FileServer, clip: Any, on_loopback: None
) -> None:
    web.files["/away.mp4"] = File(status=503)
    web.files["/back.mp4"] = File(status=503)
    video = clip("small.mp4").read_bytes()  # not first made by two threads at once, below
    slept = list[float]()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        web.files["/back.mp4"] = File(video)

    rows = [PlanRow(number, f"{web.address}/{name}.mp4") for number, name in enumerate(("away", "back"))]
    found = read_videos([(row, None) for row in rows], None, sleep=sleep)

    assert isinstance(found[0], InputError)
    assert isinstance(found[1], Video)
    assert sorted(set(slept)) == list(PAUSES)


def test_a_video_that_breaks_a_limit_is_named_as_it_was_given(web: FileServer, clip: Any, on_loopback: None) -> None:
    """And not by the folder in which its copy is kept."""
    web.files["/long.txt"] = File(b"no video at all")

    with pytest.raises(InputError, match=r"^127\.0\.0\.1/…/long\.txt cannot be published"):
        read_video(f"{web.address}/long.txt")
