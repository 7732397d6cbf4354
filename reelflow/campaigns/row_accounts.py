"""Where the rows of a plan go, by the names that they give."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

from reelflow.errors import InputError
from reelflow.posts.form import CopiedByRule
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.posts.reposts import Split, split_by_rules
from reelflow.records.posts import Account

Names = tuple[str, ...]


class RowAccounts:
    """Chooses the accounts of a whole plan. Taisly is asked once, however many rows have a mistyped name.

    Args:
        taisly: For the connected accounts and the repost rules.
        wanted: The names of each row.
        patience: Seconds to wait for room in the Taisly plan.

    Raises:
        ServiceError: Taisly had to be asked, and the request failed.
    """

    def __init__(self, taisly: RateLimitedTaisly, wanted: Iterable[Names], *, patience: float) -> None:
        self.connected = taisly.accounts_for(dict.fromkeys(filter(None, wanted)), patience=patience)
        self._taisly, self._patience = taisly, patience
        self._chosen: dict[Names, list[Account] | InputError] = {}

    def choose(self, names: Names) -> list[Account]:
        """The accounts that `names` names.

        Raises:
            InputError: as `Client.choose` does.
        """
        if names not in self._chosen:
            try:
                self._chosen[names] = self._taisly.whose.choose(names, self.connected)
            except InputError as error:
                self._chosen[names] = error
        found = self._chosen[names]
        if isinstance(found, InputError):
            raise found
        return found

    def split(self, accounts: Sequence[Account], choice: CopiedByRule) -> Split:
        """Which of these accounts a post is sent to, and which a repost rule takes care of.

        Raises:
            ServiceError: Taisly had to be asked, and the request failed.
        """
        return split_by_rules(accounts, self._copied, choice, connected=self.connected)

    @cached_property
    def _copied(self) -> list[tuple[str, str]]:
        return self._taisly.copied_accounts(patience=self._patience)
