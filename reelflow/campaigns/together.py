"""What the posts of one plan mean for each other: the same video twice, too close together, room in the quota."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise

from reelflow.campaigns.posts import Draft, Known, problem_of
from reelflow.campaigns.rows import NOW, RowProblem
from reelflow.records.campaigns import RowPost, Taken
from reelflow.records.duplicates import SAME_LENGTH, are_alike
from reelflow.time_zones import shown
from reelflow.wording import duration

HOUR = 3600.0


def check_together(drafts: Sequence[Draft], taken: Taken, *, seconds_apart: float, now: float) -> list[RowProblem]:
    """What is wrong with posts of one account beside each other.

    Args:
        drafts: Of the whole plan.
        taken: When the accounts have other posts; without those of `posts_of_plan`.
        seconds_apart: How far apart two posts of one account are at least; 0 if that is not checked.
        now: Unix seconds.
    """
    by_account: dict[str, list[Draft]] = {}
    for draft in drafts:
        by_account.setdefault(draft.account.id, []).append(draft)
    found = [problem for own in by_account.values() for problem in _twice(own)]
    if seconds_apart:
        for own in by_account.values():
            timed = [(now if d.when == NOW else d.when.timestamp(), d) for d in own if d.when is not None]
            timed.sort(key=lambda each: (each[0], each[1].row.number))
            found += [*_close(timed, seconds_apart), *_close_to_others(timed, taken, seconds_apart)]
    return _one_a_row(found)


def posts_of_plan(drafts: Sequence[Draft], left: Sequence[Draft], known: Sequence[Known]) -> list[RowPost]:
    """What on record is not compared with the fixed times of a plan, since it is of the plan itself.

    What is to be sent may have been tried before, or have a slot. A slot is never too close: neither one that a row
    has, nor one in which it was sent.

    Args:
        drafts: Of the whole plan.
        left: Those of them that are to be sent.
        known: What of it was sent.
    """
    sends = {(each.number, each.outcome.account.id): each.send for each in known}
    slots = [
        draft.post._replace(repeat=send.repeat, at=send.scheduled_ms / 1000)
        for draft in drafts
        if draft.when is None and (send := sends.get((draft.row.number, draft.account.id)))
    ]
    return [*(draft.post for draft in left), *slots]


def _twice(drafts: Sequence[Draft]) -> Iterator[RowProblem]:
    """The same video more than once for one account: the second is refused while the first is scheduled or open."""
    first: dict[tuple[str, int], Draft] = {}
    for draft in drafts:
        earlier = first.setdefault((draft.video.sha256, draft.repeat), draft)
        if earlier is not draft:
            yield problem_of(
                draft.row.number, "video", "twice",
                twice_sentence(earlier.row.number, draft.account.label),
            )  # fmt: skip
    unique = sorted((d for d in first.values() if not d.repeat), key=lambda draft: draft.video.duration)
    for earlier, later in _alike(unique):
        if earlier.row.number > later.row.number:
            earlier, later = later, earlier
        yield problem_of(
            later.row.number, "video", "looks_the_same",
            f"The video of row {earlier.row.number} for {later.account.label} looks the same and is as long. Remove "
            "one of the two; or, to send both, put 1 into the column 'repeat' of this row.",
        )  # fmt: skip


def twice_sentence(earlier: int, where: str) -> str:
    """What is said of a row whose video an earlier one has for the same accounts."""
    return (
        f"Row {earlier} has the same video for {where}. Remove one of the two; or, to send it twice, put 1 into the "
        "column 'repeat' of this row."
    )


def _alike(drafts: Sequence[Draft]) -> Iterator[tuple[Draft, Draft]]:
    """Pairs of videos that look the same, sorted by their length: only neighbours need be compared."""
    for place, draft in enumerate(drafts):
        for other in drafts[place + 1 :]:
            if other.video.duration - draft.video.duration > SAME_LENGTH:
                break
            if are_alike(draft.video, other.video.duration, other.video.pictures):
                yield draft, other


def _close(timed: Sequence[tuple[float, Draft]], seconds_apart: float) -> Iterator[RowProblem]:
    """Posts of one account whose times are too close to each other."""
    for (before, earlier), (at, later) in pairwise(timed):
        if at - before < seconds_apart:
            yield _too_close(later, f"row {earlier.row.number}", seconds_apart)


def _close_to_others(timed: Sequence[tuple[float, Draft]], taken: Taken, seconds_apart: float) -> Iterator[RowProblem]:
    """Posts whose times are too close to one that is not of this plan."""
    for at, draft in timed:
        others = taken.get(draft.account.id, ())
        place = bisect_left(others, at)
        for other in others[max(0, place - 1) : place + 1]:
            if abs(other - at) < seconds_apart:
                yield _too_close(draft, f"the post of {shown(other)}", seconds_apart)
                break


def _too_close(draft: Draft, other: str, seconds_apart: float) -> RowProblem:
    return problem_of(
        draft.row.number, "when", "too_close",
        f"It is less than {duration(seconds_apart)} from {other} on {draft.account.label}. Give it another time, or "
        "none, so that it takes the next posting slot; or lower 'Minutes between posts'.",
    )  # fmt: skip


def _one_a_row(found: Sequence[RowProblem]) -> list[RowProblem]:
    """One problem of a kind for each row: its accounts have the same one."""
    return list({(problem.number, problem.code): problem for problem in reversed(found)}.values())[::-1]


def time_to_send(posts: int, *, used: int, per_hour: int) -> float:
    """How long it takes at least until so many posts are sent, in seconds, by the requests that the plan allows.

    Args:
        posts: One request each.
        used: Requests of the last hour.
        per_hour: Requests that the plan allows in an hour.
    """
    return max(0, -(-(used + posts - per_hour) // per_hour)) * HOUR
