"""Give drafts their times: slots from the ledger for those without one, and one post for what belongs together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from reelflow.campaigns.posts import Draft, PlannedPost, problem_of
from reelflow.campaigns.rows import RowProblem
from reelflow.campaigns.slots import SlotBook, SlotSearch
from reelflow.errors import InputError, NoSlot
from reelflow.ledger import Ledger
from reelflow.posts.looking_back import found_post
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.records.campaigns import RowPost, SlotRequest, Taken
from reelflow.records.posts import Account, PostRequest
from reelflow.time_zones import DAY, shown

LEAD_SECONDS = 120.0
"""How far ahead a slot must be, for the upload and for clocks that differ."""
MARGIN_SECONDS = 15.0
"""How far ahead a time must still be when an upload begins. What passes meanwhile is Taisly's to decide."""
HORIZON = timedelta(days=61)
"""How far ahead Taisly's history is read for posts that take slots: as far as slots are given, and a day."""

_Slot = tuple[datetime | InputError, str, SlotRequest]
"""A moment, or why there is none; what is to be said of it; and for what."""


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
        seconds_apart: How far slots are at least from posts of the same plan that have times of their own.
    """

    ledger: Ledger
    service: str
    book: SlotBook | None
    others: Taken
    same_time: bool = False
    options: PostOptions = field(default_factory=PostOptions)
    flow_run: str | None = None
    may_move: bool = True
    seconds_apart: float = 0.0
    _fixed: list[RowPost] = field(default_factory=list, init=False, repr=False)

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
        self._fixed = [placed.draft.post for placed in fixed]
        found = self._reserve([_slot_request(group) for group in groups], dry_run)
        placed, problems = list(fixed), list[RowProblem]()
        for group, (at, note, request) in zip(groups, found, strict=True):
            if isinstance(at, InputError):
                code = "slots_paused" if isinstance(at, NoSlot) and at.reason == "paused" else "no_slot"
                problems.append(problem_of(group[0].row.number, "when", code, at))
            else:
                placed += [_Placed(draft, at, request, note) for draft in group]
        return _posts(placed, self.options), problems

    def move(self, post: PlannedPost) -> list[tuple[PlannedPost, InputError | None]]:
        """The same post in its next slot, since the one that it had has passed.

        Several if its accounts have slots of their own that only were at the same moment. Each comes with None; or, in
        its old slot, with the reason why it has no other: none is free, or it may not move.
        """
        if not self.may_move:
            ended = (
                "Its slot passed before it was sent, so your approval no longer applies. Start the campaign again to "
                "approve another time."
            )
            return [(post, InputError(ended))]
        mine = {account.id for account in post.request.accounts}  # others of the row may have been sent in time
        slots = [replace(s, accounts=tuple(a for a in s.accounts if a.id in mine)) for s in post.slots]
        found: dict[datetime | str, list[_Slot]] = {}
        for each in self._reserve([slot for slot in slots if slot.accounts], dry_run=False):
            found.setdefault(each[0] if isinstance(each[0], datetime) else str(each[0]), []).append(each)
        return [_moved(post, its) for its in found.values()]

    def _reserve(self, requests: list[SlotRequest], dry_run: bool) -> list[_Slot]:
        now, book = self.ledger.now(), self.book
        assert book is not None  # noqa: S101 - only posts of a book have slots
        earliest = now + LEAD_SECONDS
        fixed: dict[str, list[float]] = {}
        for post in self._fixed:
            fixed.setdefault(post.account_id, []).append(post.at or now)
        search = SlotSearch(
            book, datetime.fromtimestamp(earliest, UTC), seconds_apart=self.seconds_apart,
            fixed={account: sorted(moments) for account, moments in fixed.items()},
        )  # fmt: skip

        def choose(request: SlotRequest, taken: Taken, _earliest: float) -> float:
            return search.next_free(request.accounts, taken).at.timestamp()

        found = self.ledger.reserve(
            self.service,
            requests,
            choose,
            earliest=earliest,
            margin=MARGIN_SECONDS,
            others=self.others,
            fixed=self._fixed,
            flow_run=self.flow_run,
            dry_run=dry_run,
        )
        placed: list[_Slot] = []
        for at, request in zip(found, requests, strict=True):
            if isinstance(at, InputError):
                placed.append((at, "", request))
                continue
            moment = datetime.fromtimestamp(at, UTC)
            skipped = search.skipped_time(request.accounts, moment)
            note = f"{skipped:%H:%M} does not exist on this day, since the clocks go forward" if skipped else ""
            placed.append((moment, note, request))
        return placed


def _moved(post: PlannedPost, its: Sequence[_Slot]) -> tuple[PlannedPost, InputError | None]:
    """The part of a post whose accounts got one moment; or none, for one reason."""
    at, slots = its[0][0], tuple(slot for _, _, slot in its)
    accounts = [account for account in post.request.accounts if any(account in slot.accounts for slot in slots)]
    error, changes = None, {"accounts": accounts, "scheduled_for": at}
    if isinstance(at, InputError):
        error, changes = at, {"accounts": accounts}
    note = next((note for _, note, _ in its if note), "")
    return PlannedPost(post.number, post.request.model_copy(update=changes), slots, note), error


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
    missing = "The row has no time, and no posting slots are chosen. Write a time or 'now', or choose posting slots."
    if isinstance(draft.row.when, datetime):  # it failed, and is to be sent again
        missing = (
            f"Its time, {shown(draft.row.when)}, has passed, and no posting slots are chosen. Give it a later time, or "
            "choose posting slots."
        )
    return problem_of(draft.row.number, "when", "no_slots", missing)


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
        file=str(first.video.source),
        captions={draft.account.id: draft.caption for draft in group},
        accounts=tuple(draft.account for draft in group),
        repeat=first.repeat,
    )


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
