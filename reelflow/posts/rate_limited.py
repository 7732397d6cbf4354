"""A Taisly client that stays within the plan: accounts, repost rules, posts and the history, each request counted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from reelflow.errors import Busy, InputError, NothingSent, Refused, UnreadableAnswer, WrongClient
from reelflow.posts.outcomes import account_of
from reelflow.posts.request_limit import Kind, RequestLimit
from reelflow.records.posts import Account
from reelflow.taisly.answers import SERVICE
from reelflow.taisly.client import TaislyClient
from reelflow.taisly.wire import AcceptedPost, HistoryItem, KeyInfo, RepostRule

log = logging.getLogger(__name__)

ACCOUNTS_KEPT = 600.0
"""Seconds for which the list of connected accounts is reused."""


class RateLimitedTaisly(RequestLimit):
    """One Taisly account, used within its plan.

    A method that asks Taisly raises `Busy` if the plan has no room for the request, and otherwise as the client does.
    """

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
            WrongClient: a name is that of another client's account.
            InputError: a name matches none or several.
            ServiceError: Taisly had to be asked, and the request failed.
        """
        return self.whose.choose(names, self.accounts_for([names], patience=patience))

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
        if known is not None and self._have_all(known, wanted):  # else it may have been connected just now
            return known
        older = self.ledger.known_accounts(self.key, float("inf"))
        try:
            return self.ask_accounts(0.0 if older else patience)
        except Busy:
            if not older:
                raise
        return older if self._have_all(older, wanted) else self.ask_accounts(patience)

    def _have_all(self, connected: Sequence[Account], wanted: Iterable[Sequence[str]]) -> bool:
        """Whether each of these names means an account, or has another client in front: asking would tell no more."""
        for names in wanted:
            try:
                self.whose.choose(names, connected)
            except WrongClient as error:
                if not error.is_named:
                    return False  # an account of this name may have been connected just now
            except InputError:
                return False
        return True

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


def active_copies(rules: Sequence[RepostRule]) -> list[tuple[str, str]]:
    """What rules copy that are not paused: (from, to) account ids."""
    return _copies(rules, paused=False)


def _copies(rules: Sequence[RepostRule], *, paused: bool) -> list[tuple[str, str]]:
    return [(rule.source, target) for rule in rules if rule.paused is paused for target in rule.targets]
