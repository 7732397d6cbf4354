"""Sending a post exactly once: claimed in the ledger, sent, and its answer or the loss of it put on record.

What is on record before each step is what makes it safe to be killed in it:

    claimed          nothing has left; another run takes over when this one is gone
    upload begins    the same: an upload that is not complete is not a post
    sealed           the last piece leaves: from here on the history decides
    accepted         the id is known; there is nothing left to lose
"""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from collections.abc import Callable, Iterator

from reelflow.errors import Busy, ClaimLost, LedgerUnavailable, NothingSent, ReelflowError
from reelflow.heartbeat import heartbeat
from reelflow.metered import BUSY_SECONDS, MeteredTaisly
from reelflow.models import CheckedPost, State
from reelflow.publishing import Seen, what_happened
from reelflow.watching import reconcile_now

log = logging.getLogger(__name__)

RETRY_PAUSES = (2.0, 10.0, 30.0)
"""Seconds before each new try of a send that certainly did not arrive."""
LOOK_AGAIN = 1.0
"""Seconds between two looks at a send that another run is making."""
STORE_TRIES = 5
"""How often the id of an accepted post is tried to be stored before it is left to the history."""
STORE_PAUSE = 0.2
"""Seconds before the second of them; doubled each time."""


def send_post(
    taisly: MeteredTaisly,
    post: CheckedPost,
    *,
    repeat: int = 0,
    flow_run: str | None = None,
    patience: float = 900.0,
    grace: float = 0.0,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Send `post` to those of its accounts that nobody has sent it to, and wait for those who are at it.

    When this returns, each destination is on record as ACCEPTED or better, REFUSED, UNCONFIRMED, or as SENDING with
    its answer lost, which `watching.follow` settles.

    Args:
        taisly: With the ledger in which destinations are claimed.
        post: What to send.
        repeat: 0 for the first time; another number sends the same again on purpose.
        flow_run: Id for the record.
        patience: Seconds to wait for room in the plan, for a busy service, and for other runs.
        grace: Seconds after which a post that the history does not show may be taken for not made, where Taisly
            answered 429 to a complete upload.
        progress: As in `TaislyClient.create_post`.

    Raises:
        NothingSent, Busy: it could not be sent; doing it again is safe.
        LedgerUnavailable: nothing is sent without the ledger.
        InputError: the file changed.
    """
    end = time.monotonic() + patience
    left = post
    while left.accounts:
        owner = uuid.uuid4().hex  # this very attempt: one flow run may be executed by two processes at once
        claim = taisly.ledger.claim(left, service=taisly.service, repeat=repeat, owner=owner, flow_run=flow_run)
        if claim.send_id is not None:
            part = post.model_copy(update={"accounts": claim.accounts})
            if _Attempt(taisly, part, claim.send_id, owner, end, progress).run():
                # Tried by this run, whatever came of it: a refusal may be claimed again, but only by another run.
                others = [a for a in left.accounts if a not in claim.accounts]
                left = left.model_copy(update={"accounts": others})
        elif not claim.waiting:
            return
        elif time.monotonic() > end:
            raise NothingSent("Another run is sending this post, and did not finish in time. Nothing was sent twice.")
        else:
            taisly.sleep(LOOK_AGAIN)


class _Attempt:
    """One claimed send, tried until it arrived, was refused, or may have arrived."""

    def __init__(
        self,
        taisly: MeteredTaisly,
        post: CheckedPost,
        send_id: str,
        owner: str,
        end: float,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self.taisly, self.ledger, self.post = taisly, taisly.ledger, post
        self.send_id, self.owner, self.end, self.progress = send_id, owner, end, progress

    def run(self) -> bool:
        """Send until there is an end to it; False if another run has taken the post over."""
        pauses = iter(RETRY_PAUSES)
        try:
            with heartbeat(lambda: self.ledger.renew(self.send_id, self.owner), self.ledger.lease_seconds / 3):
                while (wait := self._try(pauses)) is not None:
                    self.taisly.sleep(wait)
                    self.ledger.renew(self.send_id, self.owner)
        except ClaimLost as error:
            log.warning("%s", error)
            return False
        return True

    def _try(self, pauses: Iterator[float]) -> float | None:
        """Send once. None when there is an end to it, else the seconds until the next try."""
        ticket = self._ticket()
        sealed = False

        def seal() -> None:
            nonlocal sealed
            self.ledger.seal(self.send_id, self.owner)
            sealed = True

        try:
            self.ledger.begin(self.send_id, self.owner)
            accepted = self.taisly.create_post(
                self.post.video.path,
                [a.id for a in self.post.accounts],
                self.post.caption,
                preview_seconds=self.post.preview_second,
                scheduled=self.post.scheduled_for,
                progress=self.progress,
                expect=(self.post.video.size_bytes, self.post.video.modified_ns),
                before_last=seal,
            )
        except BaseException as error:
            return self._after(error, sealed, pauses)
        else:
            self._store(accepted.history_id)
            return None
        finally:
            with contextlib.suppress(ReelflowError):
                self.ledger.finish_request(ticket)

    def _store(self, history_id: str) -> None:
        """Store the id of the accepted post. If that cannot be done, the history will tell it again."""
        for attempt in range(STORE_TRIES):
            try:
                self.ledger.accepted(self.send_id, history_id)
            except LedgerUnavailable as error:
                log.warning("Accepted by Taisly as %s, but the ledger cannot take it: %s", history_id, error)
                self.taisly.sleep(STORE_PAUSE * 2**attempt)
            else:
                log.info("Taisly accepted the post: history id %s", history_id)
                return

    def _ticket(self) -> str:
        try:
            return self.taisly.wait_for_room(
                "send", self.end - time.monotonic(), while_waiting=lambda: self.ledger.renew(self.send_id, self.owner)
            )
        except Busy as error:
            self.ledger.give_back(self.send_id, str(error))
            raise

    def _after(self, error: BaseException, sealed: bool, pauses: Iterator[float]) -> float | None:
        """Put on record what `error` means, and say what to do: raise, end (None), or try again after some seconds."""
        seen, words = what_happened(error, sealed=sealed), str(error) or type(error).__name__
        if isinstance(error, ClaimLost):
            raise error
        if seen is Seen.REFUSED:
            self.ledger.settle(self.send_id, State.REFUSED, words)
            return None
        if seen is Seen.BUSY:
            assert isinstance(error, Busy)  # noqa: S101 - what BUSY means
            return self._rest(error, sealed)
        if seen is Seen.UNKNOWN:
            self.ledger.answer_lost(self.send_id, words)
            if not isinstance(error, Exception):
                raise error
            log.warning("The answer to the send was lost (%s). Looking for the post in the history.", error)
            return None
        pause = next(pauses, None) if isinstance(error, NothingSent) else None
        if pause is None or time.monotonic() + pause > self.end:
            self.ledger.give_back(self.send_id, words)
            if isinstance(error, NothingSent):
                error.message += " Nothing was posted: starting the run again is safe."
            raise error
        log.warning("%s Nothing was posted; trying again in %.0f s.", error, pause)
        self.ledger.give_back(self.send_id, words, keep_seconds=self.ledger.lease_seconds + pause)
        return pause

    def _rest(self, error: Busy, sealed: bool) -> float | None:
        """After a 429: let every run rest. It means "not taken"; but after a whole upload we look before we repeat."""
        wait = error.retry_after or BUSY_SECONDS
        self.ledger.block_key(self.taisly.key, wait)
        if time.monotonic() + wait > self.end:
            if sealed:
                self.ledger.answer_lost(self.send_id, str(error))
                return None
            self.ledger.give_back(self.send_id, str(error))
            raise error
        log.warning("%s", error)
        if sealed:
            self.taisly.sleep(wait)
            if reconcile_now(self.taisly, self.send_id):
                return None
            wait = 0.0
        self.ledger.give_back(self.send_id, str(error), keep_seconds=self.ledger.lease_seconds + wait)
        return wait
