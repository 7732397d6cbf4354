"""Which history item may be a send whose answer was lost, and which certainly is.

A mistake is possible in two directions, so there are two thresholds. As long as the history has an item that *may* be
a post, the post is not sent again. An item is adopted only if it *is* the post, as far as can be told: it tells enough,
and was created while our request was on its way, by Taisly's own clock. What lies between is left to a person.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum

from reelflow.records.posts import Send
from reelflow.taisly.wire import HistoryItem
from reelflow.transport import UPLOAD_READ_TIMEOUT

CLOCK_STEP = timedelta(seconds=15)
"""How far the creation of our post may lie outside our request: Taisly's clock is known to about a second, and ours may
be corrected by some between the request and the look."""
ANY_ZONE = timedelta(hours=15)
"""How wrong a time may be that was written in a local time zone without saying so."""
SCHEDULE_STEP = 60.0
"""Seconds; a service may round a scheduled time to the minute."""
LEAST_CUT = 20
"""Letters and digits from which the beginning of a caption identifies it, even if nothing marks it as shortened."""
_CUT = ("…", "...")
_CUT_ENTITY = re.compile(r"&#?\w*$")


class Match(IntEnum):
    """How well an item matches a send, in one respect or in all.

    To tell nothing is better than to tell something odd.
    """

    NO = 0
    DOUBTFUL = 1
    UNTOLD = 2
    LIKELY = 3
    CERTAIN = 4


@dataclass(frozen=True)
class HistoryMatcher:
    """Tells which history items are which sends.

    Attributes:
        clock_ahead: Seconds by which Taisly's clock is ahead of ours.
        account_ids: Of all connected accounts. Other ids in an item are not ids of accounts, and tell nothing.
    """

    clock_ahead: float = 0.0
    account_ids: frozenset[str] = frozenset()

    def match(self, lost: Sequence[Send], at_work: Sequence[Send], items: Sequence[HistoryItem]) -> dict[str, str]:
        """Which history item is which send whose answer was lost: history ids by send id.

        Taisly cannot tell two posts of the same caption to the same accounts apart, so neither can we. Sends that look
        the same are matched only if the history has exactly as many items that can be adopted as there are sends, in
        the order of time; and only while no other send matches one of these items as well.

        Args:
            lost: Sends whose answer was lost.
            at_work: Sends that are being made right now.
            items: History items that no send on record owns.
        """
        found: dict[str, str] = {}
        groups: dict[tuple[object, ...], list[Send]] = {}
        for send in lost:
            groups.setdefault(_looks(send), []).append(send)
        for alike in groups.values():
            others = [send for send in (*lost, *at_work) if send not in alike]
            good = [item for item in items if item.id and self._is_theirs(item, alike, others)]
            if len(good) != len(alike):
                continue
            alike.sort(key=lambda s: s.sealed_at or 0)
            good.sort(key=lambda item: item.created or datetime.min.replace(tzinfo=UTC))
            pairs = list(zip(alike, good, strict=True))
            if all(self.compare(item, send) >= Match.LIKELY for send, item in pairs):
                found |= {send.id: item.id for send, item in pairs}
        return found

    def _is_theirs(self, item: HistoryItem, alike: Sequence[Send], others: Sequence[Send]) -> bool:
        """Whether an item can be adopted for one of `alike`, and matches none of the others as well."""
        best = max(self.compare(item, send) for send in alike)
        return best >= Match.LIKELY and not any(self.compare(item, other) >= best for other in others)

    def compare(self, item: HistoryItem, send: Send) -> Match:
        """How well an item matches a send.

        It can be adopted (LIKELY or better) if nothing is against it, it was created during our request, and it tells
        the caption or the accounts. What an item does not tell is never against it. One that was created during our
        request for the same accounts may be ours whatever its caption has become.
        """
        caption, accounts, created = (
            match_caption(item.caption, send.caption),
            self._accounts(item, send),
            self._created(item, send),
        )
        if caption is Match.NO and created is Match.CERTAIN and accounts is not Match.NO:
            caption = Match.DOUBTFUL
        worst = min(caption, accounts, created, _schedule(item, send))
        if worst < Match.UNTOLD:
            return worst
        if created is not Match.CERTAIN or max(caption, accounts) is Match.UNTOLD:
            return Match.DOUBTFUL
        return Match.LIKELY if caption is Match.LIKELY else Match.CERTAIN

    def is_another(self, item: HistoryItem, send: Send) -> bool:
        """Whether an item is certainly not this send: it tells other accounts of ours, or another time.

        What it makes of the caption, and how many results it has, proves nothing.
        """
        ids = self._told_ids(item, send)
        return bool(ids and not ids & set(send.account_ids)) or self._created(item, send) is Match.NO

    def _told_ids(self, item: HistoryItem, send: Send) -> set[str]:
        """The ids of connected accounts that an item tells."""
        told = set(item.account_ids or (r.platform_id for r in item.result if r.platform_id))
        return told & (self.account_ids | set(send.account_ids))

    def _accounts(self, item: HistoryItem, send: Send) -> Match:
        ours, ids = set(send.account_ids), self._told_ids(item, send)
        if not ids:
            if not item.result or len(item.result) == len(ours):
                return Match.UNTOLD
            return Match.DOUBTFUL if len(item.result) < len(ours) else Match.NO
        if ids == ours:
            return Match.CERTAIN
        return Match.DOUBTFUL if ids & ours else Match.NO

    def _created(self, item: HistoryItem, send: Send) -> Match:
        if item.created is None:
            return Match.UNTOLD
        told = item.created.timestamp()
        if send.scheduled_ms and abs(told - send.scheduled_ms / 1000) <= SCHEDULE_STEP:
            return Match.UNTOLD  # what is told is when it is to be published
        created = told - self.clock_ahead
        first, last = send.begun_at or 0, (send.sealed_at or send.lease_until) + UPLOAD_READ_TIMEOUT
        for slack, match in ((CLOCK_STEP, Match.CERTAIN), (ANY_ZONE, Match.DOUBTFUL)):
            if first - slack.total_seconds() <= created <= last + slack.total_seconds():
                return match
        return Match.NO

    def is_older(self, item: HistoryItem, send: Send) -> bool:
        """Whether an item was certainly created before a send, in whatever zone its time is written."""
        if item.created is None:
            return False
        return item.created.timestamp() - self.clock_ahead < (send.begun_at or 0) - ANY_ZONE.total_seconds()


def _looks(send: Send) -> tuple[object, ...]:
    return (send.service, _letters(send.caption), frozenset(send.account_ids), send.scheduled_ms)


def match_caption(shown: str | None, caption: str) -> Match:
    """How well a caption in the history matches one of ours.

    A service may trim a caption, change its line ends, escape it, add to it, or show only its beginning.
    """
    told, shown = shown is not None, (shown or "").strip()
    if not shown and (not told or caption.strip()):
        return Match.UNTOLD
    theirs, ours = _letters(shown), _letters(caption)
    if theirs == ours:
        return Match.CERTAIN
    is_marked = shown.endswith(_CUT)
    beginning = _letters(_CUT_ENTITY.sub("", shown.removesuffix("…").removesuffix("...")))
    if not any(map(str.isalnum, beginning)) and any(map(str.isalnum, ours)):
        return Match.UNTOLD  # symbols alone
    if ours.startswith(beginning):
        return Match.LIKELY if is_marked or len(beginning) >= LEAST_CUT else Match.DOUBTFUL
    return Match.DOUBTFUL if ours and theirs.startswith(ours) else Match.NO


def _letters(text: str) -> str:
    """The letters and digits of a text; of one without any, whatever is not blank."""
    plain = html.unescape(html.unescape(re.sub(r"\\[nrt]", " ", text)))
    plain = unicodedata.normalize("NFKC", plain).casefold()
    return "".join(c for c in plain if c.isalnum()) or "".join(plain.split())


def _schedule(item: HistoryItem, send: Send) -> Match:
    if item.scheduled is None or not send.scheduled_ms:
        return Match.UNTOLD
    off = abs(item.scheduled.timestamp() - send.scheduled_ms / 1000)
    if off <= SCHEDULE_STEP:
        return Match.CERTAIN
    return Match.DOUBTFUL if off <= ANY_ZONE.total_seconds() else Match.NO
