"""Look into an inbox, and move what became of its videos out of it."""

import time
from collections.abc import Iterable, Sequence
from typing import Any

from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from blocks import PostingSlots, TaislyAccount
from blocks.reference import saved_names
from reelflow.campaigns.carrying_out import Carried
from reelflow.campaigns.filing import PAUSED_CODES, TWICE_CODES, Fate, fate_of, file_away, finish_moves, text_about
from reelflow.campaigns.inbox import Inbox, InboxOptions, look_into
from reelflow.campaigns.inbox_form import InboxForm
from reelflow.campaigns.inbox_owner import check_owner
from reelflow.campaigns.looking import ACCOUNTS_FILE, InboxVideo
from reelflow.campaigns.posts import CheckedPlan
from reelflow.campaigns.report import (
    HELD,
    NOT_SENT,
    SKIPPED,
    TROUBLE,
    WRONG,
    CampaignLine,
    CampaignReport,
    summarize,
)
from reelflow.campaigns.rows import RowProblem
from reelflow.errors import CampaignFailed, InputError
from reelflow.posts.requests import find_file
from reelflow.records.posts import without_quotes
from reelflow.video.check import LONGEST_PATH
from reelflow.video.kept_poster import kept_poster
from reelflow.wording import listed, one_line
from tasks.campaigns.check import check_campaign, videos_folder
from tasks.campaigns.fit import fit_campaign
from tasks.campaigns.report import lines_of_campaign, show_report, state_name, what_comes
from tasks.campaigns.send import send_campaign
from tasks.prefect_server import asking_prefect
from tasks.step import Retry, step
from tasks.upkeep.week import refresh_week

ADVICE = (
    "Delete the video; or, to send it all the same, publish it with a plan that has {repeat} in its column 'repeat'."
)
"""What to do about a video that was sent before."""
AGAIN = (
    "A post that failed on a platform is not sent again from an inbox. To send it once more, move the video and its "
    "caption files into a folder of their own, and run publish-campaign with that folder as its plan, its accounts, "
    "and 'what failed' under Send; or reelflow campaign FOLDER --to ACCOUNT --slots main --only \"what failed\"."
)
"""What to do about a video whose post has failed."""
LATER = "Looked at again by the next run, since its file may still be being written."
TWICE = "Looked at again by the next run, since the same video is in the inbox twice."


@step("look into {form.name}", retry=Retry.READ)
def look_into_inbox(taisly: TaislyAccount, form: InboxForm) -> Inbox:
    """Find the videos that are complete, after finishing the moves that an interrupted run has begun.

    Raises:
        InputError: there is no such folder, it cannot be read, or it is the inbox of another client.
    """
    name = without_quotes(form.folder.strip())
    if not name.strip():
        raise InputError("No folder is named.")
    try:
        folder = find_file(name, videos_folder()).absolute()
    except (RuntimeError, ValueError):
        raise InputError(f"There is no folder {one_line(form.folder)}. Give its whole path.") from None
    with asking_prefect():
        check_owner(folder, taisly.client, saved_names(TaislyAccount), is_dry_run=form.dry_run)
    if not form.dry_run:
        finish_moves(folder)
    options = InboxOptions(
        accounts=tuple(form.accounts),
        settle_seconds=form.settle_seconds,
        wait_seconds=form.wait_minutes * 60,
        most=form.most_videos,
        campaign=form.campaign_id,
    )
    found = look_into(folder, options)
    log = get_run_logger()
    for remark in found.remarks():
        log.info("%s", remark)
    for problem in found.problems:
        log.warning("%s", problem)
    return found


def check_inbox(taisly: TaislyAccount, form: InboxForm, slots: PostingSlots, found: Inbox) -> CheckedPlan:
    """Check the new videos as the rows of a campaign, and make right what does not fit."""
    checked = fit_campaign(form.campaign(), check_campaign(taisly, form.campaign(), slots, found.plan, ADVICE))
    checked.warnings += [(0, text) for text in (*found.problems, *found.remarks())]
    return checked


def send_inbox(taisly: TaislyAccount, form: InboxForm, slots: PostingSlots, checked: CheckedPlan) -> list[Carried]:
    """Send the right ones as posts of a campaign; no step where there is none."""
    return send_campaign(taisly, form.campaign(), slots, checked) if checked.right_drafts() else []


@step("file away {form.name}", retry=Retry.LEDGER)
def file_inbox(
    taisly: TaislyAccount, form: InboxForm, found: Inbox, checked: CheckedPlan, carried: list[Carried]
) -> CampaignReport:
    """Move every video that is on record, or cannot be used, and report all.

    A move that fails fails nothing: the ledger knows what was sent, and the next run moves the video.

    Raises:
        LedgerUnavailable: the ledger cannot be read.
    """
    by_row: dict[int, list[CampaignLine]] = {}
    for line in lines_of_campaign(found.plan, checked, carried):
        by_row.setdefault(line.number, []).append(line)
    lines, notes = by_row.pop(0, []), found.remarks()
    shas = {draft.row.number: draft.video.sha256 for draft in checked.drafts}
    shas |= {known.number: known.send.sha256 for known in checked.known}
    for number, video in found.videos.items():
        its = by_row.get(number, [])
        problems = [problem for problem in checked.problems if problem.number == number]
        fate = fate_of(video, problems, its, now=time.time(), wait=form.wait_minutes * 60)
        if fate is Fate.STAYS:
            where, todo = video.folder or found.plan.name, _about_folder(video, problems)
            its = [_changed(line, NOT_SENT, f"{where}: {line.detail}{todo}") for line in its]
        elif fate is Fate.LATER:
            its = [_changed(line, SKIPPED, _why_later(problems) or line.detail) for line in its]
        else:
            if number in shas:
                kept_poster(video.path, sha256=shas[number])  # the page of the week looks where it was sent from
            try:
                moved = file_away(found.folder, video, fate, text_about(video, fate, its, AGAIN))
                notes.append(f"Moved to {one_line(str(moved), LONGEST_PATH)}.")
            except FileNotFoundError:
                notes.append(f"{one_line(video.path.name)} is no longer in the inbox.")
            except OSError as error:
                its = _not_moved(its, one_line(video.path.name), fate, error)
                get_run_logger().warning("%s", its[-1].detail)
                notes.append(its[-1].detail)
        lines += its
    lines += [CampaignLine(number=0, video="", outcome=WRONG, detail=problem) for problem in found.problems]
    report = CampaignReport(name=form.name, rows=len(found.plan.rows), lines=lines, notes=notes)
    more = " ".join([*(f"{names}: {reason}" for names, reason in _wrong(lines)), *what_comes(report)])
    report = report.model_copy(update={"summary": summarize(report, more=more, rows="video")})
    show_report(report, checked)
    refresh_week()
    return report


def inbox_state(report: CampaignReport) -> State[Any]:
    """The final state of a run with this report.

    What was rejected is told once: it is gone from the inbox. What stays has the same cause each time, whatever else
    the runs do, so that its alarm is not told at each of them.
    """
    if not report.has_trouble:
        return Completed(name=state_name(report), message=report.summary, data=report)
    wrong = [line.detail for line in report.lines if line.outcome in (WRONG, NOT_SENT)]
    is_new = any(line.outcome in TROUBLE - {HELD, NOT_SENT} and line.number for line in report.lines)
    name = "Partly failed" if report.is_partly_out else "Rejected" if is_new else "Failed"
    cause = "" if is_new else f"{report.name}: {' '.join(sorted(set(wrong)))}"
    return Failed(name=name, message=report.summary, data=CampaignFailed(report.summary, report, wrong, cause=cause))


def nothing_new(form: InboxForm, found: Inbox) -> State[Any]:
    """The final state of a run that found no video to check: nothing was asked of Taisly or the ledger."""
    if found.problems and not form.dry_run:
        message = " ".join([*found.problems, *found.remarks()])
        failed = CampaignFailed(message, None, found.problems, cause=f"{form.name}: {' '.join(found.problems)}")
        return Failed(name="Failed", message=message, data=failed)
    message = " ".join(["Nothing new.", *found.problems, *found.remarks()])
    return Completed(name="Nothing new", message=message)


def _about_folder(video: InboxVideo, problems: Sequence[RowProblem]) -> str:
    """What to do about a subfolder that names no connected account."""
    if not video.folder or all(problem.code != "accounts" for problem in problems):
        return ""
    if (video.path.parent / ACCOUNTS_FILE).exists():
        return f" Correct {ACCOUNTS_FILE} in it."
    return f" Rename the folder, or list its accounts in {ACCOUNTS_FILE} in it."


def _why_later(problems: Sequence[RowProblem]) -> str:
    """Why a video is looked at again; empty if its problem says it."""
    codes = {problem.code for problem in problems}
    if codes & PAUSED_CODES:
        return ""
    return TWICE if codes & TWICE_CODES else LATER


def _changed(line: CampaignLine, outcome: str, detail: str) -> CampaignLine:
    return line.model_copy(update={"outcome": outcome, "detail": detail}) if line.outcome in (WRONG, NOT_SENT) else line


def _not_moved(lines: Sequence[CampaignLine], name: str, fate: Fate, error: OSError) -> list[CampaignLine]:
    """The lines of a video that could not be moved; where this run did nothing else with it, that is trouble."""
    why = (
        f"{name} could not be moved to {fate.value} ({one_line(error.strerror or str(error))}), and stays in "
        "the inbox. What is sent of it is not sent again."
    )
    outcome = SKIPPED if any(line.is_new for line in lines) else NOT_SENT
    return [*lines, CampaignLine(number=lines[0].number, video=name, outcome=outcome, detail=why)]


def _wrong(lines: Iterable[CampaignLine]) -> list[tuple[str, str]]:
    """The names of videos that were rejected, and of none for folders, with what is wrong with them."""
    found: dict[str, list[str]] = {}
    for line in lines:
        if line.outcome == WRONG:
            found.setdefault(line.detail, []).append(line.video)
    return [(listed([n for n in names if n]) or "Not sent", reason) for reason, names in found.items()]
