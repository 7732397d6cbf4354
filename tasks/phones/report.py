"""Report the outcome of phone tasks: as an artifact of the run, and as the run's state."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from blocks import TikMatrixHost
from reelflow.errors import PhonesFailed
from reelflow.phones.report import ListedTask, PhoneReport, summarize
from reelflow.records.phones import PhonePlan, PhoneRequest, TaskResult
from reelflow.wording import count
from tasks.artifacts import bullets, link, plain_text, show_markdown, table
from tasks.ledger import open_ledger
from tasks.phones.wording import OUTCOME_WORDS, trouble_of

QUIET = "Quiet hours"
"""The name of the state of a run that did nothing because of quiet hours; a run on another PC goes by it."""


def phone_run_name(parameter: str) -> Callable[[], str]:
    """A name for runs of a phone flow whose form is `parameter`: "comments, 3 phones"."""

    def name() -> str:
        given = flow_run.parameters[parameter]
        form: dict[str, Any] = given if isinstance(given, dict) else given.model_dump()
        devices, usernames = form.get("devices") or [], form.get("usernames") or []
        named, kind = devices or usernames, "phone" if devices else "account"
        few = ", ".join(named) if len(named) < 3 else count(len(named), kind)
        who = f"all {kind}s" if named == ["all"] else few
        prefix = "dry run: " if form.get("dry_run") else ""
        return f"{prefix}{parameter.replace('_', ' ')}, {who}"

    return name


def report_phones(host: TikMatrixHost, request: PhoneRequest, plan: PhonePlan) -> PhoneReport:
    """The outcome of a plan, shown as an artifact of the run."""
    ledger = open_ledger()
    requests, now = ledger.task_requests(ids=plan.request_ids), ledger.now()
    records = ledger.task_records(plan.request_ids)
    created = Counter(record.request_id for record in records)
    report = PhoneReport(
        host=host.key,
        job=request.job,
        planned=plan.task_count,
        tasks=[record.task for record in records],
        left_out=list(plan.left_out),
        troubles=[trouble for each in requests if (trouble := trouble_of(each, created[each.id], now))],
        dry_run=request.dry_run,
        is_quiet=plan.quiet_until is not None,
        would_send=_planned_lines(plan) if request.dry_run else [],
    )
    report = report.model_copy(update={"summary": summarize(report)})
    show_markdown(_markdown(report, plan), report.summary)
    return report


def final_state(report: PhoneReport) -> State[Any]:
    """The final state of a run with this report."""
    if report.failed:
        return Failed(message=report.summary, data=PhonesFailed(report.summary, report, report.troubles))
    if report.dry_run:
        name = "Dry run"
    elif report.unfinished:
        name = "Still open"
    elif report.tasks:
        name = "Completed"
    else:
        name = QUIET if report.is_quiet else "Skipped"
    return Completed(name=name, message=report.summary, data=report)


def _markdown(report: PhoneReport, plan: PhonePlan) -> list[str]:
    """The report as Markdown: the outcome of each task, or the tasks that a dry run would create."""
    lines = [f"# {report.job.capitalize()}s on {plain_text(report.host)}", "", plain_text(report.summary), ""]
    if report.dry_run:
        lines += bullets("Would send:", _planned_lines(plan))
    if report.tasks:
        lines += task_table(report.tasks)
    return lines + bullets("Skipped:", report.left_out)


def _planned_lines(plan: PhonePlan) -> list[str]:
    return [
        f"{actor.name}: {text}" if text else actor.name
        for part in plan.parts
        for actor in part.actors
        for _, text in part.targets or (("", ""),)
    ]


def task_table(tasks: Sequence[TaskResult]) -> list[str]:
    """Tasks as the lines of a Markdown table."""
    return table(
        {
            "Task": [str(t.task_id) for t in tasks],
            "Job": [plain_text(t.job) if isinstance(t, ListedTask) else "" for t in tasks],
            "Phone": [plain_text(t.serial) for t in tasks],
            "Account": [plain_text(t.username) for t in tasks],
            "Target": [_target(t.target) for t in tasks],
            "Outcome": [OUTCOME_WORDS[t.state] for t in tasks],
            "Remark": [plain_text(t.remark) for t in tasks],
            "When (PC's clock)": [_when(t) for t in tasks],
            "Retries": [str(t.retried_by_tikmatrix + t.retried_by_us or "") for t in tasks],
        }
    )


def _target(target: str) -> str:
    """A target, short; a post's address as a link."""
    return link(target, "/".join(target.partition("?")[0].rstrip("/").split("/")[-2:]))


def _when(task: TaskResult) -> str:
    """From when to when, short: "12:35:10 – 12:35:24"."""
    times = [text.rpartition(" ")[2] for text in (task.started, task.ended) if text]
    return plain_text(" – ".join(times))
