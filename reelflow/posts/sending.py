"""Send a post exactly once: claim it in the ledger, send it, and record the answer or its loss.

Each step is recorded before it begins, so a run can safely be killed during any of them:

    claimed          nothing has left; another run takes over when this one is gone
    upload begins    the same: an upload that is not complete is not a post
    sealed           the last piece leaves: from here on the history decides
    accepted         the id is known; there is nothing left to lose
"""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from enum import StrEnum

from reelflow.countdown import Countdown
from reelflow.errors import (
    Busy,
    ClaimLost,
    InputError,
    LedgerUnavailable,
    NothingSent,
    ReelflowError,
    Refused,
    SentElsewhere,
)
from reelflow.heartbeat import heartbeat
from reelflow.ledger import DuplicateFound
from reelflow.posts.duplicates import refusal_of
from reelflow.posts.history import CLOCK_SLACK, GRACE, Look, look_for
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.posts.request_limit import BUSY_SECONDS
from reelflow.posts.schedule import check_time
from reelflow.records.post_states import PostState
from reelflow.records.posts import PostRequest
from reelflow.taisly.wire import AcceptedPost
from reelflow.time_zones import shown
from reelflow.wording import duration

log = logging.getLogger(__name__)

RETRY_PAUSES = (2.0, 10.0, 30.0)
"""Seconds before each new try of a send that certainly did not arrive."""
LOOK_PAUSE = 60.0
"""Seconds between two looks for a post that was answered with 429 after its whole upload."""
LOOK_AGAIN = 1.0
"""Seconds between two looks at a send that another run is making."""
STORE_TRIES = 5
"""How often storing the id of an accepted post is tried before it is left to the history."""
STORE_PAUSE = 0.2
"""Seconds before the second of them; doubled each time."""


class AfterSend(StrEnum):
    """What is known of a send after its request, and so what may be done next."""

    ACCEPTED = "ACCEPTED"
    NOT_SENT = "NOT_SENT"
    BUSY = "BUSY"
    REFUSED = "REFUSED"
    UNKNOWN = "UNKNOWN"


def what_happened(result: AcceptedPost | BaseException, *, sealed: bool) -> AfterSend:
    """What the answer to a send, or the error in its place, says about the post.

    Args:
        result: What the client returned or raised.
        sealed: Whether the last piece of the upload was released. A post whose upload was not complete is not out,
            whatever else went wrong. Once it is complete, only Taisly itself can refuse the post: a redirect, or the
            403 of a proxy, says nothing of what Taisly did.
    """
    if isinstance(result, AcceptedPost):
        return AfterSend.ACCEPTED
    if isinstance(result, Busy):
        return AfterSend.BUSY
    if isinstance(result, Refused) and (result.by_service or not sealed):
        return AfterSend.REFUSED
    return AfterSend.UNKNOWN if sealed else AfterSend.NOT_SENT


@dataclass
class SendResult:
    """Which sends carry a post now, and whether this run made one of them."""

    send_ids: set[str] = field(default_factory=set)
    sent_now: bool = False


def send_post(
    taisly: RateLimitedTaisly,
    request: PostRequest,
    *,
    flow_run: str | None = None,
    patience: float = 900.0,
    grace: float = GRACE,
    progress: Callable[[int, int], None] | None = None,
    on_claimed: Callable[[str], None] = lambda send_id: None,
    before_upload: Callable[[PostRequest], None] = lambda part: None,
    on_sealed: Callable[[PostRequest, str], None] = lambda part, send_id: None,
    turn: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> SendResult:
    """Send a post to those of its accounts that nobody has sent it to, and wait for runs that are doing so.

    When this returns, each destination is on record as ACCEPTED or better, REFUSED, UNCONFIRMED, or as SENDING with
    its answer lost, which `watching.watch_posts` settles.

    Args:
        taisly: With the ledger in which destinations are claimed.
        request: What to send.
        flow_run: Id for the record.
        patience: Seconds to wait for room in the plan, for a busy service, and for other runs. What `on_claimed` and
            `turn` wait for does not count.
        grace: Seconds within which a post may still appear in the history after a 429 to its whole upload.
        progress: As in `TaislyClient.create_post`.
        on_claimed: Called with the ID of the send once the post is claimed, before room in the plan is waited for. What
            it raises ends the send: nothing was posted.
        before_upload: The same once there is room, before each request, with the part of the post that it sends.
        on_sealed: Called once the part of the post may be out, with the ID of its send.
        turn: Entered before `before_upload`, and left after the request: it may wait until the upload may begin.

    Raises:
        NothingSent, Busy: it could not be sent; doing it again is safe.
        SentElsewhere: another run is still sending it.
        LedgerUnavailable: nothing is sent without the ledger.
        InputError: the file has changed, or cannot be read.
        TimePassed: its time passed while it waited.
        DuplicatePost: the same post, with something changed, has been sent to one of the accounts.
    """
    if request.video.fit is not None:
        raise InputError(f"{request.video.name} has not been made right yet, so it was not sent.")
    waiting = Countdown(patience, taisly.sleep)
    left, result = request, SendResult()
    while left.accounts:
        owner = uuid.uuid4().hex  # this very attempt: one flow run may be executed by two processes at once
        try:
            claim = taisly.ledger.claim(
                left, service=taisly.service, owner=owner, flow_run=flow_run, client=taisly.whose.name
            )
        except DuplicateFound as error:
            raise refusal_of(error.found, taisly.ledger.now()) from None
        result.send_ids.update(claim.settled)
        if claim.send_id is not None:
            part = request.model_copy(update={"accounts": claim.accounts})
            hooks = _Hooks(progress, on_claimed, before_upload, on_sealed, turn)
            if _Attempt(taisly, part, claim.send_id, owner, waiting, grace, hooks).run():
                result.send_ids.add(claim.send_id)
                result.sent_now = True
                # Tried by this run, whatever came of it: a refusal may be claimed again, but only by another run.
                others = [a for a in left.accounts if a not in claim.accounts]
                left = left.model_copy(update={"accounts": others})
        elif not claim.waiting:
            break
        elif not waiting.left:
            raise SentElsewhere(
                "Another run is still sending this post. Start this one again once the other has finished."
            )
        else:
            waiting.sleep(LOOK_AGAIN)
    return result


@dataclass(frozen=True)
class _Hooks:
    """What the caller of `send_post` wants to be called."""

    progress: Callable[[int, int], None] | None
    on_claimed: Callable[[str], None]
    before_upload: Callable[[PostRequest], None]
    on_sealed: Callable[[PostRequest, str], None]
    turn: Callable[[], AbstractContextManager[None]]


class _Attempt:
    """One claimed send, tried until it arrived, was refused, or may have arrived."""

    def __init__(
        self,
        taisly: RateLimitedTaisly,
        request: PostRequest,
        send_id: str,
        owner: str,
        waiting: Countdown,
        grace: float,
        hooks: _Hooks,
    ) -> None:
        self.taisly, self.ledger, self.request = taisly, taisly.ledger, request
        self.send_id, self.owner, self.waiting, self.grace = send_id, owner, waiting, grace
        self.hooks = hooks
        self._key, self._has_new_key = taisly.key, False

    def run(self) -> bool:
        """Send until it is settled; False if another run has taken the post over."""
        pauses = iter(RETRY_PAUSES)
        try:
            with heartbeat(lambda: self.ledger.renew(self.send_id, self.owner), self.ledger.lease_seconds / 3):
                self._prepare()
                while (wait := self._try(pauses)) is not None:
                    self.waiting.sleep(wait)
                    self.ledger.renew(self.send_id, self.owner)
        except ClaimLost as error:
            log.warning("%s", error)
            return False
        return True

    def _prepare(self) -> None:
        """What has to be done once the post is claimed; nothing has left yet."""
        try:
            with self.waiting.stopped():
                self.hooks.on_claimed(self.send_id)
        except BaseException as error:
            self._release(str(error) or type(error).__name__)
            raise

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Our turn to upload; the time until then does not count as patience."""
        with contextlib.ExitStack() as turn:
            with self.waiting.stopped():
                turn.enter_context(self.hooks.turn())
            yield

    def _try(self, pauses: Iterator[float]) -> float | None:
        """Send once. None when it is settled, else the seconds until the next try."""
        held = self._ticket()
        ticket: str | None = held
        sealed = succeeded = False

        def seal() -> None:
            nonlocal sealed
            self.ledger.seal(self.send_id, self.owner)
            sealed = True
            self.hooks.on_sealed(self.request, self.send_id)

        try:
            with self._turn():
                if (ticket := self._usable(held)) is None:
                    return 0.0  # the turn is another one's; ours comes again, where we stood
                check_time(self.request.scheduled_for, self.ledger.now())
                self.hooks.before_upload(self.request)
                self.ledger.begin(self.send_id, self.owner)
                self._key = self.taisly.key
                accepted = self.taisly.create_post(
                    self.request.video.path,
                    [a.id for a in self.request.accounts],
                    self.request.caption,
                    preview_seconds=self.request.preview_second,
                    scheduled=self.request.scheduled_for,
                    progress=self.hooks.progress,
                    expect=(self.request.video.size_bytes, self.request.video.modified_ns),
                    before_last=seal,
                )
        except BaseException as error:
            return self._after(error, sealed, pauses)
        else:
            succeeded = True
            self._store(accepted.history_id)
            return None
        finally:
            if ticket is not None:
                with contextlib.suppress(ReelflowError):
                    self.ledger.finish_request(ticket, succeeded=succeeded)

    def _store(self, history_id: str) -> None:
        """Store the id of the accepted post. If that cannot be done, the history will tell it again."""
        for attempt in range(STORE_TRIES):
            try:
                self.ledger.accepted(self.send_id, history_id)
            except LedgerUnavailable as error:
                log.warning(
                    "Taisly accepted the post as %s, but that could not be stored (try %d of %d): %s",
                    history_id, attempt + 1, STORE_TRIES, error,
                )  # fmt: skip
                if attempt + 1 < STORE_TRIES:
                    self.taisly.sleep(STORE_PAUSE * 2**attempt)
            else:
                when = self.request.scheduled_for
                scheduled = f", scheduled for {shown(when)}" if when else ""
                log.info("Taisly accepted the post%s (history ID %s).", scheduled, history_id)
                return
        log.warning("The post %s will be found in Taisly's history.", history_id)

    def _ticket(self) -> str:
        try:
            return self.taisly.take_ticket(
                "publish", self.waiting.left, while_waiting=lambda: self.ledger.renew(self.send_id, self.owner)
            )
        except Busy as error:
            self._release(str(error))
            raise

    def _usable(self, ticket: str) -> str | None:
        """Our room in the plan, now that it is our turn; None if there is none any more, and no other at once.

        We may have waited for hours, in which the key began to rest, or was replaced.
        """
        if self.ledger.may_still_use(ticket, self.taisly.key):
            return ticket
        self.ledger.forget_request(ticket)
        try:
            return self.taisly.take_ticket("publish", 0.0)
        except Busy:
            return None

    def _after(self, error: BaseException, sealed: bool, pauses: Iterator[float]) -> float | None:
        """Record what `error` means, and say what to do: raise, end (None), or try again after some seconds."""
        seen, reason = what_happened(error, sealed=sealed), str(error) or type(error).__name__
        if isinstance(error, ClaimLost):
            raise error
        if seen is AfterSend.REFUSED:
            if self._may_use_new_key(error):
                self._release(reason, keep=0.0)
                return 0.0
            self.ledger.settle(self.send_id, PostState.REFUSED, reason)
            return None
        if seen is AfterSend.BUSY:
            assert isinstance(error, Busy)  # noqa: S101 - what BUSY means
            return self._rest(error, sealed)
        if seen is AfterSend.UNKNOWN:
            self.ledger.answer_lost(self.send_id, reason)
            if not isinstance(error, Exception):
                raise error
            log.warning("%s Looking for the post in Taisly's history, for up to %s.", error, duration(self.grace))
            return None
        pause = next(pauses, None) if isinstance(error, NothingSent) else None
        if pause is None or pause > self.waiting.left:
            self._release(reason)
            if isinstance(error, NothingSent):
                error.message += " Nothing was posted: it is safe to start the run again."
            raise error
        log.warning("%s Nothing was posted. Trying again in %.0f s.", error, pause)
        self._release(reason, keep=pause)
        return pause

    def _may_use_new_key(self, error: BaseException) -> bool:
        """Whether the post was refused for a key that was replaced during the upload; asked once for each post."""
        if self._has_new_key or not self.taisly.renewed_after(error, self._key):
            return False
        self._has_new_key = True
        log.warning("%s Nothing was posted. Sending it with the new API key.", error)
        return True

    def _release(self, reason: str, *, keep: float | None = None) -> None:
        """Record that nothing was posted. The claim is kept for a further try in `keep` seconds, if there is one."""
        seconds = 0.0 if keep is None else self.ledger.lease_seconds + keep
        self.ledger.release_claim(self.send_id, reason, owner=self.owner, keep_seconds=seconds)

    def _rest(self, error: Busy, sealed: bool) -> float | None:
        """After a 429: let every run rest. It means "not taken"; but after a whole upload we look before we repeat."""
        wait = error.retry_after or BUSY_SECONDS
        self.ledger.block_key(self.taisly.key, wait)
        if sealed:
            return self._look_before_repeating(error, wait)
        if wait > self.waiting.left:
            self._release(str(error))
            raise error
        log.warning("%s Nothing was posted. Trying again in %s.", error, duration(wait))
        self._release(str(error), keep=wait)
        return wait

    def _look_before_repeating(self, error: Busy, wait: float) -> float | None:
        """Look for the post until it would have appeared. Only then, if nothing may be it, it is sent again.

        The claim is held meanwhile, so this waits here and not in a retry of the task.
        """
        rest, has_seen_any = max(wait, self.grace), False
        ends_at = self.ledger.now() + rest
        if rest > self.waiting.left:
            self.ledger.answer_lost(self.send_id, str(error))
            log.warning(
                "%s It came after the whole upload, so the post may be out. This run looks for it in Taisly's history "
                "and does not send it again: that would take %s, longer than this run waits.",
                error,
                duration(rest),
            )
            return None
        log.warning(
            "%s It came after the whole upload, so the post may be out. Looking for it in Taisly's history for %s "
            "before sending it again.",
            error,
            duration(rest),
        )
        while True:
            self.waiting.sleep(wait)
            self.ledger.renew(self.send_id, self.owner)
            rest -= wait
            seen = look_for(self.taisly, self.send_id, is_last=rest <= 0)
            if seen is Look.SETTLED:
                return None
            has_seen_any |= seen is Look.MAYBE
            if rest <= 0:
                break
            wait = min(LOOK_PAUSE, rest)
        # If a clock was set meanwhile, the wrong time was searched.
        clock_was_set = abs(self.ledger.now() - ends_at) > CLOCK_SLACK.total_seconds()
        if has_seen_any or clock_was_set or seen is not Look.NOTHING:
            self.ledger.answer_lost(self.send_id, f"429, and the history does not settle it ({error})")
            return None
        log.warning("Taisly's history does not show the post. Sending it again.")
        self._release(str(error), keep=0.0)
        return 0.0
