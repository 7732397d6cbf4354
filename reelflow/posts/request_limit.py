"""The requests of a Taisly plan: counted in the ledger, for all runs on all machines, whichever key is used."""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from collections.abc import Callable, Iterator
from enum import Enum
from functools import partial
from typing import Literal, TypeVar

from reelflow.errors import Busy, NotAllowed, ReelflowError
from reelflow.ledger import Ledger, Room
from reelflow.posts.clients import NOBODY, Client
from reelflow.posts.current_key import LOOK_FOR_KEY, CurrentKey, KeyFound
from reelflow.taisly.answers import SERVICE
from reelflow.taisly.client import TaislyClient
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
BUSY_SECONDS = 60.0
"""Seconds that a key rests after a 429 that does not say how long."""
ASK_AGAIN = 10.0
"""Seconds between two looks whether there is room again, while waiting for it."""

T = TypeVar("T")
Kind = Literal["publish", "watch"]
"""What a request is for: what a post or a person waits for may use the whole plan, checks of outcomes a share of it."""


class _Key(Enum):
    KNOWN = "the ledger knows what it needs to know of it"
    DOUBTFUL = "another may have replaced it: the request itself tells whether it works"


class RequestLimit:
    """Room in the plan of one Taisly account.

    Every request takes a ticket from the ledger first, where those of the last hour are counted. There are never
    more than the plan allows in any hour, however many runs and machines there are, as long as they share a ledger.

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
        whose: The client whose key it is.
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
        whose: Client = NOBODY,
    ) -> None:
        self._client = client
        self.ledger = ledger
        self.service = service
        self.per_hour = REQUESTS_PER_HOUR[plan]
        self.sleep = sleep
        self.whose = whose
        self._current = CurrentKey(
            client, ledger, api_key=api_key, service=service, saved=fresh_key, sleep=lambda seconds: self.sleep(seconds)
        )

    @property
    def key(self) -> str:
        """The fingerprint of the key that is used now."""
        return self._current.fingerprint

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
        most = partial(self.allowance, kind)
        try:
            while True:
                used = self.key
                room = self.ledger.take_request(used, kind, most, waiter=waiter, patience=left, regardless=regardless)
                if room.ticket is not None:
                    return room.ticket
                if (key := self._key_after(room, used)) is not None:
                    regardless = key is _Key.DOUBTFUL
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

    def _key_after(self, room: Room, used: str) -> _Key | None:
        """Which key to ask for room with at once, where one was replaced or may have been; None to wait."""
        if not (room.replaced_by or room.is_rotating or room.is_unsure):
            return None
        if self._current.use_saved(used) is KeyFound.USED:
            return _Key.KNOWN
        if room.is_unsure:
            return _Key.KNOWN if self._current.settle(used) else _Key.DOUBTFUL
        return _Key.DOUBTFUL if room.replaced_by else None  # the block has it still, or again

    def renewed_after(self, error: BaseException, used: str) -> bool:
        """As `CurrentKey.renewed_after`."""
        return self._current.renewed_after(error, used)

    def _busy(self, kind: Kind, room: Room) -> Busy:
        wait = min(room.wait, BUSY_SECONDS) if room.is_rotating else room.wait
        why, sent = self._why_busy(kind, room), " Nothing was sent." if kind == "publish" else ""
        if room.needs_person:
            then = ", then start this run again" if kind == "publish" else ""
            said = f"{why}.{sent} Replace the API key again on the machine where this was interrupted{then}."
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
