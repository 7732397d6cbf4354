"""What of a plan is out, scheduled or open already, and what is to be sent again: decided from what is on record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from reelflow.campaigns.form import CampaignForm
from reelflow.campaigns.posts import CheckedPlan, Draft, Known, Skipped
from reelflow.campaigns.rows import NOW
from reelflow.records.campaigns import Reservation, caption_fingerprint
from reelflow.records.post_states import PostState, is_held, may_be_claimed
from reelflow.records.posts import Outcome, Send, SendRecord

FAILED = frozenset({PostState.FAILED, PostState.REFUSED})
"""What is sent again if a person asks for what failed."""
NOT_ASKED_FOR = "Only what failed is sent."


class Already:
    """Decides for each draft of a plan whether it is to be sent.

    Args:
        records: Every send of the plan's videos, the oldest first.
        kept: The slots that are kept for them.
        form: What the person asked for.
        now: Unix seconds.
    """

    def __init__(
        self, records: Sequence[SendRecord], kept: Sequence[Reservation], form: CampaignForm, now: float
    ) -> None:
        self._form, self._now = form, now
        self._sent: dict[tuple[str, str], list[tuple[Send, Outcome]]] = {}
        for send, outcomes in records:
            for outcome in outcomes:
                self._sent.setdefault((send.sha256, outcome.account.id), []).append((send, outcome))
        self._kept = {(k.campaign, k.sha256, k.account.id, k.caption_sha256): round(k.at * 1000) for k in kept}

    def to_send(self, draft: Draft, found: CheckedPlan) -> Draft | None:
        """The draft that is to be sent; None if none is, which goes into `found`."""
        sent = self._sent.get((draft.video.sha256, draft.account.id), [])
        if self._form.only == "what failed":
            return self._again(draft, sent, found)
        same = [(send, outcome) for send, outcome in sent if self._is_same(draft, send)]
        for send, outcome in reversed(same):
            if not self._may_be_sent(send, outcome):
                found.known.append(Known(draft.row.number, *_latest(sent, send, outcome)))
                return None
        return draft

    def _again(self, draft: Draft, sent: Sequence[tuple[Send, Outcome]], found: CheckedPlan) -> Draft | None:
        """The draft once more, if it has failed; at a new time if its own has passed."""
        if not sent:
            skipped = Skipped(draft.row.number, draft.video.path.name, (draft.account,), NOT_ASKED_FOR)
            found.skipped.append(skipped)
            return None
        send, outcome = sent[-1]
        wanted = self._form.cause.strip().casefold() in outcome.detail.casefold()
        if outcome.state not in FAILED or not wanted:
            found.known.append(Known(draft.row.number, send, outcome))
            return None
        repeat = max(earlier.repeat for earlier, _ in sent) + 1
        has_passed = isinstance(draft.when, datetime) and draft.when.timestamp() <= self._now
        return replace(draft, repeat=repeat, when=None if has_passed else draft.when)

    def _is_same(self, draft: Draft, send: Send) -> bool:
        """Whether a send of this video to this account is what the draft asks for."""
        if send.repeat != draft.repeat:
            return False
        if draft.when is None and not draft.row.campaign:
            return True  # without a time, the same video at the same account is the same post
        caption = caption_fingerprint(draft.caption)
        if caption_fingerprint(send.caption) != caption:
            return False
        if draft.when is None:
            key = (draft.row.campaign, draft.video.sha256, draft.account.id, caption)
            return self._kept.get(key) == send.scheduled_ms
        return send.scheduled_ms == (0 if draft.when == NOW else round(draft.when.timestamp() * 1000))

    def _may_be_sent(self, send: Send, outcome: Outcome) -> bool:
        """Whether it is certainly not out; or another run is at it, for which the send waits."""
        if is_held(outcome.state, lease_until=send.lease_until, now=self._now):
            return True
        return may_be_claimed(outcome.state, lease_until=send.lease_until, sealed_at=send.sealed_at, now=self._now)


def _latest(sent: Sequence[tuple[Send, Outcome]], send: Send, outcome: Outcome) -> tuple[Send, Outcome]:
    """What became of a post in the end: one that failed may have been sent again since, on purpose."""
    if outcome.state not in FAILED:
        return send, outcome
    caption = caption_fingerprint(send.caption)
    later = [(s, o) for s, o in sent if s.repeat > send.repeat and caption_fingerprint(s.caption) == caption]
    return max(later, key=lambda each: each[0].repeat, default=(send, outcome))
