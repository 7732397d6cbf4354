"""The report of a run that publishes a post, and its summary for people."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from reelflow.records.post_states import PostState
from reelflow.records.posts import Account, Outcome, PostRequest
from reelflow.wording import count


class PublishReport(BaseModel):
    """What a run that publishes a post did."""

    model_config = ConfigDict(frozen=True)

    request: PostRequest
    dry_run: bool = False
    outcomes: list[Outcome] = Field(default_factory=list)
    history_ids: list[str] = Field(default_factory=list, description="Taisly's IDs of the post.")
    sent_before: bool = Field(False, description="Whether an earlier run had sent all of it.")
    summary: str = Field("", description="A one-line summary for people.")

    def in_state(self, *states: PostState) -> list[Outcome]:
        """The outcomes in one of `states`."""
        return [o for o in self.outcomes if o.state in states]

    @property
    def failed(self) -> bool:
        """Whether it did not go out somewhere, or may not have."""
        return any(o.state.needs_attention for o in self.outcomes)

    @property
    def is_out(self) -> bool:
        """Whether it is out, or on its way, somewhere."""
        return bool(self.in_state(PostState.SUCCESS, PostState.PENDING))


def describe(request: PostRequest) -> str:
    """What would be sent, in one line."""
    video = request.video
    when = "now" if request.scheduled_for is None else f"at {request.scheduled_for:%Y-%m-%d %H:%M} UTC"
    caption = f"with the caption {request.caption!r}" if request.caption else "without a caption"
    return (
        f"{video.path.name} ({video.width}x{video.height}, {video.duration:.1f} s, {video.size_bytes / 1e6:.1f} MB) "
        f"{caption}, preview at {request.preview_second:g} s, to {request.account_names}, {when}"
    )


def summarize_dry_run(left: PostRequest, sent_before: Sequence[Account]) -> str:
    """A one-line summary of what would be sent.

    Args:
        left: The post, for those accounts only that have not received it.
        sent_before: The accounts that have.
    """
    parts = ["Dry run: nothing was sent"]
    if left.accounts:
        parts.append(f"Would send {describe(left)}")
    if sent_before:
        parts.append(f"Skipped, since it was sent there before: {', '.join(account.label for account in sent_before)}")
    return ". ".join(parts) + "."


def summarize(report: PublishReport) -> str:
    """A one-line summary of a post's outcomes: failures first, since a person must act on them."""
    total = len(report.outcomes)
    out, still = report.in_state(PostState.SUCCESS), report.in_state(PostState.PENDING)
    scheduled = report.request.scheduled_for
    if scheduled and len(still) == total:
        return f"Scheduled for {scheduled:%Y-%m-%d %H:%M} UTC on {count(total, 'account')}."
    parts = []
    for state, words in _WITHOUT_SUCCESS.items():
        for detail, alike in _by_detail(report.in_state(state)).items():
            names = ", ".join(o.account.label for o in alike)
            parts.append(f"{words} {names}: {detail}" if detail else f"{words} {names}")
    if out:
        names = "" if len(out) == total and total > 3 else f": {', '.join(o.account.label for o in out)}"
        parts.append(f"Published to {len(out)} of {count(total, 'account')}{names}")
    if still:
        parts.append("No outcome yet from " + ", ".join(o.account.label for o in still))
    if report.sent_before and parts and not report.in_state(PostState.FAILED):
        parts.append("It had been sent before; nothing was sent again")
    return ". ".join(parts) + "."


_WITHOUT_SUCCESS = {
    PostState.UNCONFIRMED: "Unconfirmed on",
    PostState.FAILED: "Failed on",
    PostState.REFUSED: "Refused for",
    PostState.CANCELLED: "Cancelled for",
    PostState.CLAIMED: "Not sent to",
}


def _by_detail(found: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    grouped: dict[str, list[Outcome]] = {}
    for outcome in found:
        grouped.setdefault(outcome.detail.rstrip("."), []).append(outcome)
    return grouped


class FinishReport(BaseModel):
    """What a run that finishes open posts found."""

    ended: list[Outcome]
    still_open: int = Field(description="Destinations without an outcome.")
    unconfirmed: list[str] = Field(description="Ids of sends that wait for a person.")
