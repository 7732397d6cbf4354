"""Find a video in a storage that a saved Prefect block names: S3, Google Cloud, a network share, whatever fsspec reads.

Steps hand this to the engine, which knows neither Prefect nor fsspec.
"""

import re
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any

import fsspec
from fsspec.registry import known_implementations
from prefect.filesystems import SMB, LocalFileSystem, RemoteFileSystem
from pydantic import SecretStr

from blocks.reference import load_saved
from reelflow.downloads.source import Storages, Stored, StoredFile, StoredPath
from reelflow.errors import InputError, OutcomeUnknown, ReelflowError
from reelflow.transport import redact
from reelflow.wording import one_line
from tasks.prefect_server import asking_prefect

KINDS = {kind.get_block_type_slug(): kind for kind in (RemoteFileSystem, SMB, LocalFileSystem)}
"""The blocks that reelflow reads videos from, by the slug that `prefect block ls` shows."""
WEB = ("http", "https", "ftp")
"""Protocols that a storage may not have: an address on the web is checked before it is loaded, and fsspec does not."""
PACKAGES = {"smb": "smbprotocol", "sftp": "paramiko", "ssh": "paramiko"}
"""What fsspec's own readers need; those of other packages are named after them."""
OF_FILES = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
"""The errors of the system that are not of a network."""
SHORTEST_SECRET = 4
"""Characters; a shorter value of the block's settings is a port or a name, which no message needs to hide."""
SHORTEST_LINE = 8
"""Characters; a shorter line of a longer secret, such as a private key, tells nothing of it."""
MARKS = (
    "generation", "etag", "md5hash", "crc32c", "checksum", "content_hash",
    "mtime", "lastmodified", "last_modified", "last_write_time", "modificationtime", "modify", "updated",
)  # fmt: skip
"""What storages tell of a file that is another one when it has changed, the surest first; in small letters."""
PLAIN_SETTINGS = ("host", "port", "region", "region_name", "project", "endpoint_url", "anon", "token_type")
"""Settings of a block that are no secret, and help to understand what a storage says."""


def open_storages() -> Storages:
    """What finds files in storages, and loads each block once."""
    blocks, lock = dict[tuple[str, str], Any](), Lock()

    def find(wanted: StoredPath, name: str) -> Stored | Path:
        with lock:
            if (wanted.kind, wanted.block) not in blocks:
                blocks[wanted.kind, wanted.block] = _load(wanted)
            block = blocks[wanted.kind, wanted.block]
        if isinstance(block, LocalFileSystem):
            return _in_folder(block, wanted.path, name)
        remote: RemoteFileSystem = block.filesystem if isinstance(block, SMB) else block
        # Not the block's own way to make a path: that takes a "?" or "#" in a name for the end of it.
        where = f"{remote.basepath.rstrip('/')}/{wanted.path.lstrip('/')}"
        return Stored(where, lambda: _find(remote, where, name))

    return find


def _load(wanted: StoredPath) -> Any:
    """The saved block.

    Raises:
        InputError: there is none, or it is none that videos are read from.
        OutcomeUnknown: the server cannot be asked.
    """
    kind = KINDS.get(wanted.kind)
    if kind is None:
        raise InputError(
            f"Videos cannot be read from a block of the type {wanted.kind!r}. Use one of: {', '.join(KINDS)}. For S3 "
            "and Google Cloud, that is remote-file-system with the base path s3://… or gs://…."
        )
    with asking_prefect():
        found = load_saved(kind, wanted.block)
    if found is None:
        raise InputError(
            f"There is no saved block {wanted.kind}/{wanted.block}. Save it in the UI under Blocks, or use one that "
            "`prefect block ls` shows."
        )
    return found


def _in_folder(block: LocalFileSystem, path: str, name: str) -> Path:
    """A file of this machine is used where it is."""
    folder = Path(block.basepath or ".").expanduser().resolve()
    found = (folder / path).resolve()
    if not found.is_relative_to(folder):
        raise InputError(f"{name} is outside of the folder of its storage. Move it there, or give its own path.")
    return found


def _find(remote: RemoteFileSystem, where: str, name: str) -> StoredFile:
    kind, explain = _kind(remote, name), _explain(remote, name)
    try:
        files = kind(**remote.settings)
    except Exception as error:  # noqa: BLE001 - each storage's library has errors of its own
        raise _explain(remote, name, is_open=False)(error) from None
    try:
        files.invalidate_cache()  # one that was listed before knows the file as it was then
        info = files.info(where)
        size = info.get("size")
        version = _version(info) or str(files.ukey(where))
    except Exception as error:  # noqa: BLE001
        raise explain(error) from None
    if info.get("type") == "directory":
        raise _is_folder(name)
    return StoredFile(size if isinstance(size, int) else None, version, lambda: files.open(where, "rb"), explain)


def _version(info: dict[str, Any]) -> str:
    """What of a file's facts tells that it has changed; empty for nothing.

    Not all of them, as in fsspec's `ukey`: a network share tells when the file was last read, and we read it.
    """
    told = {key.lower(): value for key, value in info.items()}
    mark = next((mark for mark in MARKS if told.get(mark)), None)
    return f"{mark} {told[mark]}, {told.get('size')} bytes" if mark else ""


def _kind(remote: RemoteFileSystem, name: str) -> Any:
    """What reads a storage, to be made with its settings; some connect at once.

    Raises:
        InputError: nothing does here.
    """
    protocol = remote.basepath.partition("://")[0].lower()
    if protocol.split("::")[-1] in WEB:
        raise InputError(
            f"The storage of {name} is a web server ({protocol}), which is not read as a storage. Give the https "
            "address of the video itself."
        )
    try:
        return fsspec.get_filesystem_class(protocol)
    except ImportError:
        reader = str(known_implementations.get(protocol, {}).get("class", protocol))
        package = PACKAGES.get(protocol, reader.partition(".")[0])
        raise InputError(
            f"{name} cannot be read: a storage {protocol}:// needs a package that is not installed on the machine that "
            f"runs the flow. Install it there: uv pip install {package}."
        ) from None
    except ValueError:
        raise InputError(
            f"{name} cannot be read: nothing reads a storage {protocol}://. Correct the base path of its block in the "
            "UI under Blocks."
        ) from None


def _explain(remote: RemoteFileSystem, name: str, *, is_open: bool = True) -> Callable[[Exception], Exception]:
    """Makes one of our errors from what a storage raises; before it is open, that is a matter of its settings."""
    secrets = sorted(_secrets(remote.settings), key=len, reverse=True)

    def explain(error: Exception) -> Exception:
        if isinstance(error, ReelflowError):
            return error
        if is_open and isinstance(error, FileNotFoundError):
            return InputError(f"{name} is not in its storage. Check the path, which begins below that of the block.")
        if isinstance(error, PermissionError):
            return InputError(
                f"The storage does not allow reading {name}. Check that the key in the block is right and has "
                "permission to read there."
            )
        if isinstance(error, IsADirectoryError):
            return _is_folder(name)
        said = str(error)
        for secret in secrets:  # before it is made one line: that cuts it, and changes line breaks
            said = redact(said, secret)
        said = (one_line(said) or type(error).__name__).rstrip(".")
        if _is_of_connection(error) or (is_open and not isinstance(error, TypeError | ValueError)):
            return OutcomeUnknown(f"{name} could not be read from its storage ({said}).")
        return InputError(
            f"{name} cannot be read from its storage ({said}). Correct the settings of its block in the UI under "
            "Blocks."
        )

    return explain


def _is_of_connection(error: BaseException | None) -> bool:
    """Whether the network failed, whatever a library makes of that: smbprotocol makes a ValueError."""
    while error is not None:
        if isinstance(error, OSError | EOFError) and not isinstance(error, OF_FILES):
            return True
        error = error.__cause__ or error.__context__
    return False


def _is_folder(name: str) -> InputError:
    return InputError(f"{name} is a folder of its storage, not a video. Name a file in it.")


def _secrets(settings: Any) -> set[str]:
    """Every text in the settings of a block that may be a secret, however deep it is in them."""
    if isinstance(settings, dict):
        return {each for key, value in settings.items() if key not in PLAIN_SETTINGS for each in _secrets(value)}
    if isinstance(settings, list | tuple):
        return {each for value in settings for each in _secrets(value)}
    text = settings.get_secret_value() if isinstance(settings, SecretStr) else settings
    if not isinstance(text, str) or len(text) < SHORTEST_SECRET:
        return set()
    lines = {line for line in re.split(r"\\n|\s*\n", text) if len(line) >= SHORTEST_LINE}
    return {text, *lines} | {repr(each)[1:-1] for each in (text, *lines)}
