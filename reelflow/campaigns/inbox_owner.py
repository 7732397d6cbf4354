"""Whose inbox a folder is: one client's videos never go to another's accounts, whatever a schedule says."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from reelflow.errors import InputError
from reelflow.wording import one_line

MARK = ".reelflow-client"
"""The file in an inbox that names its client. Hidden files are none of an inbox's own."""


def check_owner(folder: Path, client: str, clients: Collection[str], *, is_dry_run: bool = False) -> None:
    """Let the folder be this client's from now on, also if it is the only one: there may be a second one tomorrow.

    Args:
        folder: The inbox.
        client: Of the run.
        clients: All that are saved: the folder of one that is gone may be taken over.
        is_dry_run: Whether nothing is written.

    Raises:
        InputError: it is another client's, or it cannot be told whose it is.
    """
    if not client or not folder.is_dir():
        return
    owner = _owner(folder)
    if owner != client and owner in clients:
        raise InputError(
            f"{one_line(str(folder))} is the inbox of the client {owner}, and this run is for {client}. Nothing was "
            f"sent. Name another folder; to give this one to {client}, delete the file {MARK} in it."
        )
    if owner != client and not is_dry_run:
        with suppress(OSError):  # one that cannot be written is found out when videos are moved
            (folder / MARK).write_text(client, "utf-8")


def _owner(folder: Path) -> str:
    """The client that the mark names; empty if there is none."""
    try:
        return (folder / MARK).read_text("utf-8-sig").strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        reason = one_line(getattr(error, "strerror", "") or "it is no text")
        raise InputError(
            f"Whose inbox {one_line(str(folder))} is cannot be told: the file {MARK} in it cannot be read ({reason}). "
            "Nothing was sent. Let it be read, or delete it: the folder then belongs to the client whose run comes "
            "first."
        ) from None
