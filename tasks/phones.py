"""The steps of every phone flow: check and plan, ask TikMatrix, watch, and say what came of it."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from prefect import get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State as RunState
from prefect.runtime import flow_run
from prefect.states import Completed

from blocks import ChatGPTSettings, TikMatrixHost
from reelflow.errors import InputError, ServiceError
from reelflow.heartbeat import heartbeat
from reelflow.phones import creating, watching
from reelflow.phones.batches import Batch, BatchState
from reelflow.phones.engagement import count, make_plan, make_wish, sentence
from reelflow.phones.forms import UNFINISHED, PhoneForm, PhoneReport, PhonesFailed, TaskResult, TaskState
from tasks.announce import announce_task
from tasks.late import too_late_now
from tasks.progress import ProgressBar
from tasks.record import open_ledger
from tasks.report import plain_text
from tasks.step import step

_WORDS = {
    TaskState.PENDING: "waiting",
    TaskState.RUNNING: "running",
    TaskState.RETRYING: "failed, may be repeated",
    TaskState.COMPLETED: "completed",
    TaskState.FAILED: "**failed**",
    TaskState.GONE: "**gone**",
    TaskState.CANCELLED: "taken back",
}


@dataclass(frozen=True)
class PlannedTasks:
    """What a run may do: its requests on record, how many tasks they make, and what was left out."""

    batch_ids: list[str] = field(default_factory=list)
    tasks: int = 0
    left_out: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


def phone_run_name(parameter: str) -> Callable[[], str]:
    """A name for runs of a phone flow whose form is `parameter`: "comment on 3 phones"."""

    def name() -> str:
        given = flow_run.parameters[parameter]
        form: dict[str, Any] = given if isinstance(given, dict) else given.model_dump()
        devices, usernames = form.get("devices") or [], form.get("usernames") or []
        named, kind = devices or usernames, "phones" if devices else "accounts"
        number = "all" if named == ["all"] else str(len(named))
        who = ", ".join(named) if len(named) < 3 and number != "all" else f"{number} {kind}"
        what = "dry run: " if form.get("dry_run") else ""
        return f"{what}{parameter.replace('_', ' ')}, {who}"

    return name


def run_on_phones(host: TikMatrixHost, form: PhoneForm, chatgpt: ChatGPTSettings | None = None) -> RunState[Any]:
    """The story of every phone flow; ends as Completed, or raises what the person should read.

    Raises:
        InputError: something about the form is wrong.
        ServiceError: TikMatrix cannot be asked; nothing was sent.
        PhonesFailed: a task failed or is gone, or a request was refused.
    """
    if late := too_late_now(form.max_lateness_minutes):
        return Completed(name="Skipped", message=late)
    return ended(do_on_phones(host, form, chatgpt))


def do_on_phones(host: TikMatrixHost, form: PhoneForm, chatgpt: ChatGPTSettings | None = None) -> PhoneReport:
    """Check, plan, ask, watch; what came of it, shown as an artifact of the run."""
    owner = uuid.uuid4().hex  # this very attempt: one flow run may be executed by two processes at once
    check_host(host, form, chatgpt)
    plan = plan_tasks(host, form, owner)
    if form.dry_run:
        return _shown(host, form, plan, [], [])
    with held(plan.batch_ids, owner) as mine:
        trouble = ask_for_tasks(host, form, mine, owner, chatgpt)
        watch_tasks(host, form, plan.batch_ids)
        if trouble:
            _give_up(mine, trouble)
    ledger = open_ledger()
    return _shown(host, form, plan, ledger.phone_tasks(plan.batch_ids), ledger.batches(ids=plan.batch_ids))


def ended(report: PhoneReport) -> RunState[Any]:
    """How a run with this report ends.

    Raises:
        PhonesFailed: it did not go well.
    """
    if report.troubles or report.having(TaskState.FAILED, TaskState.GONE):
        raise PhonesFailed(report.sentence, report)
    if report.dry_run:
        name = "Dry run"
    elif report.having(*UNFINISHED):
        name = "Still open"
    else:
        name = "Completed" if report.tasks else "Skipped"
    return Completed(name=name, message=report.sentence, data=report)


@step("check {host.key}")
def check_host(host: TikMatrixHost, form: PhoneForm, chatgpt: ChatGPTSettings | None) -> None:
    """Check the form, and that TikMatrix is there, with a licence for its API.

    Raises:
        InputError: something about the form is wrong.
        NotAllowed: the licence has no API.
        ServiceError: TikMatrix does not answer.
    """
    wish = make_wish(form, host.guardrails)
    if getattr(form, "write_with_chatgpt", False) and chatgpt is None:
        raise InputError('Comments by ChatGPT need a block "ChatGPT Settings". Choose one, or turn them off.')
    log = get_run_logger()
    found = host.check()
    devices = {worker.serial for worker in wish.workers}
    log.info("Licence %s, %s phones at once.", found.plan_name, found.device_limit or "some")
    if found.device_limit is not None and len(devices) > found.device_limit:
        log.warning("%d phones are named; the licence runs %d at once, so the rest wait.", len(devices),
                    found.device_limit)  # fmt: skip
    with host.get_client() as client:
        online = client.devices()
    away = [] if online is None else sorted(devices - {device.serial for device in online})
    if away:
        log.warning("Not online in TikMatrix now: %s. Tasks there wait.", ", ".join(away))


@step("plan {form.job}s")
def plan_tasks(host: TikMatrixHost, form: PhoneForm, owner: str) -> PlannedTasks:
    """What the owner's limits leave of the form, put on record unless it is a dry run.

    Raises:
        LedgerUnavailable: nothing is sent without the record.
    """
    ledger, guardrails = open_ledger(), host.guardrails
    wish, now = make_wish(form, guardrails), datetime.fromtimestamp(open_ledger().now(), UTC)
    since = guardrails.day_start(now).timestamp()
    log = get_run_logger()
    log.info("Asked for: %s.", count(wish.fan_out, form.job))
    if form.dry_run:
        plan = make_plan(wish, guardrails, ledger.phone_history(wish, since), now)
        batches: list[Batch] = []
    else:
        plan = ledger.plan_phones(
            wish,
            lambda history: make_plan(wish, guardrails, history, now),
            since=since,
            host=host.key,
            config=form.config,
            owner=owner,
            flow_run=flow_run.id,
        )
        found = ledger.batches(flow_run=flow_run.id, host=host.key, script=wish.script, platform=wish.platform)
        batches = [batch for batch in found if batch.state not in (BatchState.REFUSED, BatchState.WITHDRAWN)]
    for line in plan.left_out:
        log.warning("%s.", line)
    lines = [f"{worker.name}{f': {text}' if text else ''}" for part in plan.parts for worker in part.workers
             for _, text in part.targets or (("", ""),)]  # fmt: skip
    tasks = plan.tasks if form.dry_run else sum(batch.expected for batch in batches)
    return PlannedTasks([batch.id for batch in batches], tasks, list(plan.left_out), lines)


@contextmanager
def held(batch_ids: list[str], owner: str) -> Iterator[list[str]]:
    """Hold the requests of this run, with a sign of life every few seconds; those that are ours."""
    ledger = open_ledger()
    mine = sorted(ledger.take_batches(batch_ids, owner))
    if len(mine) < len(batch_ids):
        get_run_logger().warning("Another process is at work on this run. This one only watches.")
    finished = False
    try:
        with heartbeat(lambda: ledger.take_batches(mine, owner), ledger.lease_seconds / 3):
            yield mine
        finished = True
    finally:
        ledger.drop_batches(mine, owner, left_open=finished)


@step("ask TikMatrix")
def ask_for_tasks(
    host: TikMatrixHost, form: PhoneForm, batch_ids: list[str], owner: str, chatgpt: ChatGPTSettings | None
) -> str:
    """Ask TikMatrix for the tasks, each request once; what kept it from it, or nothing.

    The task is not retried by Prefect. What certainly did not arrive is repeated inside; a lost answer is looked for.
    """
    with_chatgpt = chatgpt is not None and getattr(form, "write_with_chatgpt", False)
    secrets = {"chatgpt_settings": chatgpt.get_settings()} if with_chatgpt and chatgpt else {}
    ledger = open_ledger()
    try:
        with host.get_client() as client:
            creating.create_tasks(client, ledger, ledger.batches(ids=batch_ids), owner=owner, secrets=secrets)
    except ServiceError as error:
        get_run_logger().warning("%s", error)
        return str(error)
    return ""


def _give_up(batch_ids: list[str], words: str) -> None:
    """What could not be sent is free to be asked for again."""
    ledger = open_ledger()
    for batch in ledger.batches(ids=batch_ids, states=[BatchState.PLANNED]):
        ledger.settle_batch(batch.id, BatchState.WITHDRAWN, words)


@step("watch {form.job}s")
def watch_tasks(host: TikMatrixHost, form: PhoneForm, batch_ids: list[str]) -> None:
    """Wait until every task has ended, for at most `watch_minutes`. Never fails: the phones go on without us."""
    log, bar, guardrails = get_run_logger(), ProgressBar(f"Ended {form.job}s"), host.guardrails

    def tell(task: TaskResult) -> None:
        log.info("Task %d, %s: %s %s", task.task_id, task.who, task.state, task.remark)
        if task.state in (TaskState.FAILED, TaskState.GONE):
            announce_task(host.key, form.job, task)

    def may_retry() -> bool:
        return not guardrails.is_quiet(datetime.now(guardrails.zone).time())

    def show(done: int, total: int) -> None:
        if total:
            bar(done, total)

    how = watching.Watch(
        form.watch_minutes * 60, host.poll_seconds, form.retries, auto_retry=host.auto_retry, may_retry=may_retry
    )
    try:
        with host.get_client() as client:
            watched = watching.watch_tasks(client, open_ledger(), batch_ids, how, on_news=tell, on_progress=show)
        if watched.trouble is not None:
            log.warning("The last look failed: %s", watched.trouble)
    except Exception:  # logged whole; nothing after the request may undo it
        log.exception("Watching broke off. The tasks are not touched by that; finish-phone-tasks goes on.")


def _shown(
    host: TikMatrixHost, form: PhoneForm, plan: PlannedTasks, tasks: list[TaskResult], batches: list[Batch]
) -> PhoneReport:
    """The report of a run, as an artifact; trouble with that never disturbs the run."""
    now = open_ledger().now()
    report = PhoneReport(
        host=host.key,
        job=form.job,
        planned=plan.tasks,
        tasks=tasks,
        left_out=plan.left_out,
        troubles=[words for words in (creating.trouble_words(batch, now) for batch in batches) if words],
        dry_run=form.dry_run,
    )
    report = report.model_copy(update={"sentence": sentence(report)})
    try:
        create_markdown_artifact(markdown=markdown(report, plan.lines), description=report.sentence)
    except Exception as error:  # noqa: BLE001 - see above
        get_run_logger().warning("The report could not be shown: %s", error)
    return report


def markdown(report: PhoneReport, lines: list[str]) -> str:
    """The report as Markdown: what came of each task, or what each would be."""
    text = [f"# {report.job.capitalize()}s on {plain_text(report.host)}", "", plain_text(report.sentence), ""]
    if report.dry_run and lines:
        text += ["Would be sent:", "", *(f"- {plain_text(line)}" for line in lines)]
    if report.tasks:
        text += task_table(report.tasks)
    if report.left_out:
        text += ["", "Left out:", "", *(f"- {plain_text(line)}" for line in report.left_out)]
    return "\n".join(text)


def task_table(tasks: list[TaskResult]) -> list[str]:
    """Tasks as the lines of a Markdown table."""
    columns: dict[str, list[str]] = {
        "Task": [str(t.task_id) for t in tasks],
        "Phone": [plain_text(t.serial) for t in tasks],
        "Account": [plain_text(t.username) for t in tasks],
        "Target": [_target(t.target) for t in tasks],
        "Outcome": [_WORDS[t.state] for t in tasks],
        "Remark": [plain_text(t.remark) for t in tasks],
        "When (PC's clock)": [_when(t) for t in tasks],
        "Repeated": [str(t.repeated_by_tikmatrix + t.repeated_by_us or "") for t in tasks],
    }
    shown = {name: cells for name, cells in columns.items() if any(cells)}  # an empty column only takes room
    rows = zip(*shown.values(), strict=True)
    return [f"| {' | '.join(shown)} |", "|" + "---|" * len(shown), *(f"| {' | '.join(row)} |" for row in rows)]


def _target(target: str) -> str:
    """A target, short; a post's address as a link."""
    if not target.startswith("https://") or any(character in target for character in " |<>()[]"):
        return plain_text(target)
    parts = target.partition("?")[0].rstrip("/").split("/")
    return f"[{plain_text('/'.join(parts[-2:]))}]({target})"


def _when(task: TaskResult) -> str:
    """From when to when, short: "12:35:10 – 12:35:24"."""
    times = [text.rpartition(" ")[2] for text in (task.started, task.ended) if text]
    return plain_text(" – ".join(times))
