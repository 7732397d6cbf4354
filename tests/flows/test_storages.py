"""Videos from elsewhere in the flows: from a storage that a saved block names, and from the web."""

import contextlib
import io
import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from prefect.filesystems import SMB, LocalFileSystem, RemoteFileSystem
from support.client import client_of
from support.commands import reelflow
from support.file_server import File, FileServer
from support.seen import logs_of

from blocks import TaislyAccount
from flows.campaign import publish_campaign
from flows.publish import publish_video
from reelflow.campaigns.form import CampaignForm
from reelflow.downloads.finding import local_video
from reelflow.errors import CampaignFailed, InputError, OutcomeUnknown, ReelflowError
from reelflow.ledger import Ledger
from reelflow.posts.form import PostForm
from tasks.storages import open_storages

pytestmark = pytest.mark.usefixtures("server")
Clip = Callable[[str], Path]
SECRET = "wJalrXUtnFEMI"
IN_MEMORY = "block://remote-file-system/in-memory"


class _Failing(MemoryFileSystem):
    """A storage whose every file fails in the same way, as its key is wrong or its service away."""

    protocol = "failing"
    store: dict[str, Any] = {}  # noqa: RUF012 - as in fsspec
    error: Exception = PermissionError("AccessDenied")
    read: bytes | None = None

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        if self.read is None:
            raise self.error
        return {"name": path, "size": 1000, "type": "file"}

    def open(self, path: str, *_: Any, **__: Any) -> Any:
        storage = self

        class Reader:
            def __enter__(self) -> "Reader":
                return self

            def __exit__(self, *_: object) -> None:
                pass

            def read(self, _size: int) -> bytes:
                piece, storage.read = storage.read, b"" if isinstance(storage.error, EOFError) else None
                if piece is None:
                    raise storage.error
                return piece

        return Reader()


@pytest.fixture
def memory(server: str) -> Iterator[Any]:
    """A storage in the memory of this process, known by a saved block."""
    files = fsspec.filesystem("memory")
    RemoteFileSystem(basepath="memory://bucket/clips").save("in-memory", overwrite=True)
    yield files
    files.store.clear()


@pytest.fixture
def failing(server: str) -> Iterator[_Failing]:
    """A storage that fails, known by a saved block with a secret."""
    fsspec.register_implementation("failing", _Failing, clobber=True)
    RemoteFileSystem(basepath="failing://bucket", settings={"client": {"secret": SECRET}}).save(
        "failing", overwrite=True
    )
    storage: _Failing = fsspec.filesystem("failing", client={"secret": SECRET})
    yield storage
    storage.error, storage.read = _Failing.error, None


@pytest.fixture
def taisly(server: str, sandbox: Any) -> TaislyAccount:
    return TaislyAccount(api_key="taisly_sandbox", base_url=sandbox.taisly_url, plan="PRO", first_look_seconds=0.01)


def _get(source: str) -> Any:
    return local_video(source, open_storages())


def test_a_video_in_a_storage_is_copied_once(memory: Any) -> None:
    """Until it changes there; a name may have any character."""
    memory.pipe("/bucket/clips/in/bread #1?.mp4", b"video" * 1_000_000)
    first = _get(f"{IN_MEMORY}/in/bread #1?.mp4")
    stat = first.path.stat()

    again = _get(f"{IN_MEMORY}/in/bread #1?.mp4")
    assert (again, again.path.stat().st_ino) == (first, stat.st_ino)
    assert first.path.read_bytes() == b"video" * 1_000_000
    assert first.path.name == "bread #1_.mp4"

    memory.pipe("/bucket/clips/in/bread #1?.mp4", b"other")
    assert _get(f"{IN_MEMORY}/in/bread #1?.mp4").path.read_bytes() == b"other"


class _Share(MemoryFileSystem):
    """A storage that tells when a file was last read, and `told` of the file itself."""

    protocol = "share"
    told: dict[str, Any] = {}  # noqa: RUF012 - of the class, since each use makes a new one
    clock = itertools.count()
    read = 0
    cachable = False

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        return {"name": path, "size": 5, "type": "file", "time": next(self.clock), **self.told}

    def open(self, path: str, *_: Any, **__: Any) -> Any:
        type(self).read += 1
        return io.BytesIO(b"video")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"mtime": 1.5}, {"mtime": 2.5}),
        ({"ETag": '"1"', "LastModified": datetime(2026, 11, 27, tzinfo=UTC)}, {"ETag": '"2"'}),
        ({"generation": "1", "etag": "a"}, {"generation": "2", "etag": "a"}),
        ({"last_modified": datetime(2026, 11, 27, tzinfo=UTC)}, {"last_modified": datetime(2026, 11, 28, tzinfo=UTC)}),
    ],
    ids=["network share", "S3", "Google Cloud", "Azure"],
)
def test_a_video_that_was_only_read_is_not_copied_again(
    server: str, first: dict[str, Any], second: dict[str, Any]
) -> None:
    """Its storage tells when that was; our own check reads it."""
    fsspec.register_implementation("share", _Share, clobber=True)
    RemoteFileSystem(basepath="share://nas").save("a-share", overwrite=True)
    _Share.told, before = first, _Share.read

    found = [_get("block://remote-file-system/a-share/bread.mp4") for _ in range(2)]
    assert found[0] == found[1]
    assert _Share.read - before == 1

    _Share.told = second
    _get("block://remote-file-system/a-share/bread.mp4")
    assert _Share.read - before == 2


def test_a_video_in_a_folder_of_this_machine_stays_where_it_is(server: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bread.mp4").write_bytes(b"video")
    (tmp_path / "in" / "out.mp4").symlink_to("/etc/hosts")
    LocalFileSystem(basepath=str(tmp_path / "in")).save("a-folder", overwrite=True)

    assert _get("block://local-file-system/a-folder/bread.mp4").path == tmp_path / "in" / "bread.mp4"
    with pytest.raises(InputError, match=r"out\.mp4 is outside of the folder"):
        _get("block://local-file-system/a-folder/out.mp4")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("block://remote-file-system/in-memory", "is not a path in a storage. Write block://"),
        ("block://remote-file-system/in-memory/", "is not a path in a storage"),
        ("block://in-memory/bread.mp4", "is not a path in a storage"),
        (f"{IN_MEMORY}/../../bread.mp4", "leads out of the folder of its storage"),
        (f"{IN_MEMORY}/none.mp4", "none.mp4 is not in its storage. Check the path"),
        (f"{IN_MEMORY}/in", "in is a folder of its storage"),
        (f"{IN_MEMORY}/large.mp4", "large.mp4 is larger than 500 MB"),
        ("block://remote-file-system/nobody/a.mp4", "There is no saved block remote-file-system/nobody"),
        ("block://s3-bucket/main/a.mp4", "Videos cannot be read from a block of the type 's3-bucket'"),
        ("block://remote-file-system/of-dropbox/a.mp4", "not installed .* uv pip install dropboxdrivefs"),
        ("block://remote-file-system/of-nothing/a.mp4", "nothing reads a storage nothing://"),
        ("block://remote-file-system/of-the-web/a.mp4", "The storage of a.mp4 is a web server"),
        ("s3://bucket/a.mp4", "a.mp4 cannot be read from .* s3://. Save a block Remote File System"),
        ("block://smb/of-windows/a.mp4", "uv pip install smbprotocol"),
    ],
)  # fmt: skip
def test_what_is_no_video_in_a_storage_is_one_sentence(memory: Any, downloads: Path, source: str, words: str) -> None:
    for name, base in (
        ("of-dropbox", "dropbox://x"),
        ("of-nothing", "nothing://x"),
        ("of-the-web", "http://10.0.0.1/x"),
    ):
        RemoteFileSystem(basepath=base).save(name, overwrite=True)
    SMB(share_path="/share", smb_host="nas", smb_password=SECRET).save("of-windows", overwrite=True)
    memory.pipe("/bucket/clips/in/bread.mp4", b"video")
    if "large" in source:
        memory.pipe("/bucket/clips/large.mp4", bytes(500_000_001))

    with pytest.raises(InputError, match=words):
        _get(source)
    assert list(downloads.glob("*/*/*")) == []


@pytest.mark.parametrize(
    ("error", "read", "kind", "words"),
    [
        (
            PermissionError("AccessDenied"),
            None,
            InputError,
            "The storage does not allow reading a.mp4. Check that the key in the block is right",
        ),
        (PermissionError("AccessDenied"), b"x", InputError, "The storage does not allow reading a.mp4"),
        (TimeoutError("timed out"), b"x", OutcomeUnknown, "could not be read from its storage .timed out"),
        (RuntimeError(f"bad key {SECRET}."), None, OutcomeUnknown, "from its storage .bad key …"),
        (ValueError(f"bad key {SECRET}."), None, InputError, "from its storage .bad key ….. Correct the settings"),
        (EOFError(), b"x", OutcomeUnknown, "ended after 1 of 1,000 bytes"),
    ],
    ids=["no permission", "no permission to read", "away", "with a secret", "bad settings", "too short"],
)
def test_a_storage_that_fails_is_one_sentence_without_its_key(
    failing: _Failing, downloads: Path, error: Exception, read: bytes | None, kind: type[ReelflowError], words: str
) -> None:
    failing.error, failing.read = error, read

    with pytest.raises(kind, match=words) as raised:
        _get("block://remote-file-system/failing/a.mp4")
    assert SECRET not in str(raised.value)
    assert list(downloads.glob("*/*/*")) == []


class _Unconnected(MemoryFileSystem):
    """A storage that connects when it is made, and cannot."""

    protocol = "unconnected"
    cachable = False
    error: Exception = ValueError()
    cause: Exception | None = None

    def __init__(self, **_: Any) -> None:
        if self.cause is None:
            raise self.error
        try:
            raise self.cause
        except OSError:
            raise self.error  # noqa: B904 - as libraries do


@pytest.mark.parametrize(
    ("error", "cause", "kind", "words"),
    [
        (ValueError("Failed to connect"), ConnectionRefusedError(), OutcomeUnknown, "could not be read .*Failed to co"),
        (ConnectionResetError("reset"), None, OutcomeUnknown, "could not be read from its storage .reset.."),
        (TypeError("no such setting"), None, InputError, "no such setting.. Correct the settings of its block"),
        (ValueError("negative wait"), None, InputError, "negative wait.. Correct the settings of its block"),
        (RuntimeError("logon failure"), None, InputError, "logon failure.. Correct the settings of its block"),
        (FileNotFoundError("no key file"), None, InputError, "no key file.. Correct the settings of its block"),
        (RuntimeError("no key"), FileNotFoundError(), InputError, "no key.. Correct the settings of its block"),
    ],
    ids=["network share", "reset", "unknown setting", "wrong setting", "wrong password", "no key file", "no key"],
)
def test_a_storage_that_cannot_be_connected_to_is_away_and_anything_else_is_of_its_settings(
    server: str, error: Exception, cause: Exception | None, kind: type[ReelflowError], words: str
) -> None:
    """Trying again corrects no password."""
    _Unconnected.error, _Unconnected.cause = error, cause
    fsspec.register_implementation("unconnected", _Unconnected, clobber=True)
    RemoteFileSystem(basepath="unconnected://x").save("unconnected", overwrite=True)
    with pytest.raises(kind, match=words):
        _get("block://remote-file-system/unconnected/a.mp4")


@pytest.mark.parametrize("quote", [str, repr], ids=["as it is", "quoted"])
@pytest.mark.parametrize("before", [0, 270, 290])
def test_no_part_of_a_private_key_is_shown(failing: _Failing, quote: Callable[[str], str], before: int) -> None:
    """Not over several lines, not quoted, not where the message is cut, and not its short end: the whole goes first."""
    lines = ["-----BEGIN KEY-----", "MIIEvQIBADANBgkqhkiG", "9w0BAQEFAASCBKcwggSj", "Qg=="]
    settings = {"client": {"secret": SECRET}, "token": {"private_key": "\n".join(lines)}}
    RemoteFileSystem(basepath="failing://bucket", settings=settings).save("with-key", overwrite=True)
    storage: _Failing = fsspec.filesystem("failing", **settings)
    storage.error = RuntimeError("x" * before + quote(f"{lines[1]}\nor {settings['token']['private_key']}"))

    with pytest.raises(OutcomeUnknown) as raised:
        _get("block://remote-file-system/with-key/a.mp4")
    assert "MIIE" not in str(raised.value)
    assert "9w0B" not in str(raised.value)
    assert "Qg==" not in str(raised.value)


def test_a_copy_is_used_while_its_storage_is_away(failing: _Failing, memory: Any) -> None:
    """And the report says so. Where the block leads to another storage by now, the copy is none of that one."""
    failing.error, failing.read = EOFError(), bytes(1000)
    first = _get("block://remote-file-system/failing/a.mp4")
    failing.error, failing.read = TimeoutError("timed out"), None

    again = _get("block://remote-file-system/failing/a.mp4")
    assert again.path == first.path
    assert "a.mp4 could not be read from its storage (timed out). The copy from" in again.note

    settings = {"client": {"secret": SECRET}}
    RemoteFileSystem(basepath="failing://other", settings=settings).save("failing", overwrite=True)
    with pytest.raises(OutcomeUnknown, match="timed out"):
        _get("block://remote-file-system/failing/a.mp4")


def test_a_server_that_is_away_may_be_tried_again(memory: Any) -> None:
    with (
        client_of("http://127.0.0.1:1/api"),
        pytest.raises(OutcomeUnknown, match="The Prefect server cannot be reached"),
    ):
        _get(f"{IN_MEMORY}/a.mp4")


def test_a_video_from_a_storage_is_published(taisly: TaislyAccount, sandbox: Any, memory: Any, clip: Clip) -> None:
    """Started again, it is not sent again: what counts is its content."""
    memory.pipe("/bucket/clips/bread.mp4", clip("good.mp4").read_bytes())
    form = PostForm(video=f"{IN_MEMORY}/bread.mp4", accounts=["all"], caption="Bread", watch_minutes=1)

    first = publish_video(taisly, form, return_state=True)
    again = publish_video(taisly, form, return_state=True)

    assert [first.is_completed(), again.is_completed()] == [True, True], first.message
    assert len(sandbox.posts) == 1


def test_a_video_on_the_web_is_published_and_its_key_is_shown_nowhere(
    taisly: TaislyAccount, sandbox: Any, clip: Clip, on_loopback: None, ledger_url: str
) -> None:
    """A link may hold one."""
    with FileServer() as web:
        web.files[f"/bread.mp4?key={SECRET}"] = File(clip("good.mp4").read_bytes(), etag='"1"')
        form = PostForm(video=f"{web.address}/bread.mp4?key={SECRET}", accounts=["all"], watch_minutes=1)
        state = publish_video(taisly, form, return_state=True)
        again = publish_video(taisly, form, return_state=True)

    assert [state.is_completed(), again.is_completed()] == [True, True], state.message
    assert len(sandbox.posts) == 1
    assert web.sent == 1
    with contextlib.closing(Ledger(ledger_url)) as ledger:
        [(send, _)] = ledger.recent_sends(0)
    assert send.file_name == "bread.mp4"
    assert SECRET not in f"{send} {state.message} {logs_of(state)}"


def test_a_web_server_that_fails_is_asked_again_by_the_step(taisly: TaislyAccount, on_loopback: None) -> None:
    """Then the run fails with one sentence, and nothing was sent."""
    with FileServer() as web:
        web.files["/bread.mp4"] = File(status=503)
        form = PostForm(video=f"{web.address}/bread.mp4", accounts=["all"])
        state = publish_video(taisly, form, return_state=True)

    assert state.is_failed()
    assert state.message == "127.0.0.1/…/bread.mp4 could not be downloaded: its server answered 503."
    assert len(web.asked) == 7


def test_the_videos_of_a_plan_may_be_anywhere(
    taisly: TaislyAccount, sandbox: Any, memory: Any, videos: Callable[[int], Path], tmp_path: Path, on_loopback: None
) -> None:
    """A row whose video cannot be loaded is wrong, and the others are sent."""
    memory.pipe("/bucket/clips/cake.mp4", videos(2).read_bytes())
    when = (datetime.now(UTC) + timedelta(days=7)).replace(microsecond=0)
    with FileServer() as web:
        web.files[f"/bread.mp4?key={SECRET}"] = File(videos(1).read_bytes())
        plan = tmp_path / "plan.csv"
        sources = [f"{web.address}/bread.mp4?key={SECRET}", f"{IN_MEMORY}/cake.mp4", f"{web.address}/tart.mp4?{SECRET}"]
        rows = [f"{source},{when + timedelta(hours=n)}" for n, source in enumerate(sources)]
        plan.write_text("\n".join(["video,when", *rows]))
        form = CampaignForm(plan=str(plan), accounts=["Instagram"], if_rows_are_wrong="send the right ones")
        state = publish_campaign(taisly, form, None, return_state=True)

    result = state.result(raise_on_failure=False)
    assert isinstance(result, CampaignFailed)
    lines = {line.number: line for line in result.report.lines if line.number}
    assert [lines[n].outcome for n in (1, 2, 3)] == ["scheduled", "scheduled", "wrong"]
    assert lines[3].video == "127.0.0.1/…/tart.mp4"
    assert "server answered 404" in lines[3].detail
    assert SECRET not in state.message + result.report.model_dump_json() + logs_of(state)


def test_the_commands_take_addresses(taisly: TaislyAccount, sandbox: Any, clip: Clip, on_loopback: None) -> None:
    """`reelflow publish` and `reelflow check`, and a plan that is checked without a server."""
    taisly.save("elsewhere", overwrite=True)
    with FileServer() as web:
        web.files["/bread.mp4"] = File(clip("good.mp4").read_bytes(), etag='"1"')
        address = f"{web.address}/bread.mp4"
        checked = reelflow("check", address, f"{web.address}/cake.mp4?{SECRET}")
        done = reelflow("publish", address, "--to", "all", "--block", "elsewhere", "--dry-run")

    assert checked.returncode == 1
    assert "ok    127.0.0.1/…/bread.mp4" in checked.stdout
    assert "ERROR 127.0.0.1/…/cake.mp4" in checked.stdout
    assert "its server answered 404. Check the address" in checked.stdout
    assert SECRET not in checked.stdout
    assert done.returncode == 0, done.stderr
    assert sandbox.posts == []
    assert web.sent == 1
