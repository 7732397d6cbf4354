"""What the phones do for the posts of a campaign: what its form says, and what a row says in place of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence

from reelflow.campaigns.columns import COMMENTS, WARM_UP
from reelflow.campaigns.posts import Draft
from reelflow.campaigns.rows import PlanRow, RowProblem
from reelflow.errors import InputError
from reelflow.phones.engagement import asks_for_something, nowhere
from reelflow.phones.form import EngageForm


def form_for(row: PlanRow, form: EngageForm, platforms: Collection[str]) -> EngageForm | None:
    """What the phones do for a post of a row; None if that is nothing.

    Args:
        row: What it says counts in place of the form's.
        form: Of the campaign.
        platforms: To which the post goes: only accounts of those act on it.
    """
    wanted = _with_cells(row, form)
    here = wanted.model_copy(update={"comment_on": [each for each in wanted.comment_on if each in platforms]})
    return here if here.comment_on and asks_for_something(here) else None


def forms_of_rows(drafts: Sequence[Draft], form: EngageForm) -> list[tuple[PlanRow, EngageForm | None]]:
    """What the phones do for the post of each row, in the order of the rows."""
    rows = {draft.row.number: draft.row for draft in drafts}
    platforms = defaultdict[int, set[str]](set)
    for draft in drafts:
        platforms[draft.row.number].add(draft.account.platform)
    return [(row, form_for(row, form, platforms[number])) for number, row in sorted(rows.items())]


def engagement_problems(
    wanted: Iterable[tuple[PlanRow, EngageForm | None]], form: EngageForm, check: Callable[[EngageForm], None]
) -> list[RowProblem]:
    """What is wrong with the cells for the phones, in the order of the rows.

    Args:
        wanted: As `forms_of_rows` returns it.
        form: Of the campaign.
        check: Raises InputError for a form that the phones cannot carry out.
    """
    problems = []
    for row, own in wanted:
        column = COMMENTS if row.comments else WARM_UP
        if own is None:
            if (row.comments or row.warm_up_minutes) and asks_for_something(_with_cells(row, form)):
                sentence = nowhere(form, "The row says what the phones do", "empty the cell")
                problems.append(RowProblem(row.number, column, "phones_nowhere", sentence))
            continue
        try:
            check(own)
        except InputError as error:
            problems.append(RowProblem(row.number, column, "phones", str(error)))
    return problems


def _with_cells(row: PlanRow, form: EngageForm) -> EngageForm:
    own: dict[str, object] = {"comments": list(row.comments)} if row.comments else {}
    if row.warm_up_minutes is not None:
        own["warm_up_seconds"] = round(row.warm_up_minutes * 60)
    return form.model_copy(update=own)
