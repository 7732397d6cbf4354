"""``reelflow week``: the posts of the past and the coming days in the terminal, as CSV, and as a calendar."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from prefect.settings import PREFECT_API_URL

from deployments.in_terminal import print_json, quieten_run_logs
from deployments.options import AsJson, FormOptions, read_form, with_options_of
from deployments.outcomes import send_facts
from deployments.posts import client_named
from reelflow.records.posts import Outcome
from reelflow.upkeep.form import WeekForm
from reelflow.upkeep.week import Day, Entry, Week, counted, local_time
from reelflow.upkeep.week_files import check_files, write_files
from reelflow.wording import one_line

if TYPE_CHECKING:
    from tasks.phones.waiting import WaitingPhones

LONGEST_CAPTION = 60
"""Characters."""


@with_options_of(FormOptions(WeekForm))
def week(*, block: str = "", as_json: AsJson = False, **values: Any) -> int:
    """Print each post of the past and the coming days, and write the files that are named.

    Parameters
    ----------
    block
        Only posts of this client: the name of its block "Taisly Account".
    as_json
        Print one JSON object per line, one for each post, and nothing else.
    """
    form = read_form(WeekForm, values)
    check_files(form)
    quieten_run_logs()
    from tasks.ledger import open_ledger
    from tasks.phones.waiting import all_waiting_phones
    from tasks.upkeep.week import read_week
    from tasks.zone import use_server_zone

    use_server_zone()
    ledger = open_ledger()
    if not PREFECT_API_URL.value():
        print(f"PREFECT_API_URL is not set, so this is the ledger {ledger.full_place}.", file=sys.stderr)
    mine = client_named(block, ledger) if block else None
    found = read_week(ledger, form, mine)
    phones = all_waiting_phones(ledger) if mine is None else []
    files = write_files(form, found)
    if as_json:
        for entry in found.entries:
            print_json(send_facts(entry.send, entry.outcomes, phones, is_scheduled=entry.is_scheduled))
        return 0
    print("\n".join([*_lines(found, phones), *(f"Written: {file}" for file in files)]))
    return 0


def _lines(week: Week, phones: Sequence[WaitingPhones]) -> Iterator[str]:
    """The days, what waits for a person, what waits for the phones, and a summary."""
    from tasks.phones.waiting import HOW_TO_CANCEL
    from tasks.upkeep.week_page import summarize_week

    for day in week.days:
        yield from _of_day(day, is_today=day.date == week.today)
        yield ""
    if week.unconfirmed:
        yield "Unconfirmed: check the account, then run the command with --published or --not-published."
        for entry in week.unconfirmed:
            yield f"  {_when(entry.at)}  {entry.name}  {', '.join(o.account.label for o in entry.outcomes)}"
            yield f"    reelflow resolve {entry.send.id}"
        yield ""
    for sentence in week.without_client:
        yield from (sentence, "")
    if phones:
        yield f"Waiting for the phones. {HOW_TO_CANCEL}"
        for each in phones:
            yield f"  {_when(each.published_at)}  {each.engagement.file}"
            yield f"    {each.line}"
        yield ""
    yield summarize_week(week, phones)


def _of_day(day: Day, *, is_today: bool) -> Iterator[str]:
    today = ", today" if is_today else ""
    posts = counted(len(day.entries), day.counts)
    yield f"{day.date:%a} {day.date.day} {day.date:%b}{today}: {posts}"
    for entry in day.entries:
        caption = one_line(entry.send.caption, LONGEST_CAPTION)
        yield f"  {local_time(entry.at):%H:%M}  {entry.name}{f'  {caption}' if caption else ''}"
        yield from (_of_account(entry, outcome) for outcome in entry.outcomes)


def _of_account(entry: Entry, outcome: Outcome) -> str:
    return f"         {outcome.account.label:32} {entry.word(outcome):12} {outcome.link or outcome.detail}".rstrip()


def _when(moment: float) -> str:
    at = local_time(moment)
    return f"{at:%a} {at.day} {at:%b}, {at:%H:%M}"
