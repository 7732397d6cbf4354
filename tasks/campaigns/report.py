"""Report a campaign: as an artifact of the run, as files beside its plan, and as the run's state."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from blocks import TaislyAccount
from reelflow.campaigns.carrying_out import Carried
from reelflow.campaigns.form import CampaignForm
from reelflow.campaigns.holds import release_note
from reelflow.campaigns.posts import CheckedPlan
from reelflow.campaigns.report import (
    NOT_SENT,
    OPEN,
    TROUBLE,
    WOULD_SEND,
    WRONG,
    CampaignLine,
    CampaignReport,
    causes,
    line_of,
    line_of_post,
    lines_of_carried,
    lines_of_held,
    lines_of_problems,
    lines_of_skipped,
    open_ids,
    phones_sentence,
    room_note,
    summarize,
    wrong_with_all,
)
from reelflow.campaigns.rows import Plan
from reelflow.campaigns.writing import csv_text, place_beside, save_wrong_rows, write_csv
from reelflow.errors import CampaignFailed, InputError, VideoUnreadable
from reelflow.ledger import Ledger
from reelflow.posts.request_limit import REQUESTS_PER_HOUR
from reelflow.records.clients import for_client
from reelflow.records.post_states import SCHEDULED
from reelflow.records.posts import SendRecord
from reelflow.video.before_after import before_after
from reelflow.wording import count, one_line
from tasks.artifacts import bullets, link, picture, plain_text, show_live, table
from tasks.campaigns.wording import time_shown, warnings_shown, zone_shown
from tasks.ledger import open_ledger
from tasks.phones.waiting import WaitingPhones, all_waiting_phones
from tasks.posts.wording import FINISH_OPEN_POSTS, FINISH_SCHEDULED_POSTS, detail_of
from tasks.step import Retry, step
from tasks.upkeep.week import refresh_week

MOST_LINES = 300
"""Lines of the report; the CSV has all of them."""
MOST_FITTED = 30
"""Fitted videos that are shown before and after, of about 15 KB each."""
FITTED_HEIGHT, FITTED_WIDTH = 160, 300
"""Pixels."""
CAPTION_SHOWN = 60
"""Characters of a caption in the report."""


@step("report {form.name}", retry=Retry.LEDGER)
def report_check(taisly: TaislyAccount, form: CampaignForm, plan: Plan, checked: CheckedPlan) -> CampaignReport:
    """What would be sent and when, what is wrong, and what is out already; nothing was sent."""
    ledger = open_ledger()
    lines = [line for post in checked.right_posts() for line in line_of_post(post, WOULD_SEND, phones=checked.phones)]
    lines += _others(ledger, plan, checked, all_waiting_phones(ledger))
    return _report(taisly, form, plan, checked, lines, nothing_sent=True)


@step("report {form.name}", retry=Retry.LEDGER)
def report_campaign(
    taisly: TaislyAccount, form: CampaignForm, plan: Plan, checked: CheckedPlan, carried: list[Carried]
) -> CampaignReport:
    """What became of every row, by what is on record now."""
    report = _report(taisly, form, plan, checked, lines_of_campaign(plan, checked, carried))
    refresh_week()
    return report


def lines_of_campaign(plan: Plan, checked: CheckedPlan, carried: Sequence[Carried]) -> list[CampaignLine]:
    """What became of every row, by what is on record now.

    Raises:
        LedgerUnavailable: the ledger cannot be read.
    """
    ledger = open_ledger()
    records = {send.id: (send, its) for send, its in ledger.sends({i for c in carried for i in c.send_ids})}
    details = {(send.id, o.account.id): detail_of(send, o) for send, its in records.values() for o in its}
    waiting = all_waiting_phones(ledger)
    lines = lines_of_carried(carried, records, details, _phones(waiting, records.values()), ledger.now())
    return [*lines, *_others(ledger, plan, checked, waiting)]


def final_state(report: CampaignReport) -> State[Any]:
    """The final state of a run with this report."""
    if report.has_trouble and not report.dry_run:
        name = "Partly failed" if report.is_partly_out else "Failed"
        wrong = [line.detail for line in report.lines if line.outcome in (WRONG, NOT_SENT)]
        return Failed(name=name, message=report.summary, data=CampaignFailed(report.summary, report, wrong))
    return Completed(name=state_name(report), message=report.summary, data=report)


def state_name(report: CampaignReport) -> str:
    """The name of the final state of a run without trouble."""
    if report.dry_run:
        return "Dry run"
    if report.number_of(OPEN):
        return "Still open"
    return "Scheduled" if report.number_of(SCHEDULED) else "Completed"


def _others(ledger: Ledger, plan: Plan, checked: CheckedPlan, waiting: Sequence[WaitingPhones]) -> list[CampaignLine]:
    """The rows that were not to be sent."""
    now, news = ledger.now(), {(s.id, o.account.id): (s, o) for s, its in ledger.sends(open_ids(checked)) for o in its}
    known = [(k.number, *news.get((k.send.id, k.outcome.account.id), (k.send, k.outcome))) for k in checked.known]
    phones = _phones(waiting, [(send, [outcome]) for _, send, outcome in known])
    return [
        *(line_of(number, send, outcome, now=now, detail=detail_of(send, outcome),
                  phones=phones.get((send.id, outcome.account.id), ""), is_new=False)
          for number, send, outcome in known),
        *lines_of_skipped(checked.skipped),
        *lines_of_held(held for held in checked.held if held.number not in checked.wrong_rows),
        *lines_of_problems(plan, checked.problems),
    ]  # fmt: skip


def _phones(waiting: Sequence[WaitingPhones], records: Iterable[SendRecord]) -> dict[tuple[str, str], str]:
    """What the phones are still to do for posts that are on record, by send and account id, in words."""
    by_send = {send.id: each.by_platform for each in waiting for send in each.sends}
    return {
        (send.id, outcome.account.id): does
        for send, its in records
        for outcome in its
        if (does := by_send.get(send.id, {}).get(outcome.account.platform))
    }


def _report(
    taisly: TaislyAccount,
    form: CampaignForm,
    plan: Plan,
    checked: CheckedPlan,
    lines: Sequence[CampaignLine],
    *,
    nothing_sent: bool = False,
) -> CampaignReport:
    notes = [note for note in (room_note(checked, REQUESTS_PER_HOUR[taisly.plan]),) if note and nothing_sent]
    notes += [note for note in (release_note(checked.released, form),) if note]
    notes += _write_files(plan, checked, lines, with_results=not nothing_sent)
    report = CampaignReport(
        name=form.name,
        client=taisly.client,
        rows=len(plan.rows),
        lines=sorted(lines, key=lambda line: (line.number, line.account)),
        dry_run=form.dry_run,
        notes=notes,
        warnings=warnings_shown(checked.warnings),
    )
    said = wrong_with_all(report.lines)
    if form.dry_run or not nothing_sent:
        said += filter(None, [phones_sentence(report)])
    if not nothing_sent:
        said += what_comes(report)
    elif not form.dry_run:
        advice = " Fix these rows, or choose 'send the right ones'." if checked.wrong_rows - {0} else ""
        said.append(f"Nothing was sent.{advice}")
    report = report.model_copy(update={"summary": summarize(report, more=" ".join(said))})
    show_report(report, checked)
    return report


def what_comes(report: CampaignReport) -> list[str]:
    """What happens to its posts after the run."""
    if report.number_of(OPEN):
        return [FINISH_OPEN_POSTS]
    return [FINISH_SCHEDULED_POSTS] if report.number_of(SCHEDULED) else []


def _write_files(plan: Plan, checked: CheckedPlan, lines: Sequence[CampaignLine], *, with_results: bool) -> list[str]:
    """Write the wrong rows, and what became of all rows, beside the plan; what is to be said of it."""
    notes: list[str] = []
    try:
        notes += filter(None, [save_wrong_rows(plan, checked.problems)])
        if with_results and (place := place_beside(plan)):
            path = place.with_name(f"{place.name}.results.csv")
            write_csv(path, csv_text(*_results(lines)))
            notes.append(f"The results are in {path}.")
    except (InputError, OSError) as error:
        get_run_logger().warning("The files beside the plan could not be written: %s", error)
    return notes


def _results(lines: Sequence[CampaignLine]) -> tuple[list[str], list[list[str]]]:
    columns = [
        "row", "video", "account", "caption", "time", "outcome", "reason", "link", "send id", "history id", "phones",
    ]  # fmt: skip
    return columns, [
        [
            str(line.number), line.video, line.account, line.caption,
            line.at.isoformat(timespec="seconds") if line.at else "",
            line.outcome, line.detail, line.link or "", line.send_id, line.history_id, line.phones,
        ]
        for line in sorted(lines, key=lambda line: line.number)
    ]  # fmt: skip


def show_report(report: CampaignReport, checked: CheckedPlan) -> None:
    """Show a report as the artifact of the run."""
    show_live(_markdown(report, checked), report.summary)


def _markdown(report: CampaignReport, checked: CheckedPlan) -> list[str]:
    """The report as Markdown: what needs a person first, then every row."""
    lines = [
        f"# {plain_text(for_client(report.client, report.name))}",
        "",
        f"{plain_text(report.summary)} {zone_shown()}",
        "",
    ]
    lines += [line for note in report.notes for line in (plain_text(note), "")]
    wrong = [line for line in report.lines if line.outcome in TROUBLE]
    rest = [line for line in report.lines if line.outcome not in TROUBLE]
    if wrong:
        lines += ["## What needs you", "", *_rows(wrong), ""]
    if reasons := causes(report.lines):
        lines += bullets("By cause:", [f"{count(number, 'post')}: {reason}" for reason, number in reasons])
    if rest:
        lines += ["## Posts" if wrong else "", "", *_rows(rest), ""]
    return [*lines, *_fitted(checked), *bullets("Please check:", warnings_shown(checked.warnings))]


def _fitted(checked: CheckedPlan) -> list[str]:
    """The videos that were made right: each before and after, and what was changed."""
    videos = {post.request.video.path: post.request for post in checked.posts if post.request.video.changes}
    shown = list(videos.values())[:MOST_FITTED]
    if not shown:
        return []
    pictures = []
    for request in shown:
        pictures.append("")
        with suppress(VideoUnreadable, OSError):
            at, video = request.preview_second, request.video
            pictures[-1] = picture(before_after(video.source, video.path, at=at, height=FITTED_HEIGHT), FITTED_WIDTH)
    columns = {
        "Video": [plain_text(request.video.name) for request in shown],
        "Before and after": pictures,
        "Changes": [plain_text("; ".join(request.video.changes)) for request in shown],
    }
    more = len(videos) - len(shown)
    return ["## Fitted videos", "", *table(columns), *(["", f"And {more} more."] if more else []), ""]


def _rows(lines: Sequence[CampaignLine]) -> list[str]:
    """A table of lines; accounts of a row that share everything else are one."""
    grouped = list(_together(lines).values())
    listed = grouped[:MOST_LINES]
    columns = {
        "Row": [str(line.number or "") for line, _ in listed],
        "Video": [plain_text(line.video) for line, _ in listed],
        "Accounts": [plain_text(", ".join(filter(None, accounts))) for _, accounts in listed],
        "Time": [time_shown(line.at) if line.at else "" for line, _ in listed],
        "Caption": [plain_text(one_line(line.caption, CAPTION_SHOWN)) for line, _ in listed],
        "Phones": [plain_text(line.phones) for line, _ in listed],
        "Outcome": [f"**{line.outcome}**" if line.outcome in TROUBLE else line.outcome for line, _ in listed],
        "Details": [link(line.link, "open the post") if line.link else plain_text(line.detail) for line, _ in listed],
    }
    more = len(grouped) - len(listed)
    return [*table(columns), *(["", f"And {more} more; the CSV has all of them."] if more else [])]


def _together(lines: Sequence[CampaignLine]) -> dict[object, tuple[CampaignLine, list[str]]]:
    found: dict[object, tuple[CampaignLine, list[str]]] = {}
    for line in lines:
        key = (line.number, line.video, line.caption, line.at, line.phones, line.outcome, line.detail, line.link)
        found.setdefault(key, (line, []))[1].append(line.account)
    return found
