"""Give drafts their times: slots from the ledger for those without one, and one post for what belongs together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from reelflow.campaigns.posts import Draft, PlannedPost, problem_of
from reelflow.campaigns.rows import RowProblem
from reelflow.campaigns.slots import SlotBook, next_free
from reelflow.errors import InputError, NoSlot
from reelflow.ledger import Ledger
from reelflow.posts.looking_back import found_post
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.records.campaigns import SlotRequest, Taken
from reelflow.records.posts import Account, PostRequest
from reelflow.time_zones import DAY

LEAD_SECONDS = 120.0
"""How far ahead a slot must be, for the upload and for clocks that differ."""
MARGIN_SECONDS = 15.0
"""How far ahead a time must still be when an upload begins. What passes meanwhile is Taisly's to decide."""
HORIZON = timedelta(days=61)
"""How far ahead Taisly's history is read for posts that take slots: as far as slots are given, and a day."""


@dataclass(frozen=True)
class PostOptions:
    """What all posts of a campaign share; see `PostRequest`."""

    watch_seconds: float = 0.0
    patience: float = 0.0
    duplicate_seconds: float = DAY


@dataclass
class Placer:
    """Chooses slots for one campaign.

    Args:
        ledger: Where slots are reserved.
        service: The posts' service.
        book: The rules; None if none were chosen.
        others: Posts of the accounts that the ledger does not know.
        same_time: Whether all accounts of a row get the same moment.
        options: For the posts.
        flow_run: Id for the record.
        may_move: Whether a post may take another slot once its own has passed; not if it was approved for that one.
    """

    ledger: Ledger
    service: str
    book: SlotBook | None
    others: Taken
    same_time: bool = False
    options: PostOptions = field(default_factory=PostOptions)
    flow_run: str | None = None
    may_move: bool = True

    def place(self, drafts: Sequence[Draft], *, dry_run: bool) -> tuple[list[PlannedPost], list[RowProblem]]:
        """The posts for these drafts, the earliest first; and what has no slot.

        Args:
            drafts: Each for one account.
            dry_run: Whether to reserve nothing.
        """
        wanting = [draft for draft in drafts if draft.when is None]
        if self.book is None:
            problems = [_without_book(draft) for draft in _one_a_row(wanting)]
            return _posts([_Placed(d, d.when) for d in drafts if d.when is not None], self.options), problems
        groups = list(_groups(wanting, self.same_time))
        fixed = [_Placed(d, d.when) for d in drafts if d.when is not None]
        found = self._reserve([_slot_request(group) for group in groups], _with_fixed(self.others, fixed), dry_run)
        placed, problems = list(fixed), list[RowProblem]()
        for group, (at, note, request) in zip(groups, found, strict=True):
            if isinstance(at, InputError):
                code = "slots_paused" if isinstance(at, NoSlot) and at.reason == "paused" else "no_slot"
                problems.append(problem_of(group[0].row.number, "when", code, at))
            else:
                placed += [_Placed(draft, at, request, note) for draft in group]
        return _posts(placed, self.options), problems

    def move(self, post: PlannedPost) -> PlannedPost:
        """The same post in its next slot, since the one that it had has passed.

        Raises:
            InputError: none is free, or it may not move.
        """
        if not self.may_move:
            raise InputError(
                "Its slot passed before it was sent, and its approval has ended with it. Start the campaign again."
            )
        mine = {account.id for account in post.request.accounts}  # others of the row may have been sent in time
        slots = tuple(replace(s, accounts=tuple(a for a in s.accounts if a.id in mine)) for s in post.slots)
        first, *_ = self._reserve([_together(slots)], self.others, dry_run=False)
        at, note, slot = first
        if isinstance(at, InputError):
            raise at
        return PlannedPost(post.number, post.request.model_copy(update={"scheduled_for": at}), (slot,), note)

    def _reserve(
        self, requests: list[SlotRequest], others: Taken, dry_run: bool
    ) -> list[tuple[datetime | InputError, str, SlotRequest]]:
        notes: dict[float, str] = {}
        book = self.book
        assert book is not None  # noqa: S101 - only posts of a book have slots

        def choose(request: SlotRequest, taken: Taken, earliest: float) -> float:
            moment = next_free(book, request.accounts, taken, datetime.fromtimestamp(earliest, UTC))
            if moment.is_moved:
                notes[moment.at.timestamp()] = (
                    f"{moment.wanted:%H:%M} does not exist on this day, since the clocks go forward"
                )
            return moment.at.timestamp()

        found = self.ledger.reserve(
            self.service,
            requests,
            choose,
            earliest=self.ledger.now() + LEAD_SECONDS,
            margin=MARGIN_SECONDS,
            others=others,
            flow_run=self.flow_run,
            dry_run=dry_run,
        )
        return [
            (at if isinstance(at, InputError) else datetime.fromtimestamp(at, UTC),
             "" if isinstance(at, InputError) else notes.get(at, ""), request)
            for at, request in zip(found, requests, strict=True)
        ]  # fmt: skip


@dataclass(frozen=True)
class _Placed:
    """A draft with its moment."""

    draft: Draft
    at: datetime | Literal["now"]
    slot: SlotRequest | None = None
    note: str = ""

    @property
    def moment(self) -> datetime | None:
        return self.at if isinstance(self.at, datetime) else None


def _without_book(draft: Draft) -> RowProblem:
    return problem_of(
        draft.row.number,
        "when",
        "no_slots",
        "The row has no time, and no posting slots are chosen. Write a time or 'now', or choose posting slots.",
    )


def _one_a_row(drafts: Iterable[Draft]) -> list[Draft]:
    return list({draft.row.number: draft for draft in drafts}.values())


def _groups(drafts: Sequence[Draft], same_time: bool) -> Iterable[list[Draft]]:
    """The drafts that get one moment: those of a row, or each of its own."""
    if not same_time:
        return ([draft] for draft in drafts)
    found: dict[tuple[int, int], list[Draft]] = {}
    for draft in drafts:
        found.setdefault((draft.row.number, draft.repeat), []).append(draft)
    return found.values()


def _slot_request(group: Sequence[Draft]) -> SlotRequest:
    first = group[0]
    return SlotRequest(
        campaign=first.row.campaign,
        sha256=first.video.sha256,
        file=str(first.video.path),
        captions={draft.account.id: draft.caption for draft in group},
        accounts=tuple(draft.account for draft in group),
        repeat=first.repeat,
    )


def _together(slots: Sequence[SlotRequest]) -> SlotRequest:
    """One request for slots that happen to be at the same moment: their accounts have one post."""
    accounts = tuple(account for slot in slots for account in slot.accounts)
    captions = {account: caption for slot in slots for account, caption in slot.captions.items()}
    return replace(slots[0], accounts=accounts, captions=captions)


def _with_fixed(others: Taken, fixed: Sequence[_Placed]) -> Taken:
    """What is taken, with the posts of this plan that have a time of their own."""
    taken = {account: list(moments) for account, moments in others.items()}
    for placed in fixed:
        if placed.moment is not None:
            taken.setdefault(placed.draft.account.id, []).append(placed.moment.timestamp())
    return {account: sorted(moments) for account, moments in taken.items()}


def _posts(placed: Sequence[_Placed], options: PostOptions) -> list[PlannedPost]:
    """One post for the accounts of a row that share their caption and moment; the earliest first."""
    groups: dict[tuple[int, str, datetime | None, int], list[_Placed]] = {}
    for each in placed:
        draft = each.draft
        groups.setdefault((draft.row.number, draft.caption, each.moment, draft.repeat), []).append(each)
    posts = [_post(group, options) for group in groups.values()]
    return sorted(posts, key=lambda post: (post.request.scheduled_ms, post.number))


def _post(group: Sequence[_Placed], options: PostOptions) -> PlannedPost:
    first = group[0].draft
    request = PostRequest(
        video=first.video,
        accounts=[each.draft.account for each in group],
        caption=first.caption,
        scheduled_for=group[0].moment,
        preview_second=first.row.preview_second,
        repeat=first.repeat,
        watch_seconds=options.watch_seconds,
        patience=options.patience,
        duplicate_seconds=options.duplicate_seconds,
    )
    slots = {id(each.slot): each.slot for each in group if each.slot is not None}
    return PlannedPost(first.row.number, request, tuple(slots.values()), next((e.note for e in group if e.note), ""))


def posts_elsewhere(taisly: RateLimitedTaisly, accounts: Sequence[Account], *, patience: float = 0.0) -> Taken:
    """When these accounts have posts in Taisly that this ledger does not know, from a day ago on; one request.

    Raises:
        ServiceError: as the client does.
    """
    now = taisly.ledger.now()
    ahead = taisly.clock_ahead or 0.0
    start = datetime.fromtimestamp(now + ahead, UTC)
    items = taisly.history_between(start - timedelta(days=1), start + HORIZON, "publish", patience)
    owned = taisly.ledger.owned_history_ids(taisly.service, [item.id for item in items if item.id])
    taken: dict[str, list[float]] = {account.id: [] for account in accounts}
    for item in items:
        if item.id in owned:
            continue
        post = found_post(item, ahead)
        for account in accounts:
            if post.at is not None and post.is_at(account):
                taken[account.id].append(post.at)
    return {account: sorted(moments) for account, moments in taken.items()}
