"""Ask before setup takes away what a person has saved."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from reelflow.errors import InputError
from reelflow.wording import listed


def confirm_removal(rows: Sequence[str], block: str, *, yes: bool) -> None:
    """Ask before phones are removed.

    Raises:
        InputError: the answer is no, or there is no terminal to ask in and no --yes.
    """
    if rows and not yes:
        _ask(
            f"Remove {listed(rows, '; ')} from the {block}? No run will use it any more.",
            no_terminal="There is no terminal to ask in. To remove phones without being asked, add --yes.",
            declined="No phone was removed, and the setup stopped there. Run it again without --remove-phone.",
        )


def confirm_sandbox(real: Sequence[str], *, yes: bool) -> None:
    """Ask before blocks of the real services become those of a sandbox.

    Args:
        real: What they would lose: "the API key of the block taisly-account/main".
        yes: Do not ask.

    Raises:
        InputError: the answer is no, or there is no terminal to ask in and no --yes.
    """
    if real and not yes:
        what = " and ".join(real)
        keep = "To keep them, try the sandbox with `reelflow up`, or with another Prefect server."
        _ask(
            f"Replace {what} with the sandbox's? They cannot be restored.",
            no_terminal=f"Setup would replace {what} with the sandbox's. To do that, add --yes. {keep}",
            declined=f"Setup stopped; no block was changed. {keep}",
        )


def confirm_client_removal(client: str, open_posts: str, *, yes: bool) -> None:
    """Ask before a client's block is deleted.

    Args:
        client: Its name.
        open_posts: What is said of its posts that have no outcome yet; empty if there are none.
        yes: Do not ask, and say it only.

    Raises:
        InputError: the answer is no, or there is no terminal to ask in and no --yes.
    """
    if yes:
        if open_posts:
            print(f"  WARNING: {open_posts}")
        return
    first = f"{open_posts}\n" if open_posts else ""
    _ask(
        f"{first}Remove the client {client} and its API key?",
        no_terminal=f"{first}There is no terminal to ask in. To remove the client {client} without being asked, add "
        "--yes.",
        declined="No client was removed.",
    )


def _ask(question: str, *, no_terminal: str, declined: str) -> None:
    if not sys.stdin.isatty():
        raise InputError(no_terminal)
    if input(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
        raise InputError(declined)
