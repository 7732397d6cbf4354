"""Start a run for each post whose phones can do their part now: whoever reads outcomes does it, every few minutes."""

from dataclasses import dataclass, field
from typing import Any

from prefect import get_run_logger
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterIdempotencyKey
from prefect.exceptions import ObjectNotFound

from blocks import ChatGPTSettings, TikMatrixHost
from reelflow.errors import InputError
from reelflow.ledger import Ledger
from reelflow.phones.due_parts import MOST_ATTEMPTS, Next, decide
from reelflow.records.alarms import Alarm, cause_of
from reelflow.records.engagements import OPEN, Engagement, EngagementState
from reelflow.wording import count, listed
from tasks.cancelled import nobody_cancelled
from tasks.ledger import open_ledger
from tasks.phones.engagements import form_of, run_name
from tasks.phones.wording import NO_PC, waiting_posts
from tasks.prefect_server import asking_prefect
from tasks.step import Retry, step

DEPLOYMENT = "engage-when-published/engage-when-published"
"""Flow and deployment of the runs that are started."""
NO_DEPLOYMENT = (
    "the phones cannot start, since this Prefect server has no deployment engage-when-published. Run `reelflow setup`"
)


@dataclass
class StartReport:
    """What was started for the phones, what waits, and what ended without a run; troubles are sentences.

    `in_line` was started before, and its run has not begun; `waiting` has no run yet.
    """

    started: list[str] = field(default_factory=list)
    in_line: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)


@step("start the phones' part of published posts", retry=Retry.READ)
def start_engagements() -> StartReport:
    """Start a run for each post that is out and whose phones have something to do; it waits for none of them.

    The same run is never started twice: its key names the engagement and the attempt.

    Raises:
        LedgerUnavailable: the ledger cannot tell which posts there are.
        ServiceError: the Prefect server does not answer.
    """
    ledger, report = open_ledger(), StartReport()
    now = ledger.now()
    open_now = [each for each in ledger.engagements(states=OPEN) if not each.is_held(now)]
    due = [each for each in open_now if _is_due(ledger, each, now, report)]
    if due:
        with asking_prefect(), get_client(sync_client=True) as client:
            _start(client, ledger, due, report)
    for line in report.troubles:
        get_run_logger().warning("%s", line)
    return report


def _is_due(ledger: Ledger, engagement: Engagement, now: float, report: StartReport) -> bool:
    """Whether a run is to be started; one that ends without a run is ended here."""
    try:
        form = form_of(engagement)
    except InputError as error:
        _end(ledger, engagement, EngagementState.FAILED, str(error).rstrip("."), report, is_alarm=True)
        return False
    decision = decide(form, engagement, ledger.engagement_outcomes(engagement), now)
    if decision.next is Next.END:
        _end(ledger, engagement, decision.state, decision.reason, report, is_alarm=decision.is_alarm)
    if decision.next is Next.START and not (engagement.host or form.phone_pc.strip()):
        _end(ledger, engagement, EngagementState.FAILED, NO_PC.rstrip("."), report, is_alarm=True)
        return False
    if decision.next is Next.WAIT:
        report.waiting.append(engagement.file)
    return decision.next is Next.START


def _start(client: SyncPrefectClient, ledger: Ledger, due: list[Engagement], report: StartReport) -> None:
    try:
        deployment = client.read_deployment_by_name(DEPLOYMENT)
    except ObjectNotFound:
        ledger.add_alarms(_not_started(each) for each in due)
        report.troubles.append(f"{count(len(due), 'post')} published, but {NO_DEPLOYMENT}.")
        return
    known = _known_runs(client, due)
    for engagement in due:
        if engagement.attempts >= MOST_ATTEMPTS:
            reason = f"{engagement.attempts} runs for it ended before the phones were done; see the last run"
            _end(ledger, engagement, EngagementState.FAILED, reason, report, is_alarm=True)
            continue
        run = client.create_flow_run_from_deployment(
            deployment.id,
            name=run_name(engagement.file),
            parameters=_parameters(engagement),
            idempotency_key=engagement.run_key,
        )
        if run.state is None or not run.state.is_final():
            (report.in_line if engagement.run_key in known else report.started).append(engagement.file)
        elif run.state.is_cancelled() and not nobody_cancelled(run.state.message):
            _end(ledger, engagement, EngagementState.CANCELLED, "its run was cancelled", report)
        else:  # it ended before it had the engagement; the next look starts another one
            ledger.count_attempt(engagement)
            report.waiting.append(engagement.file)


def _known_runs(client: SyncPrefectClient, due: list[Engagement]) -> set[str | None]:
    """The keys of those runs that were started before."""
    keys = FlowRunFilterIdempotencyKey(any_=[each.run_key for each in due])
    return {run.idempotency_key for run in client.read_flow_runs(flow_run_filter=FlowRunFilter(idempotency_key=keys))}


def _parameters(engagement: Engagement) -> dict[str, Any]:
    """Of the run: the engagement, and the blocks that it needs, by their names."""
    parameters: dict[str, Any] = {"engagement": {"engagement_id": engagement.id}}
    for name, kind, block in (
        ("host", TikMatrixHost, engagement.host),
        ("chatgpt", ChatGPTSettings, engagement.chatgpt),
    ):
        if block:  # the deployment's form takes no null
            slug = f"{kind.get_block_type_slug()}/{block}"
            parameters[name] = {"$ref": {"block_document_slug": slug}}
    return parameters


def _end(
    ledger: Ledger,
    engagement: Engagement,
    state: EngagementState,
    reason: str,
    report: StartReport,
    *,
    is_alarm: bool = False,
) -> None:
    if ledger.settle_engagement(engagement.id, state, reason, is_alarm=is_alarm):
        report.ended.append(f"{engagement.file} ({reason})" if reason else engagement.file)


def _not_started(engagement: Engagement) -> Alarm:
    """The alarm of one that no run can be started for; each once."""
    return Alarm(
        key=f"engagement {engagement.id} NOT STARTED {engagement.asked_at:.3f}",
        kind="engagement",
        state="NOT STARTED",
        subject=f"the phones' part of {engagement.file}",
        who="",
        reason=NO_DEPLOYMENT,
        cause=cause_of("engagement", "NOT STARTED", NO_DEPLOYMENT),
        flow_run=engagement.flow_run,
        ref=engagement.id,
    )


def summarize_start(report: StartReport) -> list[str]:
    """Sentences about the phones' part of posts; none if there is nothing to tell."""
    lines = []
    if report.started:
        lines.append(f"The phones' part of {listed(report.started)} starts in engage-when-published.")
    if report.in_line:
        lines.append(f"The phones' part of {listed(report.in_line)} waits for its turn in engage-when-published.")
    if report.waiting:
        lines.append(f"{waiting_posts(report.waiting)}.")
    if report.ended:
        lines.append(f"The phones do nothing more for {listed(report.ended)}.")
    return [*lines, *report.troubles]
