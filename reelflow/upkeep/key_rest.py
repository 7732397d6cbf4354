"""Let an API key rest while it is replaced: no request with it begins, and no upload with it is in progress."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator

from reelflow.countdown import Countdown
from reelflow.errors import InputError, KeyLost, KeyNotSaved, NothingSent, ReelflowError, Refused
from reelflow.heartbeat import heartbeat
from reelflow.ledger import PERSON_SECONDS, Ledger
from reelflow.taisly.answers import SERVICE
from reelflow.wording import count, duration, listed

MARK_SECONDS = 60.0
"""How long runs wait for a rotation whose process has died, before they find out whether the key works; a living one
renews its mark three times as often."""
UNDECIDED_SECONDS = 600.0
"""How long they wait for a run that finds out whether the key is dead, after one that could not."""
UPLOAD_PAUSE = 2.0
"""Seconds between two looks for uploads. Two looks must find none: a request may be just about to begin."""


@contextlib.contextmanager
def at_rest(
    ledger: Ledger, service: str, key: str, *, patience: float | None, sleep: Callable[[float], None]
) -> Iterator[Callable[[], None]]:
    """No request with the key begins in the body. Where a person has to act after it, runs wait for that, too.

    The value of the `with` statement is called right before the key may die: it raises ClaimLost once another run has
    taken over. If the body then ends without knowing whether the key is dead, runs wait for the next rotation.

    Args:
        ledger: Where runs see it.
        service: Of the key.
        key: Its fingerprint.
        patience: Seconds to wait for uploads in progress; None if the key is dead anyway.
        sleep: How to wait.

    Raises:
        InputError: another run replaces or revokes the key.
        NothingSent: an upload takes longer.
    """
    owner, may_be_dead = uuid.uuid4().hex, False
    ledger.begin_rotation(key, owner, MARK_SECONDS)

    def renew() -> None:
        ledger.renew_rotation(key, owner, MARK_SECONDS)

    def confirm() -> None:
        nonlocal may_be_dead
        renew()
        may_be_dead = True

    try:
        with heartbeat(renew, MARK_SECONDS / 3):
            if patience is not None:
                _wait_for_uploads(ledger, service, key, Countdown(patience, sleep), patience)
            yield confirm
    except (InputError, NothingSent, Refused):
        raise
    except BaseException as error:  # also of a run that is cancelled
        seconds = PERSON_SECONDS if isinstance(error, KeyLost | KeyNotSaved) else UNDECIDED_SECONDS * may_be_dead
        if seconds:
            with contextlib.suppress(ReelflowError):
                ledger.await_new_key(key, owner, seconds)
        raise
    finally:
        with contextlib.suppress(ReelflowError):  # the mark ends by itself
            ledger.end_rotation(key, owner)


def let_runs_wait(ledger: Ledger, key: str) -> None:
    """Let runs wait for a person who has to put a working key into the block."""
    owner = uuid.uuid4().hex
    with contextlib.suppress(ReelflowError):  # they are refused then, which says the same
        ledger.begin_rotation(key, owner, MARK_SECONDS)
        ledger.await_new_key(key, owner, PERSON_SECONDS)


def _wait_for_uploads(ledger: Ledger, service: str, key: str, waiting: Countdown, patience: float) -> None:
    accounts = [account.id for account in ledger.known_accounts(key, float("inf")) or ()]
    looks_without = 0
    while True:
        files = ledger.uploads_in_progress(service, accounts)
        looks_without = 0 if files else looks_without + 1
        if looks_without == 2:
            return
        if files and not waiting.left:
            raise NothingSent(
                f"{count(len(files), 'upload is', 'uploads are')} still in progress after {duration(patience)}: "
                f"{listed(files)}. Nothing was changed, and the key still works. Run this again when they have "
                "finished.",
                service=SERVICE,
            )
        waiting.sleep(UPLOAD_PAUSE)
