"""What of a plan is out, scheduled or open already, and what is to be sent again: decided from what is on record.

The sends of a row at an account are those of its video there

- with its `repeat`, at its time: its fixed time, "now", or the slot that is kept for it under its campaign ID. A row
  with neither time nor campaign ID has those at any time.
- and those that sent one of them again since: after it, with a higher `repeat` that is no other row's of the plan.

The caption does not count: it may have been changed when the post was approved, or in the plan since.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from reelflow.campaigns.form import CampaignForm
from reelflow.campaigns.posts import CheckedPlan, Draft, Known
from reelflow.campaigns.rows import NOW
from reelflow.records.campaigns import Reservation
from reelflow.records.post_states import NOT_OUT, PostState, may_be_claimed, may_be_sent
from reelflow.records.posts import SENT_AGAIN, Outcome, Send, SendRecord, own_repeat

SENT_AGAIN_IF_ASKED = frozenset({PostState.FAILED, PostState.REFUSED})
"""What is sent again if a person asks for what failed."""
NOT_ASKED_FOR = "Not sent before: this run only repeats what failed."


@dataclass(frozen=True)
class _Sent:
    """A send at one account."""

    send: Send
    outcome: Outcome
    now: float

    @property
    def may_be_claimed(self) -> bool:
        """Whether it is certainly not out, and no live run is at it."""
        lease = {"lease_until": self.send.lease_until, "now": self.now}
        return may_be_claimed(self.outcome.state, sealed_at=self.send.sealed_at, **lease)

    @property
    def may_be_sent(self) -> bool:
        """Whether it is certainly not out; or another run is at it, for which the send waits."""
        lease = {"lease_until": self.send.lease_until, "now": self.now}
        return may_be_sent(self.outcome.state, sealed_at=self.send.sealed_at, **lease)

    @property
    def came_to_nothing(self) -> bool:
        """Whether its run died, or was told to wait, before it was sent."""
        return self.may_be_claimed and self.outcome.state not in NOT_OUT


class Already:
    """Decides for each draft of a plan whether it is to be sent.

    Args:
        drafts: Of the whole plan.
        records: Every send of the plan's videos, the oldest first.
        kept: The slots that are kept for them.
        form: What the person asked for.
        now: Unix seconds.
    """

    def __init__(
        self,
        drafts: Sequence[Draft],
        records: Sequence[SendRecord],
        kept: Sequence[Reservation],
        form: CampaignForm,
        now: float,
    ) -> None:
        self._form, self._now = form, now
        self._sent: dict[tuple[str, str], list[_Sent]] = {}
        for send, outcomes in records:
            for outcome in outcomes:
                self._sent.setdefault((send.sha256, outcome.account.id), []).append(_Sent(send, outcome, now))
        self._repeats: dict[tuple[str, str], set[int]] = {}
        for draft in drafts:
            self._repeats.setdefault((draft.video.sha256, draft.account.id), set()).add(draft.repeat)
        self._slots: dict[tuple[str, str, int], dict[str, int]] = {}
        for each in kept:
            by_campaign = self._slots.setdefault((each.sha256, each.account.id, each.repeat), {})
            by_campaign[each.campaign] = round(each.at * 1000)

    def to_send(self, draft: Draft, found: CheckedPlan) -> Draft | None:
        """The draft that is to be sent; None if none is, which goes into `found`."""
        if self._form.only == "what failed":
            return self._again(draft, found)
        sent = self._sends_of(draft)
        if all(each.may_be_sent for each in sent):
            return draft
        tried = [each for each in sent if not each.came_to_nothing]
        out = [each for each in tried if not each.may_be_sent and each.outcome.state is not PostState.FAILED]
        self._add_known(draft, (out or tried)[-1], found)
        return None

    def _again(self, draft: Draft, found: CheckedPlan) -> Draft | None:
        """The draft once more, if it has failed; at a new time if its own has passed."""
        sent = self._sends_of(draft) or self._sends_at_another_time(draft)
        tried = [each for each in sent if not each.came_to_nothing]
        if not tried:
            found.skipped.append(draft.skipped(NOT_ASKED_FOR))
            return None
        last = tried[-1]
        wanted = self._form.cause.strip().casefold() in last.outcome.detail.casefold()
        if last.outcome.state not in SENT_AGAIN_IF_ASKED or not wanted:
            self._add_known(draft, last, found)
            return None
        has_passed = isinstance(draft.when, datetime) and draft.when.timestamp() <= self._now
        return replace(draft, repeat=self._next_repeat(draft, sent, last), when=None if has_passed else draft.when)

    def _next_repeat(self, draft: Draft, sent: Sequence[_Sent], last: _Sent) -> int:
        """Under which number a failed post is sent: what may be claimed is sent itself, before anything new is."""
        for each in reversed(sent):
            if each.may_be_claimed and (each is last or each.send.repeat > last.send.repeat):
                return each.send.repeat
        same = [s.send.repeat for s in self._all(draft) if own_repeat(s.send.repeat) == draft.repeat]
        return max(same) + SENT_AGAIN

    def _sends_of(self, draft: Draft) -> list[_Sent]:
        """The sends of the draft's row, the oldest first."""
        return self._with_later(draft, [each for each in self._all(draft) if self._is_first(draft, each.send)])

    def _sends_at_another_time(self, draft: Draft) -> list[_Sent]:
        """Those that were of the row before its fixed time was changed: it may have been changed since it failed."""
        if draft.when is None:
            return []
        return self._with_later(draft, [each for each in self._all(draft) if each.send.repeat == draft.repeat])

    def _all(self, draft: Draft) -> list[_Sent]:
        return self._sent.get((draft.video.sha256, draft.account.id), [])

    def _with_later(self, draft: Draft, first: Sequence[_Sent]) -> list[_Sent]:
        if not first:
            return []
        last, chosen = first[-1].send, {id(each) for each in first}
        return [each for each in self._all(draft) if id(each) in chosen or self._is_later(draft, last, each.send)]

    def _is_first(self, draft: Draft, send: Send) -> bool:
        """Whether a send was the first try of what the draft asks for."""
        if send.repeat != draft.repeat:
            return False
        if draft.when is None and not draft.row.campaign:
            return True  # without a time, the same video at the same account is the same post
        slot = self._slots_of(draft, send).get(draft.row.campaign)
        if draft.when is None or draft.when == NOW:
            return send.scheduled_ms == (0 if draft.when == NOW else slot)
        due = round(draft.when.timestamp() * 1000)  # one that was refused may have got a slot once its time had passed
        return send.scheduled_ms == due or (due < send.scheduled_ms == slot)

    def _is_later(self, draft: Draft, first: Send, send: Send) -> bool:
        """Whether a send sent the draft's post again after `first`: a campaign did, or a person with another number."""
        number = own_repeat(send.repeat)
        owners = [own for own in self._repeats[draft.video.sha256, draft.account.id] if own <= number]
        if send.repeat <= draft.repeat or max(owners, default=None) != draft.repeat:
            return False
        if draft.when is None and draft.row.campaign and self._is_of_another_campaign(draft, send):
            return False
        return send.claimed_at >= (first.claimed_at if number == draft.repeat else first.published_at)

    def _is_of_another_campaign(self, draft: Draft, send: Send) -> bool:
        slots = self._slots_of(draft, send)
        named = {ms for campaign, ms in slots.items() if campaign not in ("", draft.row.campaign)}
        return send.scheduled_ms in named and send.scheduled_ms != slots.get(draft.row.campaign)

    def _slots_of(self, draft: Draft, send: Send) -> dict[str, int]:
        """The slots of the draft's video and account under the number of a send, in Unix milliseconds, by campaign."""
        return self._slots.get((draft.video.sha256, draft.account.id, send.repeat), {})

    @staticmethod
    def _add_known(draft: Draft, sent: _Sent, found: CheckedPlan) -> None:
        found.known.append(Known(draft.row.number, sent.send, sent.outcome))
