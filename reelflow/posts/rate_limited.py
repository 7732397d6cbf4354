"""A Taisly client that stays within the plan: requests are counted in the ledger, for all runs on all machines."""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from reelflow.errors import Busy, InputError, NotAllowed, NothingSent, ReelflowError, Refused, UnreadableAnswer
from reelflow.ledger import Ledger, Room
from reelflow.posts.accounts import choose_accounts
from reelflow.posts.current_key import LOOK_FOR_KEY, CurrentKey, KeyFound
from reelflow.posts.outcomes import account_of
from reelflow.records.posts import Account
from reelflow.taisly.answers import SERVICE
from reelflow.taisly.client import TaislyClient
from reelflow.taisly.wire import AcceptedPost, HistoryItem, KeyInfo, RepostRule
from reelflow.wording import duration

log = logging.getLogger(__name__)

Plan = Literal["STARTER", "INFLUENCER", "PRO"]
"""Taisly's plans that include the API."""
REQUESTS_PER_HOUR: dict[Plan, int] = {"STARTER": 50, "INFLUENCER": 200, "PRO": 1000}
"""The hourly quota of each of Taisly's plans, as documented."""
READ_SHARE = 0.6
"""The share of the plan that watching may use; the rest is kept free for publishing."""
LEAST_WATCH = 0.04
"""The share that is kept free for watching: however many posts are in line, their outcomes are read."""
ACCOUNTS_KEPT = 600.0
"""Seconds for which the list of connected accounts is reused."""
BUSY_SECONDS = 60.0
"""Seconds that a key rests after a 429 that does not say how long."""
ASK_AGAIN = 10.0
"""Seconds between two looks whether there is room again, while waiting for it."""

T = TypeVar("T")
Kind = Literal["publish", "watch"]
"""What a request is for: what a post or a person waits for may use the whole plan, checks of outcomes a share of it."""


class RateLimitedTaisly:
    """One Taisly account, used within its plan.

    Every request takes a ticket from the ledger first, where those of the last hour are counted. There are never
    more than the plan allows in any hour, however many runs and machines there are, as long as they share a ledger.
    A method that asks Taisly raises `Busy` if the plan has no room for the request, and otherwise as the client does.

    If the key is replaced meanwhile, the new one is used: before a request, if the ledger says so, and after Taisly
    itself has refused one (401), which is then made once more. A key of another Taisly account is never used: its
    history says nothing of the posts of this one.

    Args:
        client: The client to use; closed with this object.
        ledger: Where requests are counted.
        api_key: Of the client; only its fingerprint is kept.
        service: The client's base URL.
        plan: Decides how many requests an hour there may be.
        sleep: For tests.
        fresh_key: The key that is saved now; None if that cannot be told.
    """

    def __init__(
        self,
        client: TaislyClient,
        ledger: Ledger,
        *,
        api_key: str,
        service: str,
        plan: Plan,
        sleep: Callable[[float], None] = time.sleep,
        fresh_key: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._client = client
        self.ledger = ledger
        self.service = service
        self.per_hour = REQUESTS_PER_HOUR[plan]
        self.sleep = sleep
        self._current = CurrentKey(
            client, ledger, api_key=api_key, service=service, saved=fresh_key, sleep=lambda seconds: self.sleep(seconds)
        )

    @property
    def key(self) -> str:
        """The fingerprint of the key that is used now."""
        return self._current.fingerprint

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    @property
    def clock_ahead(self) -> float | None:
        """Seconds by which Taisly's clock was ahead of ours at its last answer; None before the first."""
        return self._client.clock_ahead

    def ask_accounts(self, patience: float = 0.0) -> list[Account]:
        """The connected accounts, asked for now and remembered for `ACCOUNTS_KEPT` seconds."""
        found = self._ask("publish", patience, self._client.platforms)
        accounts = [account_of(each) for each in found]
        self.ledger.remember_accounts(self.key, accounts)
        return accounts

    def account_ids(self) -> set[str]:
        """The ids of the connected accounts, however long ago they were asked for."""
        known = self.ledger.known_accounts(self.key, float("inf"))
        return {a.id for a in known or self.ask_accounts()}

    def connected_accounts(self) -> list[Account]:
        """The connected accounts, for a person who wants to see them: as they are known, or asked for now."""
        known = self.ledger.known_accounts(self.key, ACCOUNTS_KEPT)
        return self.ask_accounts() if known is None else list(known)

    def listed_accounts(self) -> list[Account]:
        """The connected accounts, asked for now; as they are known where the plan has no room to ask.

        Raises:
            ServiceError: Taisly does not list them.
        """
        try:
            return self.ask_accounts()
        except Busy:
            if (older := self.ledger.known_accounts(self.key, float("inf"))) is None:
                raise
            return older

    def choose_accounts(self, names: Sequence[str], *, patience: float = 0.0) -> list[Account]:
        """The accounts that `names` names; a name that is not among the known ones is looked up afresh.

        Args:
            names: As people write them.
            patience: As for `accounts_for`.

        Raises:
            InputError: a name matches none or several.
            ServiceError: Taisly had to be asked, and the request failed.
        """
        return choose_accounts(names, self.accounts_for([names], patience=patience))

    def accounts_for(self, wanted: Iterable[Sequence[str]], *, patience: float = 0.0) -> list[Account]:
        """The connected accounts to choose from: as they are known, or asked for once if a name is not among those.

        An older list serves where the plan has no room to ask for a new one.

        Args:
            wanted: The names of each post, as people write them.
            patience: Seconds to wait for room in the plan, if even an older list does not have a name.

        Raises:
            ServiceError: Taisly had to be asked, and the request failed.
        """
        wanted = list(wanted)
        known = self.ledger.known_accounts(self.key, ACCOUNTS_KEPT)
        if known is not None and _have_all(known, wanted):  # else it may have been connected just now
            return known
        older = self.ledger.known_accounts(self.key, float("inf"))
        try:
            return self.ask_accounts(0.0 if older else patience)
        except Busy:
            if not older:
                raise
        return older if _have_all(older, wanted) else self.ask_accounts(patience)

    def copied_accounts(self, *, patience: float = 0.0) -> list[tuple[str, str]]:
        """What Taisly's active repost rules copy: (from, to) account ids, asked for at most every ten minutes.

        An older list serves where the plan has no room to ask for a new one, or the new one cannot be read. Only if
        Taisly itself refuses to list rules that were never read, they are not checked.

        Args:
            patience: Seconds to wait for room in the plan, if there is no older list.

        Raises:
            NothingSent: they were never read, and cannot be read now.
            ServiceError: Taisly had to be asked, and the request failed.
        """
        known = self.ledger.known_copies(self.key, ACCOUNTS_KEPT)
        if known is not None:
            return known
        older = self.ledger.known_copies(self.key, float("inf"))
        try:
            return active_copies(self.repost_rules(patience=0.0 if older else patience))
        except Busy:
            if older is None:
                raise
            return older
        except (Refused, UnreadableAnswer) as error:
            if older is not None:
                log.warning("Taisly's repost rules cannot be read, so those that were read last count: %s", error)
                return older
            if not error.by_service:  # a page of a proxy, or an answer that may hide a rule
                raise NothingSent(
                    f"Nothing was sent, because Taisly's repost rules cannot be read: {error}", service=SERVICE
                ) from None
            log.warning("Taisly does not list its repost rules, so they are not checked: %s", error)
            return []

    def paused_copies(self) -> list[tuple[str, str]]:
        """What paused rules would copy, as they were last read: (from, to) account ids."""
        return self.ledger.known_paused_copies(self.key)

    def repost_rules(self, *, patience: float = 0.0) -> list[RepostRule]:
        """Taisly's repost rules, asked for now, and remembered for `copied_accounts`."""
        rules = self._ask("publish", patience, self._client.reposts)
        self.ledger.remember_copies(self.key, active_copies(rules), _copies(rules, paused=True))
        return rules

    def change_rule(self, request: Callable[[TaislyClient], None], patience: float = 0.0) -> None:
        """One request that changes a rule, counted. What is known of the rules is forgotten before and after.

        Before, since the run may die; after, since another run may have read the old rules meanwhile.
        """
        self.ledger.forget_copies(self.key)
        try:
            self._ask("publish", patience, lambda: request(self._client))
        finally:
            self.ledger.forget_copies(self.key)

    def create_post(self, *args: Any, **kwargs: Any) -> AcceptedPost:
        """As the client's; `take_ticket` must have been called before."""
        return self._client.create_post(*args, **kwargs)

    def history_between(
        self, start: datetime, end: datetime, kind: Kind = "watch", patience: float = 0.0
    ) -> list[HistoryItem]:
        """As the client's, counted."""
        return self._ask(kind, patience, lambda: self._client.history_between(start, end))

    def history_page(self, page: int, kind: Kind = "watch", patience: float = 0.0) -> list[HistoryItem]:
        """As the client's, counted."""
        return self._ask(kind, patience, lambda: self._client.history_page(page))

    def cancel_scheduled(self, history_id: str) -> None:
        """As the client's, counted like a send: a person is waiting for it."""
        self._ask("publish", 0.0, lambda: self._client.cancel_scheduled(history_id))

    def key_facts(self) -> KeyInfo:
        """As the client's, counted."""
        return self._ask("publish", 0.0, self._client.key_facts)

    def check_accounts(self) -> list[Account]:
        """The connected accounts, for a person's check: asked for in any case, counted, and remembered."""
        ticket, succeeded = self.ledger.count_request(self.key), False
        try:
            found = self._client.platforms()
            succeeded = True
        finally:
            self.ledger.finish_request(ticket, succeeded=succeeded)
        accounts = [account_of(each) for each in found]
        self.ledger.remember_accounts(self.key, accounts)
        return accounts

    def allowance(self, kind: Kind, watched: int) -> int:
        """Requests in the last hour from which one of `kind` has to wait, if `watched` of them were to watch."""
        still_kept = max(0, round(self.per_hour * LEAST_WATCH) - watched)
        if kind == "publish":
            return self.per_hour - still_kept
        return self.per_hour if still_kept else max(1, int(self.per_hour * READ_SHARE))

    def _ask(self, kind: Kind, patience: float, request: Callable[[], T]) -> T:
        """Make one request, counted; once more if the key was replaced and Taisly refused the old one."""
        used = self.key
        try:
            with self.request(kind, patience):
                used = self.key
                return request()
        except NotAllowed as error:
            if not self.renewed_after(error, used):
                raise
        with self.request(kind, patience):
            return request()

    @contextlib.contextmanager
    def request(self, kind: Kind, patience: float = 0.0) -> Iterator[None]:
        """Count one request, made in the body. A 429 in the body lets every run rest for as long as it says.

        Raises:
            Busy: there is no room within `patience` seconds.
        """
        ticket, succeeded = self.take_ticket(kind, patience), False
        try:
            yield
            succeeded = True
        except Busy as error:
            self.ledger.block_key(self.key, error.retry_after or BUSY_SECONDS)
            raise
        finally:
            with contextlib.suppress(ReelflowError):  # the count is then a little early, and nothing is lost
                self.ledger.finish_request(ticket, succeeded=succeeded)

    def take_ticket(self, kind: Kind, patience: float, *, while_waiting: Callable[[], None] = lambda: None) -> str:
        """A ticket for one request, waited for if need be; `while_waiting` is called every few seconds.

        All runs wait in one queue for each kind, in the order of asking.

        Raises:
            Busy: there is no room within `patience` seconds, which is said at once; or the key is being replaced, which
                may end at any moment, and has not within that time.
        """
        waiter, left, told, regardless = uuid.uuid4().hex, patience, False, False
        try:
            while True:
                most, used = partial(self.allowance, kind), self.key
                room = self.ledger.take_request(used, kind, most, waiter=waiter, patience=left, regardless=regardless)
                if room.ticket is not None:
                    return room.ticket
                has_other = room.replaced_by or room.is_rotating or room.is_unsure
                if has_other and self._current.use_saved(used) is KeyFound.USED:
                    continue
                if room.is_unsure:  # the request itself tells, if Taisly does not tell this one
                    regardless = not self._current.settle(used)
                    continue
                if room.replaced_by:  # but the block has it still, or again: Taisly says whether it works
                    regardless = True
                    continue
                if room.wait > left and not (room.is_rotating and left > 0):  # a rotation may end at any moment
                    raise self._busy(kind, room)
                if not told:
                    log.warning("%s. Waiting up to %s.", self._why_busy(kind, room), duration(min(room.wait, left)))
                    told = True
                pause = min(room.wait, LOOK_FOR_KEY if room.is_rotating else ASK_AGAIN)
                self.sleep(pause)
                left -= pause  # not by a clock: the wait was within the patience when the place was taken
                while_waiting()
        finally:
            if told:
                with contextlib.suppress(ReelflowError):  # the place is given to the next one in a few seconds
                    self.ledger.leave_queue(waiter)

    def renewed_after(self, error: BaseException, used: str) -> bool:
        """As `CurrentKey.renewed_after`."""
        return self._current.renewed_after(error, used)

    def _busy(self, kind: Kind, room: Room) -> Busy:
        wait = min(room.wait, BUSY_SECONDS) if room.is_rotating else room.wait
        why, sent = self._why_busy(kind, room), " Nothing was sent." if kind == "publish" else ""
        if room.needs_person:
            then = ", then start this run again" if kind == "publish" else ""
            said = f"{why}.{sent} Rotate the API key again on the machine where that was{then}."
        else:
            said = f"{why}; retry in {duration(wait)}.{sent}"
        return Busy(said, service=SERVICE, retry_after=wait)

    def _why_busy(self, kind: Kind, room: Room) -> str:
        if room.needs_person:
            return "Replacing Taisly's API key was interrupted, so the key may no longer work"
        if room.is_rotating:
            return "Taisly's API key is being replaced"
        if room.is_paused:
            return "Taisly asked for a pause (429)"
        if kind == "watch":
            return f"The {int(self.per_hour * READ_SHARE)} requests an hour that may be used for checks are used up"
        return f"The plan's {self.per_hour} requests an hour are used up"


def active_copies(rules: Sequence[RepostRule]) -> list[tuple[str, str]]:
    """What rules copy that are not paused: (from, to) account ids."""
    return _copies(rules, paused=False)


def _copies(rules: Sequence[RepostRule], *, paused: bool) -> list[tuple[str, str]]:
    return [(rule.source, target) for rule in rules if rule.paused is paused for target in rule.targets]


def _have_all(connected: Sequence[Account], wanted: Iterable[Sequence[str]]) -> bool:
    """Whether each of these names means an account."""
    try:
        for names in wanted:
            choose_accounts(names, connected)
    except InputError:
        return False
    return True
