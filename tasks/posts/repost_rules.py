"""Read Taisly's repost rules, change them, and show what changed."""

from typing import Any

from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from blocks import TaislyAccount
from reelflow.errors import InputError, NothingSent, OutcomeUnknown, PartFailed, Refused, RunFailed
from reelflow.posts import repost_rules
from reelflow.posts.form import PATIENCE, RepostRulesForm
from reelflow.posts.repost_rules import RulePlan
from reelflow.posts.rules_report import RulesReport, progress_sentence, report_of
from reelflow.transport import ANSWER_TIMEOUT
from reelflow.wording import count
from tasks.artifacts import bullets, plain_text, show_markdown, table
from tasks.ledger import open_ledger
from tasks.step import Retry, step


def rules_run_name() -> str:
    """A name for runs whose form is a list of repost rules."""
    given = flow_run.parameters["reposts"]
    form = given if isinstance(given, RepostRulesForm) else RepostRulesForm.model_construct(**given)
    what = count(len(form.rules), "repost rule") if form.rules else "repost rules"
    return f"dry run: {what}" if form.dry_run else what


@step("check repost rules", retry=Retry.READ)
def check_rules(taisly: TaislyAccount, form: RepostRulesForm) -> RulePlan:
    """Read the rules and the connected accounts, and check the list against them. Changes nothing.

    Raises:
        InputError: a row names no connected account, or the rules would lead in a circle.
        ServiceError: Taisly does not answer, or does not show its rules.
    """
    with taisly.get_rate_limited(open_ledger()) as client:
        return repost_rules.check_rules(client, form, patience=PATIENCE)


def apply_rules(taisly: TaislyAccount, plan: RulePlan) -> str:
    """Change the rules one by one; returns "", or why not all of them could be changed. What was done is in `plan`.

    Raises:
        NothingSent: Taisly cannot be reached, or is busy.
    """
    try:
        return _change_rules(taisly, plan)
    except NothingSent as error:  # here, since each retry of the step would say to start again
        error.message += f" {progress_sentence(plan)}"
        raise


@step("change repost rules", retry=Retry.UNSENT)
def _change_rules(taisly: TaislyAccount, plan: RulePlan) -> str:
    """One try of it; the next one goes on where it stopped.

    Raises:
        NothingSent: as before.
        PartFailed: Taisly refused a change, its answers were lost, or somebody has changed the rules meanwhile.
    """
    try:
        with taisly.get_rate_limited(open_ledger()) as client:
            lost_after = min(ANSWER_TIMEOUT, taisly.grace_seconds)
            repost_rules.apply_rules(client, plan, patience=PATIENCE, lost_after=lost_after)
    except (InputError, OutcomeUnknown, Refused) as error:
        failure = f"{error} {progress_sentence(plan)}"
        raise PartFailed(failure, failure) from None
    return ""


def report_rules(plan: RulePlan, *, dry_run: bool, failure: str = "") -> RulesReport:
    """The rules before and after, shown as an artifact of the run.

    Args:
        plan: As it was checked, or carried out.
        dry_run: Whether nothing was to be changed.
        failure: Why not all was changed.
    """
    report = report_of(plan, dry_run=dry_run, failure=failure)
    for note in report.notes:
        get_run_logger().warning("%s.", note)
    show_markdown(_markdown(report), report.summary)
    return report


def _markdown(report: RulesReport) -> list[str]:
    before, after = ("are copied to", "then to") if report.dry_run else ("were copied to", "now to")
    lines = ["# Repost rules", "", plain_text(report.summary), ""]
    if report.lines:
        lines += table(
            {
                "Posts to": [plain_text(line.source) for line in report.lines],
                before: [_cell(line.before) for line in report.lines],
                after: [_cell(line.after) for line in report.lines],
            }
        )
        lines.append("")
    lines += bullets("Changed:", report.done)
    lines += bullets("Would change, in this order:" if report.dry_run else "Not changed:", report.left)
    return [*lines, *bullets("What this means:", report.notes)]


def _cell(targets: list[str]) -> str:
    return "<br>".join(map(plain_text, targets)) or "nowhere"


def final_state(report: RulesReport) -> State[Any]:
    """The final state of a run with this report."""
    if report.failure:
        return Failed(message=report.summary, data=RunFailed(report.summary, report))
    return Completed(name="Dry run" if report.dry_run else "Completed", message=report.summary, data=report)
