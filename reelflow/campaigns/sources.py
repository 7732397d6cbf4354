"""Where a campaign plan comes from: a file, or a web address. Its bytes, within limits."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import httpx

from reelflow.answers import Answer, receive
from reelflow.downloads.names import told_name
from reelflow.downloads.reach import Reach
from reelflow.downloads.web import follow
from reelflow.errors import InputError
from reelflow.transport import REQUEST_TIMEOUT
from reelflow.wording import one_line

MOST_BYTES = 20_000_000
"""Bytes of a plan, as of any answer that reelflow reads. 5000 posts with 2200 characters each have 11 MB."""
LOAD_SECONDS = 60.0
"""For each address on the way, as for any answer: `MOST_BYTES` at 3 Mbit/s."""
KINDS = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".json": "json", ".yaml": "yaml", ".yml": "yaml"}
"""By the ending of a file's name."""

_TYPES = {
    "text/csv": "csv", "text/tab-separated-values": "csv", "application/json": "json",
    "application/yaml": "yaml", "application/x-yaml": "yaml", "text/yaml": "yaml",
}  # fmt: skip
"""By the type that a service names, where the address has no such ending: Google's does not."""
_KNOWN = ".csv, .tsv, .txt, .json, .yaml or .yml"
_INSTEAD = "Save the file and give its path."


def kind_of(path: Path, name: str) -> str:
    """What a plan is written in, by the ending of its name: csv, json or yaml.

    Raises:
        InputError: it is none of these.
    """
    if kind := KINDS.get(path.suffix.lower()):
        return kind
    hint = "In Excel: Save as, 'CSV UTF-8'." if path.suffix.lower().startswith((".xls", ".ods", ".numbers")) else ""
    raise InputError(f"{name} is not a kind of plan that can be read. Save it as {_KNOWN}. {hint}".rstrip())


def read_bytes(path: Path, name: str) -> bytes:
    """The bytes of a plan's file.

    Raises:
        InputError: it is no file, too large, or cannot be read.
    """
    try:
        if not path.is_file():
            raise InputError(f"{name} is not a file. Give the path of a plan ({_KNOWN}), or of a folder with videos.")
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{name} cannot be read ({one_line(why)}).") from None
    if len(data) > MOST_BYTES:
        raise InputError(_too_large(name))
    return data


def load(address: str, name: str, *, transport: httpx.BaseTransport | None = None) -> tuple[bytes, str]:
    """The bytes of a plan on the web, and what it is written in. No name, password or key goes with the request.

    Args:
        address: Where it is.
        name: What it is called in the sentence that refuses it.
        transport: For tests: an ``httpx.BaseTransport`` to use in place of the network.

    Raises:
        InputError: it cannot be loaded, is too large, or no kind of plan.
    """
    reach = Reach(plain_http=True)
    try:
        answer, first, last = follow(address, name, lambda url: _get(url, name, reach, transport), instead=_INSTEAD)
    except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, ValueError, OSError) as error:
        said = one_line(str(error)) or type(error).__name__
        raise InputError(
            f"{name} could not be loaded ({said}). Check the address, or save the file and give its path."
        ) from None
    return _body(answer, name), _kind(answer, name, first, last)


def _get(url: httpx.URL, name: str, reach: Reach, transport: httpx.BaseTransport | None) -> Answer:
    headers = {"User-Agent": "reelflow", "Accept": "*/*", "Accept-Encoding": "gzip"}
    client = httpx.Client(transport=transport) if transport else reach.client(url, name, REQUEST_TIMEOUT)
    with client:
        return receive(client, httpx.Request("GET", url, headers=headers), seconds=LOAD_SECONDS)


def _body(answer: Answer, name: str) -> bytes:
    if answer.status_code != 200:
        allowed = " Share it with everybody who has the link." if answer.status_code in (401, 403, 404) else ""
        raise InputError(f"{name} could not be loaded: its server answered {answer.status_code}.{allowed}")
    return answer.content


def _kind(answer: Answer, name: str, first: httpx.URL, last: httpx.URL) -> str:
    """By the type that is told, else by an ending: of the last address, the file's name, or the first address.

    Dropbox tells "application/binary", and its last address ends with "file".
    """
    told = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if told == "text/html":
        raise InputError(f"{name} is a web page, not a plan. Give the address from which the file itself is loaded.")
    if kind := _TYPES.get(told):
        return kind
    paths = [Path(PurePosixPath(each).name) for each in (last.path, told_name(answer), first.path)]
    return kind_of(next((path for path in paths if path.suffix.lower() in KINDS), paths[0]), name)


def _too_large(name: str) -> str:
    return f"{name} is larger than {MOST_BYTES / 1e6:g} MB, which no plan is. Divide it, or check that it is a plan."
