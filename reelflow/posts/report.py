"""The report of a run that publishes a post, and its summary for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from reelflow.records.post_states import PostState
from reelflow.records.posts import Account, Outcome, PostRequest, Send
from reelflow.time_zones import shown
from reelflow.wording import count


class Unanswered(BaseModel):
    """A send that Taisly has not confirmed: its upload was complete, its answer was lost."""

    model_config = ConfigDict(frozen=True)

    send_id: str
    accounts: list[Account]
    until: AwareDatetime | None = Field(description="How long it is looked for; None if only a last look is missing.")


def unanswered_of(found: Sequence[tuple[Outcome, Send]], *, grace: float, now: float) -> list[Unanswered]:
    """Those sends among `found` that Taisly has not confirmed.

    Args:
        found: Outcomes, each with its send.
        grace: Seconds after which a post that cannot be found becomes UNCONFIRMED.
        now: Unix seconds.
    """
    accounts: dict[str, list[Account]] = {}
    until: dict[str, datetime | None] = {}
    for outcome, send in found:
        if outcome.state is PostState.SENDING and send.sealed_at is not None:
            accounts.setdefault(send.id, []).append(outcome.account)
            end = send.sealed_at + grace
            until[send.id] = datetime.fromtimestamp(end, UTC) if end > now else None
    return [Unanswered(send_id=i, accounts=its, until=until[i]) for i, its in accounts.items()]


class PublishReport(BaseModel):
    """What a run that publishes a post did."""

    model_config = ConfigDict(frozen=True)

    request: PostRequest
    client: str = Field("", description="The name of the block of its Taisly account.")
    dry_run: bool = False
    outcomes: list[Outcome] = Field(default_factory=list)
    history_ids: list[str] = Field(default_factory=list, description="Taisly's IDs of the post.")
    unanswered: list[Unanswered] = Field(default_factory=list, description="What Taisly has not confirmed.")
    sent_before: bool = Field(False, description="Whether an earlier run had sent all of it.")
    is_due: bool = Field(False, description="Whether the time for which it was scheduled has come.")
    summary: str = Field("", description="A one-line summary for people.")

    def in_state(self, *states: PostState) -> list[Outcome]:
        """The outcomes in one of `states`."""
        return [o for o in self.outcomes if o.state in states]

    @property
    def awaited(self) -> list[Account]:
        """Where Taisly has the post, and there is no outcome yet."""
        unanswered = {account.id for each in self.unanswered for account in each.accounts}
        return [o.account for o in self.in_state(PostState.PENDING) if o.account.id not in unanswered]

    @property
    def scheduled(self) -> list[Account]:
        """Where Taisly publishes it later."""
        return self.awaited if self.request.scheduled_for and not self.is_due else []

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
    when = "now" if request.scheduled_for is None else f"on {shown(request.scheduled_for)}"
    caption = f"with the caption {request.caption!r}" if request.caption else "without a caption"
    fitted = "fitted: " if video.changes else ""
    return (
        f"{video.name} ({fitted}{video.width}x{video.height}, {video.seconds:.1f} s, {video.size_bytes / 1e6:.1f} MB) "
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
    out, awaited = report.in_state(PostState.SUCCESS), report.awaited
    parts = describe_failures(report.outcomes)
    parts += [_not_confirmed(each) for each in report.unanswered]
    if out:
        names = "" if len(out) == total and total > 3 else f": {', '.join(o.account.label for o in out)}"
        parts.append(f"Published to {len(out)} of {count(total, 'account')}{names}")
    if report.scheduled and report.request.scheduled_for:
        where = count(total, "account") if len(awaited) == total else _labels(awaited)
        parts.append(f"Scheduled for {shown(report.request.scheduled_for)} at {where}")
    elif awaited:
        parts.append(f"No outcome yet from {_labels(awaited)}")
    if report.sent_before and parts and not report.in_state(PostState.FAILED):
        parts.append("It had been sent before; nothing was sent again")
    return ". ".join(parts) + "."


def describe_failures(outcomes: Sequence[Outcome]) -> list[str]:
    """Where it did not go out, or may not have, with the reason: "Failed on X: Duplicate content"."""
    parts = []
    for state, words in _WITHOUT_SUCCESS.items():
        for detail, alike in _by_detail([o for o in outcomes if o.state is state]).items():
            names = ", ".join(o.account.label for o in alike)
            parts.append(f"{words} {names}: {detail}" if detail else f"{words} {names}")
    return parts


_WITHOUT_SUCCESS = {
    PostState.UNCONFIRMED: "Unconfirmed on",
    PostState.FAILED: "Failed on",
    PostState.REFUSED: "Refused for",
    PostState.CANCELLED: "Cancelled for",
    PostState.CLAIMED: "Not sent to",
}


def _not_confirmed(send: Unanswered) -> str:
    look = "still looked for in Taisly's history"
    if send.until is not None:
        look = f"looked for in Taisly's history until {shown(send.until)}"
    return f"Taisly has not confirmed the post to {_labels(send.accounts)}; it is {look} (send ID {send.send_id})"


def _labels(accounts: Sequence[Account]) -> str:
    return ", ".join(account.label for account in accounts)


def _by_detail(found: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    grouped: dict[str, list[Outcome]] = {}
    for outcome in found:
        grouped.setdefault(outcome.detail.rstrip("."), []).append(outcome)
    return grouped


class FinishReport(BaseModel):
    """What a run that finishes open posts found."""

    ended: list[Outcome]
    failures: list[str] = Field(description="A line for each post that failed: file, account, reason.")
    still_open: int = Field(description="Destinations without an outcome, except those that are scheduled.")
    scheduled: int = Field(0, description="Destinations to which Taisly publishes later.")
    unconfirmed: list[str] = Field(description="Ids of sends that wait for a person.")
    deleted: list[str] = Field(
        default_factory=list, description="A sentence for each client with open posts whose block was deleted."
    )
