"""Send the posts of a campaign, a few at once. What one row meets does not keep the others from being sent."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, nullcontext
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial

from reelflow.campaigns.holds import hold_sentence
from reelflow.campaigns.ledger_wait import WAIT_SECONDS, LedgerWait
from reelflow.campaigns.placing import MARGIN_SECONDS, Placer
from reelflow.campaigns.posts import Held, PlannedPost
from reelflow.campaigns.upload_queue import UploadPlace, UploadQueue
from reelflow.errors import Busy, LedgerUnavailable, NotAllowed, NothingSent, ReelflowError, SentElsewhere, TimePassed
from reelflow.posts.history import GRACE
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.posts.reposts import check_rules_of_now
from reelflow.posts.schedule import check_time
from reelflow.posts.sending import send_post
from reelflow.records.holds import Hold
from reelflow.records.post_states import PostState, may_be_sent
from reelflow.records.posts import Account, Outcome, PostRequest, Send
from reelflow.time_zones import shown

log = logging.getLogger(__name__)

SENDERS = 4
"""Posts that try at once to be uploaded, in the order of the plan; how many do is up to the machine's line."""
CLAIMED_AT_ONCE = 24
"""Posts claimed at once, those that are uploaded included: the server is asked once for several of them."""
MOVES = 5
"""How often a post is moved to its next slot before it is left to the next run."""
OUTAGE_SECONDS = 180.0
"""How many seconds of pauses between tries a service that cannot be reached gets before the rest is left unsent.

Over the posts that try at once. With the pauses of each try itself, that is a quarter of an hour.
"""
OUTAGE_PAUSE = 10.0


class Stopped(ReelflowError):
    """The rest of the posts is left unsent; the reason."""


class OnHold(Exception):
    """Accounts of a post are on hold. Nothing was sent."""

    def __init__(self, holds: Sequence[Hold]) -> None:
        super().__init__(" ".join(map(hold_sentence, holds)))
        self.holds = holds


@dataclass(frozen=True)
class Carried:
    """What became of a post that was to be sent.

    Attributes:
        post: With the time that it has now.
        send_ids: The sends that carry it.
        sent_now: Whether this run made one of them.
        failure: Why it was not sent; empty if it was.
        held: Accounts that it was to be sent to, and was not since they are on hold; `post` is without them.
    """

    post: PlannedPost
    send_ids: frozenset[str] = frozenset()
    sent_now: bool = False
    failure: str = ""
    held: tuple[Hold, ...] = ()

    @property
    def not_sent_to(self) -> list[Held]:
        """What was not sent since an account is on hold. A slot is not shown: it may pass until the release."""
        request, at = self.post.request, None if self.post.slots else self.post.request.scheduled_for
        return [Held(self.post.number, request.video.name, request.caption, at, hold) for hold in self.held]


@dataclass
class Carrier:
    """Sends posts.

    Args:
        taisly: With the ledger; its client is used by several threads.
        placer: Moves a post whose slot has passed.
        flow_run: Id for the record.
        grace: As for `send_post`.
        confirm: Called before each upload, and once before it waits for its turn: whether the ledger may be used.
        progress: Called with how many of how many posts are done, whatever came of them.
        around: What is done around each attempt to send a post, as it is sent then.
        turn: As for `send_post`: the turn of an upload among those of this machine.
        ledger_seconds: As for `LedgerWait`.
        on_carried: Called with the place of each post in the order given, and what became of it, or of its parts.
    """

    taisly: RateLimitedTaisly
    placer: Placer
    flow_run: str | None = None
    grace: float = GRACE
    confirm: Callable[[], None] = lambda: None
    progress: Callable[[int, int], None] = lambda done, total: None
    on_carried: Callable[[int, Sequence[Carried]], None] = lambda place, parts: None
    around: Callable[[PlannedPost], AbstractContextManager[None]] = lambda post: nullcontext()
    turn: Callable[[], AbstractContextManager[None]] = nullcontext
    ledger_seconds: float = WAIT_SECONDS

    def __post_init__(self) -> None:
        self._stopped = ""
        self._trying_at_once = SENDERS
        self._outage_left = OUTAGE_SECONDS
        self._lock = threading.Lock()
        self._uploads = UploadQueue(SENDERS)
        self._ledger_wait = LedgerWait(self.taisly.sleep, self._check_stopped, self.ledger_seconds)
        self._told = set[str]()
        self._claimed = set[str]()  # the sends that this run has made
        self._sealed = dict[tuple[int, str], str]()  # by row and account ID, those of them that may be out

    def carry_out(self, posts: Sequence[PlannedPost]) -> list[Carried]:
        """Send posts, the first ones first; the result of each, in the same order.

        A post has several results if its accounts got different slots once the one that they had in common passed.
        Never raises for what one post meets. If the key is refused, the ledger is replaced, or it or Taisly cannot be
        reached for long, the rest is left unsent; if an account gets on hold, the rest is sent to the others only.
        """
        found: dict[int, list[Carried]] = {}
        self._trying_at_once = min(SENDERS, len(posts))
        pool = ThreadPoolExecutor(CLAIMED_AT_ONCE, thread_name_prefix="reelflow-send")
        try:
            futures = {
                pool.submit(copy_context().run, self._carry, place, post): place for place, post in enumerate(posts)
            }
            for future in as_completed(futures):
                found[futures[future]] = future.result()
                self.on_carried(futures[future], future.result())
                self.progress(len(found), len(posts))
        except BaseException:  # the run is being ended: what has not begun must not begin
            self._stopped = "The run was ended."
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        return [carried for place in range(len(posts)) for carried in found[place]]

    def _carry(self, place: int, post: PlannedPost) -> list[Carried]:
        held, settled = list[Hold](), frozenset[str]()
        while post.request.accounts:
            try:
                first, *parts = self._try(place, post, settled, is_begun=bool(held or settled))
                return [replace(first, held=(*first.held, *held)), *parts]
            except OnHold as error:
                try:
                    wanted = self._ledger_wait.during(partial(self._claimable, post.request))
                except (LedgerUnavailable, Stopped) as gone:
                    first, *parts = self._failed(post, gone, stops=True)
                    return [replace(first, held=tuple(held)), *parts]
                held += [hold for hold in error.holds if hold.account.id in wanted]
                settled |= {hold.account.id for hold in error.holds} - wanted  # sent before: only reported
                post = self._without(post, error.holds, wanted)
        return [Carried(post, held=tuple(held))]

    def _try(self, place: int, post: PlannedPost, settled: frozenset[str], *, is_begun: bool) -> list[Carried]:
        moves = MOVES
        while not self._stopped:
            is_begun = True
            try:
                return [self._ledger_wait.during(partial(self._send, place, post, settled))]
            except TimePassed as error:
                if not post.slots:
                    return self._failed(post, error)
                if not moves:
                    break
                moves -= 1
                try:
                    parts = self._ledger_wait.during(partial(self.placer.move, post))
                except Stopped:
                    break
                except ReelflowError as gone:
                    return self._failed(post, gone, stops=isinstance(gone, LedgerUnavailable))
                if len(parts) > 1:
                    return [each for part, why in parts for each in self._carry_part(place, part, why)]
                [(post, no_slot)] = parts
                if no_slot:
                    return self._failed(post, no_slot)
                log.info("%s: its slot has passed; moved to %s.", _name(post), shown(post.request.scheduled_for or 0))
            except NothingSent as error:
                is_own = isinstance(error, Busy | SentElsewhere)  # says nothing of the other posts
                if is_own or not self._wait_for_service():
                    return self._failed(post, error, stops=not is_own)
            except (LedgerUnavailable, NotAllowed) as error:
                return self._failed(post, error, stops=True)
            except Stopped:
                break
            except ReelflowError as error:
                return self._failed(post, error)
        if self._stopped:
            return self._failed(post, Stopped(self._stopped)) if is_begun else [Carried(post, failure=self._stopped)]
        return [Carried(post, failure=f"It missed {MOVES + 1} slots before it could be sent. Start the run again.")]

    def _carry_part(self, place: int, part: PlannedPost, no_slot: ReelflowError | None) -> list[Carried]:
        return self._failed(part, no_slot) if no_slot else self._carry(place, part)

    def _send(self, place: int, post: PlannedPost, settled: frozenset[str]) -> Carried:
        """Send a post. What an earlier try sent, whose answer could not be recorded, counts as this run's."""

        def wait_for_turn(send_id: str) -> None:
            self._claimed.add(send_id)
            upload.wait()
            self._check_stopped()

        def look_again(part: PostRequest) -> None:
            self._check_stopped()
            self._check_holds(post.request, settled)
            check_time(post.request.scheduled_for, self.taisly.ledger.now(), MARGIN_SECONDS)
            check_rules_of_now(self.taisly, part)
            upload.confirm_again()

        def note(part: PostRequest, send_id: str) -> None:
            self._sealed.update({(post.number, account.id): send_id for account in part.accounts})

        self._check_holds(post.request, settled)
        self._check_time_to_send(post.request)
        with self.around(post), UploadPlace(self._uploads, place, self.confirm) as upload:
            result = send_post(
                self.taisly,
                post.request,
                flow_run=self.flow_run,
                patience=post.request.patience,
                grace=self.grace,
                on_claimed=wait_for_turn,
                before_upload=look_again,
                on_sealed=note,
                turn=self.turn,
            )
        with self._lock:
            self._outage_left = OUTAGE_SECONDS
        return Carried(post, frozenset(result.send_ids), not self._claimed.isdisjoint(result.send_ids))

    def _check_stopped(self) -> None:
        if self._stopped:
            raise Stopped(self._stopped)

    def _check_time_to_send(self, request: PostRequest) -> None:
        """Raise TimePassed as `check_time` does, unless another run has sent the post by now: it is reported then."""
        try:
            check_time(request.scheduled_for, self.taisly.ledger.now(), MARGIN_SECONDS)
        except TimePassed:
            if self._claimable(request):
                raise

    def _claimable(self, request: PostRequest) -> set[str]:
        """The ids of the accounts that the post may still be sent to."""
        return {account.id for account in self.taisly.ledger.claimable(request, service=self.taisly.service)}

    def _check_holds(self, request: PostRequest, settled: frozenset[str]) -> None:
        """Raise OnHold if an account is on hold that the post may still be sent to."""
        wanted = {account.id for account in request.accounts} - settled
        if holds := [h for h in self.taisly.ledger.on_hold(self.taisly.service) if h.account.id in wanted]:
            raise OnHold(holds)

    def _without(self, post: PlannedPost, holds: Sequence[Hold], wanted: set[str]) -> PlannedPost:
        """The post without those of its accounts that are on hold and still wanted it."""
        omitted = {hold.account.id: hold for hold in holds if hold.account.id in wanted}
        with self._lock:
            new = [hold for account, hold in omitted.items() if account not in self._told]
            self._told.update(omitted)
        for hold in new:
            log.warning("%s", hold_sentence(hold))
        accounts = [account for account in post.request.accounts if account.id not in omitted]
        return _part(post, accounts)

    def _failed(self, post: PlannedPost, error: ReelflowError, *, stops: bool = False) -> list[Carried]:
        """A post that was not sent; with what of it was, if some of its accounts got it, or may have."""
        if stops:
            self._stopped = str(error)
        is_unclear = isinstance(error, LedgerUnavailable | Stopped)  # an answer may have come, and not been recorded
        sent = self._sent_of(post) if is_unclear or len(post.request.accounts) > 1 else {}
        results = []
        if sent:
            out = _part(post, [account for account in post.request.accounts if account.id in sent])
            results.append(Carried(out, frozenset(sent.values()), not self._claimed.isdisjoint(sent.values())))
        if accounts := [account for account in post.request.accounts if account.id not in sent]:
            left = _part(post, accounts)
            log.warning("Row %d, %s, was not sent: %s", post.number, _name(left), error)
            results.append(Carried(left, failure=str(error)))
        return results

    def _sent_of(self, post: PlannedPost) -> dict[str, str]:
        """By account ID, the IDs of sends that have reached some of its accounts, or may have, or were refused.

        While the ledger is away, those of this run that may be out: whoever reads it later learns what became of them.
        """
        ledger, now = self.taisly.ledger, self.taisly.ledger.now()
        try:
            found = ledger.outcomes(post.request, service=self.taisly.service)
        except LedgerUnavailable:
            ids = {account.id: self._sealed.get((post.number, account.id)) for account in post.request.accounts}
            return {account: send for account, send in ids.items() if send}
        return {outcome.account.id: send.id for outcome, send in found if self._is_told(outcome, send, now)}

    def _is_told(self, outcome: Outcome, send: Send, now: float) -> bool:
        """Whether the record of an account says what became of the post there, and no other run is at it."""
        is_own = send.flow_run == self.flow_run
        if outcome.state is PostState.REFUSED:
            return is_own
        if is_own and outcome.state is PostState.SENDING and send.sealed_at is not None:
            return True  # its answer could not be recorded: whoever watches it finds out
        return not may_be_sent(outcome.state, lease_until=send.lease_until, sealed_at=send.sealed_at, now=now)

    def _wait_for_service(self) -> bool:
        """Wait a little for a service that cannot be reached; False once that has taken too long."""
        with self._lock:
            self._outage_left -= OUTAGE_PAUSE / self._trying_at_once
            if self._outage_left <= 0:
                return False
        self.taisly.sleep(OUTAGE_PAUSE)
        return True


def _part(post: PlannedPost, accounts: Sequence[Account]) -> PlannedPost:
    return replace(post, request=post.request.model_copy(update={"accounts": list(accounts)}))


def _name(post: PlannedPost) -> str:
    return f"{post.request.video.name} to {post.request.short_account_names}"
