"""What Taisly's repost rules mean for a post: where it would arrive twice, and what may be left to a rule."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property

from reelflow.errors import Busy, DuplicatePost, NothingSent, OutcomeUnknown
from reelflow.posts.accounts import gone_name
from reelflow.posts.duplicates import reason_of
from reelflow.posts.form import LEAVE, REFUSE, CopiedByRule
from reelflow.posts.history import CLOCK_SLACK
from reelflow.posts.looking_back import LEAST, found_post
from reelflow.posts.matching import Match, match_caption
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.records.duplicates import Duplicate, Verdict, duplicate_of
from reelflow.records.posts import Account, FoundPost, PostRequest, own_repeat, plain_caption

log = logging.getLogger(__name__)

Copied = Sequence[tuple[str, str]]
"""Account ids by pairs: every post to the first is copied to the second."""


@dataclass(frozen=True)
class LeftToRule:
    """An account that is not sent to, since a rule copies the post there."""

    account: Account
    source: Account

    @property
    def sentence(self) -> str:
        """What was not sent, what happens instead, and what to check."""
        return (
            f"Not sent to {self.account.label}: a repost rule copies it there once it is published to "
            f"{self.source.label}. Check it there, since the copy is not watched"
        )


@dataclass(frozen=True)
class Split:
    """Which accounts of a post are sent to.

    Attributes:
        accounts: Those that are.
        left: Those that a rule takes care of.
        reason: Why the post may not be sent like this; empty if it may.
    """

    accounts: list[Account]
    left: list[LeftToRule] = field(default_factory=list)
    reason: str = ""


def split_by_rules(
    accounts: Sequence[Account], copied: Copied, choice: CopiedByRule = REFUSE, *, connected: Sequence[Account] = ()
) -> Split:
    """Which accounts of a post are sent to, if the same account must not get it twice.

    Whether Taisly copies what a rule has copied is not documented. So a chain of rules counts as a copy, and no account
    is left to one.

    Args:
        accounts: Where to post.
        copied: What active rules copy.
        choice: What a person wants for an account to which a rule copies the post anyway.
        connected: All accounts, for the names of those that the post does not go to.
    """
    if choice == REFUSE:
        return Split(list(accounts), reason=twice_reason(accounts, copied, connected))
    kept, left = _first_of_chains(accounts, copied), list[LeftToRule]()
    for account in accounts:
        if account in kept:
            continue
        source = next((each for each in kept if (each.id, account.id) in copied), None)
        if source is None:
            return Split(list(accounts), reason=(
                f"{account.label} is at the end of a chain of repost rules. Whether Taisly copies what a rule has "
                "copied is not documented, so the account might get the video twice or not at all. Remove "
                f"{account.label} from 'Accounts', or pause the rules in Taisly."
            ))  # fmt: skip
        left.append(LeftToRule(account, source))
    return Split(kept, left, twice_reason(kept, copied, connected))


def _first_of_chains(accounts: Sequence[Account], copied: Copied) -> list[Account]:
    """Accounts from which rules reach all the others, none of them reached from another one; of a circle, the first."""
    by_others = {a.id: {b.id for b in accounts if b != a and a.id in _reached(b.id, copied)} for a in accounts}
    kept = [account for account in accounts if not by_others[account.id]]
    for account in accounts:
        if account not in kept and not by_others[account.id] & {each.id for each in kept}:
            kept.append(account)
    return [account for account in accounts if account in kept]


def check_reposts(
    accounts: Sequence[Account], copied: Copied, choice: CopiedByRule = REFUSE, *, connected: Sequence[Account] = ()
) -> Split:
    """As `split_by_rules`, but raises DuplicatePost if the post may not be sent like this."""
    split = split_by_rules(accounts, copied, choice, connected=connected)
    if split.reason:
        raise DuplicatePost(f"Nothing was sent, because {split.reason}")
    return split


def twice_reason(accounts: Sequence[Account], copied: Copied, connected: Sequence[Account] = ()) -> str:
    """Where a post would arrive twice, and what to do about it; "" for nowhere."""
    labels = {account.id: account.label for account in (*connected, *accounts)}
    posted = [account.id for account in accounts]
    for target, ways in arriving_twice(posted, copied).items():
        name = labels.get(target) or gone_name(target)
        if target in posted:
            return (
                f"Taisly would post the video twice to {name}: a repost rule copies every post from "
                f"{labels[ways[0]]} there. Remove {name} from 'Accounts', pause the rule in Taisly, or set 'If a "
                f"repost rule copies it' to '{LEAVE}'."
            )
        return (
            f"Taisly would post the video twice to {name}: repost rules copy every post from "
            f"{' and from '.join(labels[way] for way in ways)} there. Pause one of the rules in Taisly"
            + (", or post to one of these accounts only." if len(set(ways)) > 1 else ".")
        )
    return ""


def arriving_twice(posted: Sequence[str], copied: Copied) -> dict[str, list[str]]:
    """Where a post would arrive twice, by ID, and from which of the accounts that it goes to rules copy it there."""
    found = dict[str, list[str]]()
    for target in sorted({target for _, target in copied}):
        ways = [source for source, to in copied if to == target and source in posted and source != target]
        ways += [s for s in posted if s not in ways and s != target and target in _reached(s, copied)]
        if len(ways) + (target in posted) > 1 and ways:
            found[target] = ways
    return found


def _reached(source: str, copied: Copied) -> set[str]:
    """Every account that posts to `source` are copied to, in one step or several."""
    seen: set[str] = set()
    todo = [source]
    while todo:
        at = todo.pop()
        fresh = {target for came_from, target in copied if came_from == at} - seen
        seen |= fresh
        todo += fresh
    return seen - {source}


@dataclass
class CopiedBefore:
    """Finds posts that a repost rule may have brought to an account already, since it was sent to another one before.

    An active rule is reason enough: its copy may be on its way. Of a rule that is paused now, only Taisly's history can
    tell whether it copied the post: read once, and only if there is such a rule and such a post.

    Args:
        taisly: For the rules and the history, with the ledger.
        connected: All accounts.
        patience: Seconds to wait for room in the Taisly plan.
    """

    taisly: RateLimitedTaisly
    connected: Sequence[Account]
    patience: float = 0.0

    def reason(self, request: PostRequest) -> str:
        """Why a post may be out already by a rule, and what to check; "" if nothing says so.

        Raises:
            ServiceError: Taisly had to be asked, and the request failed.
            LedgerUnavailable: the ledger cannot be read.
        """
        if own_repeat(request.repeat) or not (self._active or self._paused):
            return ""
        earlier = self._sent_before(request)
        for account in self.taisly.ledger.claimable(request, service=self.taisly.service) if earlier else ():
            if active := self._reason_of_active(earlier, account):
                return active
            paused = [each for each in earlier if self._copies(self._paused, each, account)]
            if any(self._is_in_history(request, account, since=each.send.claimed_at) for each in paused):
                return (
                    f"{account.label} has it already, as Taisly's history shows: a repost rule, which is paused now, "
                    f"copies posts from {paused[0].outcome.account.label} there. Check {account.label}."
                )
        return ""

    def reason_of_claimed(self, request: PostRequest) -> str:
        """The same of a post that this run has claimed for all its accounts, as far as active rules tell."""
        if own_repeat(request.repeat) or not self._active:
            return ""
        earlier = self._sent_before(request)
        return next(filter(None, (self._reason_of_active(earlier, account) for account in request.accounts)), "")

    def check(self, request: PostRequest) -> None:
        """Raise DuplicatePost if there is a reason."""
        _refuse(self.reason(request))

    def _reason_of_active(self, earlier: Sequence[Duplicate], account: Account) -> str:
        found = next((each for each in earlier if self._copies(self._active, each, account)), None)
        if found is None:
            return ""
        return (
            f"{account.label} may have it already: a repost rule copies every post from "
            f"{found.outcome.account.label} there, and {reason_of([found], self.taisly.ledger.now())}. Check "
            f"{account.label}."
        )

    @cached_property
    def _active(self) -> Copied:
        return self.taisly.copied_accounts(patience=self.patience)

    @cached_property
    def _paused(self) -> Copied:
        return self.taisly.paused_copies()

    def _copies(self, copied: Copied, earlier: Duplicate, account: Account) -> bool:
        return account.id in _reached(earlier.outcome.account.id, copied)

    def _sent_before(self, request: PostRequest) -> list[Duplicate]:
        """Earlier sends of the same video to any account, that are out or may be, and near in time."""
        ledger = self.taisly.ledger
        found = [
            duplicate_of(request, send, outcome, now=ledger.now())
            for send, outcomes in ledger.sends_of_videos(self.taisly.service, {request.video.sha256})
            for outcome in outcomes
        ]
        return [each for each in found if each is not None and each.verdict is Verdict.REFUSE]

    def _is_in_history(self, request: PostRequest, account: Account, *, since: float) -> bool:
        """Whether the history has a post at this account that is not ours, and may be this one."""
        has_caption = plain_caption(request.caption)
        return any(
            post.is_at(account)
            and (post.at is None or post.at >= since - CLOCK_SLACK.total_seconds())
            and (not has_caption or match_caption(post.caption or None, request.caption) >= Match.LIKELY)
            for post in self._not_ours
        )

    @cached_property
    def _not_ours(self) -> list[FoundPost]:
        """What the history of the last day has, and no send on record owns."""
        now = datetime.fromtimestamp(self.taisly.ledger.now(), UTC)
        start = now - timedelta(seconds=LEAST) - CLOCK_SLACK
        items = self.taisly.history_between(start, now + CLOCK_SLACK, "publish", self.patience)
        owned = self.taisly.ledger.owned_history_ids(self.taisly.service, [item.id for item in items if item.id])
        return [found_post(item, self.taisly.clock_ahead or 0.0) for item in items if item.id and item.id not in owned]


def check_rules_of_now(taisly: RateLimitedTaisly, request: PostRequest) -> None:
    """Look at the rules once more before a claimed post is uploaded: hours may have passed since it was checked.

    Costs a request only if they were last read more than ten minutes ago, and the plan has room for it.

    Raises:
        DuplicatePost: by an active rule of now, it would arrive somewhere twice.
        NothingSent: the rules cannot be read now.
    """
    connected = taisly.ledger.known_accounts(taisly.key, float("inf")) or ()
    try:
        check_reposts(request.accounts, taisly.copied_accounts(), connected=connected)
    except (Busy, OutcomeUnknown) as error:  # of a read: it says nothing of the post
        raise NothingSent(f"Taisly's repost rules cannot be read: {error}") from None
    _refuse(CopiedBefore(taisly, connected).reason_of_claimed(request))


def _refuse(reason: str) -> None:
    """Raise DuplicatePost if there is a reason."""
    if reason:
        raise DuplicatePost(
            f"Nothing was sent, because {reason} To send this post all the same, set 'Send again on purpose' to 1."
        )
