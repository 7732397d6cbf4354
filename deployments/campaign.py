"""``reelflow campaign``: run the flow publish_campaign from a terminal, in this process; and ``reelflow plan``."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from deployments.asking import ask_in_terminal
from deployments.in_terminal import load_block, quieten_run_logs, row_line, run_flow, whole_path
from deployments.options import (
    FIT,
    AsJson,
    ChatGPTBlock,
    FormOptions,
    TaislyBlock,
    accounts_option,
    in_options,
    read_form,
    with_labels,
    with_options_of,
)
from deployments.progress import progress
from deployments.publish import ENGAGE
from reelflow.campaigns.check import check_alone
from reelflow.campaigns.form import CampaignForm
from reelflow.campaigns.moments import DATE_FORMAT_LABEL, DateFormat
from reelflow.campaigns.reading import ReadingOptions, read_plan
from reelflow.campaigns.report import WOULD_SEND, CampaignReport
from reelflow.campaigns.sources import KINDS
from reelflow.campaigns.videos import no_progress
from reelflow.campaigns.writing import save_wrong_rows, template
from reelflow.downloads.source import is_stored, shown_name
from reelflow.errors import InputError
from reelflow.phones.form import EngageForm
from reelflow.posts.fit_fields import FitChoice
from reelflow.time_zones import shown
from reelflow.video.fit_settings import TooLong
from reelflow.wording import count, listed, one_line

PlanFile = Annotated[
    str,
    Parameter(help="A folder with videos, a CSV, JSON or YAML file, or the http(s) address of such a file."),
]
To = Annotated[list[str] | None, accounts_option("what names no accounts of its own")]
Slots = Annotated[
    str,
    Parameter(
        help='Name of the saved block "Posting Slots", for posts without a time. Without it, "main" if there is one.',
        show_default=False,
    ),
]
LONGEST_CAPTION = 100
"""Characters of a caption that a check shows."""
ELSEWHERE = {"plan": "PLAN", "accounts": "--to", "rows": "PLAN"}
"""Fields of the form that the command has in another way."""


@with_options_of(
    FormOptions(CampaignForm, without=ELSEWHERE),
    FormOptions(EngageForm, prefix=ENGAGE),
    blocks={"TikMatrix Host": "--host", "ChatGPT Settings": "--chatgpt", "Posting Slots": "--slots"},
)
def campaign(
    plan: PlanFile,
    /,
    *,
    to: To = None,
    slots: Slots = "",
    block: TaislyBlock = "main",
    host: Annotated[str, Parameter(help='Name of the saved block "TikMatrix Host", for the phones\' part.')] = "",
    chatgpt: ChatGPTBlock = None,
    as_json: AsJson = False,
    **values: Any,
) -> int:
    """Publish a folder or a plan of videos, each post exactly once, at its time or in the next posting slot."""
    quieten_run_logs()
    from blocks import ChatGPTSettings, PostingSlots, TaislyAccount, TikMatrixHost
    from blocks.reference import load_saved
    from flows.campaign import publish_campaign
    from tasks.campaigns.approve import asked_by

    form = read_form(CampaignForm, values | {"plan": whole_path(plan), "accounts": to or []}, names=ELSEWHERE)
    if form.approval and (as_json or not sys.stdin.isatty()):
        raise InputError("--approval asks in the terminal: omit --json, and do not redirect the input.")
    with asked_by(ask_in_terminal):
        return run_campaign(
            publish_campaign,
            as_json=as_json,
            taisly=load_block(TaislyAccount, block),
            campaign=form,
            slots=load_block(PostingSlots, slots, "--slots") if slots else load_saved(PostingSlots, "main"),
            engage=read_form(EngageForm, values, prefix=ENGAGE),
            host=load_block(TikMatrixHost, host, "--host") if host else load_saved(TikMatrixHost, "main"),
            chatgpt=None if chatgpt is None else load_block(ChatGPTSettings, chatgpt, "--chatgpt"),
        )


def run_campaign(flow: Any, *, as_json: bool, **parameters: Any) -> int:
    """Run a campaign or an inbox to its end and print what became of each row; see `run_flow`."""
    return run_flow(flow, as_json=as_json, lines=campaign_lines, facts=campaign_facts, **parameters)


def campaign_lines(report: Any) -> list[str]:
    """A line for each row and account of a campaign, and what is to be said of it."""
    if not isinstance(report, CampaignReport):
        return []
    lines = []
    for line in report.lines:
        row = f"row {line.number}" if line.number else "plan"
        at = shown(line.at) if line.at else "now" if line.outcome == WOULD_SEND else ""
        lines.append(
            f"  {row:8} {line.outcome:11} {line.video:24} {line.account:28} {at:34} {line.link or line.detail}"
        )
        if report.dry_run and line.caption:
            lines.append(f"{'':10} {one_line(line.caption, LONGEST_CAPTION)}")
        if line.phones:
            lines.append(f"{'':10} phones: {line.phones}")
    return [*(line.rstrip() for line in lines), *report.notes]


def campaign_facts(report: Any) -> dict[str, Any]:
    """The same for programs."""
    if not isinstance(report, CampaignReport):
        return {}
    posts = [line.model_dump(mode="json") for line in report.lines]
    facts = {"dry_run": report.dry_run, "rows": report.rows, "posts": posts}
    facts |= {"notes": report.notes, "warnings": report.warnings}
    return facts | ({"ok": False} if report.would_be_incomplete else {})  # the run of a check is green all the same


@with_labels({**FIT, DATE_FORMAT_LABEL: "--date-format"})
def check(
    plan: PlanFile,
    /,
    *,
    time_zone: Annotated[str, Parameter(help="For times without a time zone. Empty: this machine's.")] = "",
    date_format: Annotated[DateFormat, Parameter(help="What dates like 03/04/2026 mean.")] = "refused",
    fit: Annotated[
        FitChoice, Parameter(help="As for `reelflow campaign`: what becomes of a video that does not fit.")
    ] = "off",
    too_long: Annotated[TooLong, Parameter(help="As for `reelflow campaign`, with a fit.")] = "refuse",
    as_json: AsJson = False,
) -> int:
    """Say what is wrong with a plan: its rows, videos, captions and times. Needs no server and sends nothing."""
    now, options = datetime.now(UTC), ReadingOptions(time_zone=time_zone, date_format=date_format)
    found = read_plan(whole_path(plan), folder=None, options=options, now=now)
    with progress() as show:
        tell = no_progress if as_json else partial(show, "Videos checked")
        found = check_alone(found, now, CampaignForm(fit=fit, too_long=too_long), progress=tell)
    stored = [row.number for row in found.rows if is_stored(row.video)]
    if as_json:
        rows = [{"row": p.number, "column": p.column, "code": p.code, "problem": p.sentence} for p in found.problems]
        facts = {"ok": not rows, "rows": len(found.rows), "problems": rows, "videos_not_checked": stored}
        print(json.dumps(facts, indent=2, ensure_ascii=False))
        return 1 if rows else 0
    wrong = {problem.number for problem in found.problems} - {0}
    for row in found.rows:
        if row.number not in wrong:
            at = shown(row.when) if isinstance(row.when, datetime) else row.when or "next free slot"
            names = ", ".join(map(one_line, row.accounts))
            print(row_line(row.number, shown_name(row.video), names, at))
    for problem in found.problems:
        where = f"row {problem.number}" if problem.number else "plan"
        where += f", {problem.column}" if problem.column else ""
        print(f"{where}: {in_options(problem.sentence)}")
    if stored:
        which = f"{'row' if len(stored) == 1 else 'rows'} {listed([str(number) for number in stored])}"
        print(f"Not checked: the video of {which}, which is in a storage. `reelflow campaign --dry-run` checks it.")
    if not found.problems:
        print(f"{count(len(found.rows), 'row')}, nothing wrong. Accounts and duplicates are checked by "
              "`reelflow campaign --dry-run`.")  # fmt: skip
        return 0
    unfitted = {row.number for row in found.rows if (row.fit or fit) == "off"}
    if any(problem.code == "video" and problem.number in unfitted for problem in found.problems):
        print("A video that cannot be published as it is may fit with --fit pad, blur or crop, or one of these in its "
              "column 'fit'.")  # fmt: skip
    are = "is" if len(wrong) == 1 else "are"
    rows_are_wrong = f"{len(wrong)} of {count(len(found.rows), 'row')} {are} wrong."
    summary = rows_are_wrong if wrong else "The plan is wrong; see above."
    if wrong and KINDS.get(Path(plan).suffix.lower()) == "csv":
        print(f"Rows are counted below the header: row {min(wrong)} is row {min(wrong) + 1} of a spreadsheet.")
    print(f"{summary} {save_wrong_rows(found, found.problems)}".rstrip())
    return 1


def plan_template(
    kind: Annotated[
        Literal["csv", "json", "yaml", "folder"], Parameter(help="A table, a file, or a folder with captions.")
    ] = "csv",
    /,
    *,
    save: Annotated[
        Path | None,
        Parameter(
            help="A file such as my-plan.csv, or a folder for the files of the plan. Without it, they are shown."
        ),
    ] = None,
) -> int:
    """Show a sample plan of each kind, or save it, to be filled in."""
    files = template(kind, now=datetime.now(UTC))
    if save is None:
        for name, text in files.items():
            print(text if len(files) == 1 else f"{name}\n  {text}", end="")
        return 0
    paths = {save / name: text for name, text in files.items()}
    if (named := KINDS.get(save.suffix.lower())) and not save.is_dir():
        if named != kind:
            place = "a folder" if kind == "folder" else f"a file that ends in .{kind}, or a folder"
            raise InputError(f"{save} is not {place}. Name one; or run `reelflow plan template {named} --save {save}`.")
        paths = {save: "".join(files.values())}
    if taken := [path for path in paths if path.exists()]:
        raise InputError(f"{taken[0]} already exists. Nothing was written. Name another place.")
    for path, text in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        # Excel takes a CSV without the mark for its system's encoding.
        path.write_text(text, "utf-8-sig" if kind == "csv" else "utf-8", newline="")
        print(path)
    return 0
