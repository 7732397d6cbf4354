"""Run the phones' part for a new post: on this machine, or through the worker of their PC."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run
from prefect.states import Failed

from blocks import TikMatrixHost
from reelflow.errors import InputError, PhonesFailed, PublishFailed, ReelflowError
from reelflow.phones.engagement import (
    EngagementJob,
    EngagementPart,
    check_engagement,
    comment_parts,
    engagement_jobs,
    sample_forms,
    warm_up_parts,
)
from reelflow.phones.form import EngageForm
from reelflow.phones.report import PhoneReport
from reelflow.phones.requests import make_request
from reelflow.posts.report import PublishReport
from reelflow.tikmatrix.scripts import texts
from reelflow.wording import count
from tasks.phones.check import check_phones
from tasks.phones.create import create_phone_tasks
from tasks.phones.plan import held, plan_phone_tasks
from tasks.phones.report import report_phones
from tasks.phones.watch import watch_phone_tasks
from tasks.posts import report as posts_report
from tasks.prefect_server import asking_prefect
from tasks.step import Retry, step

WATCH_SECONDS = 1800.0
"""How long to wait for a post's outcomes at least: comments need its links."""
SLACK = timedelta(minutes=5)
"""How long to wait for another machine's run beyond its own watch time."""
DEPLOYMENTS = {
    EngagementJob.WARM_UP: ("warm-up-accounts", "21-", "warm_up"),
    EngagementJob.COMMENT: ("comment-on-posts", "22-", "comments"),
}
"""For each job on a phone PC: its flow, the number of its deployments (prefect.yaml), and its form parameter."""
MAIN = "main"
"""The PC that setup creates if it is told of no other; its deployments are named like their flows."""


@step("check the phones' part", retry=Retry.READ)
def check_phones_part(host: TikMatrixHost | None, form: EngageForm) -> None:
    """Check that the phones can do their part, before anything is published.

    Raises:
        InputError: they cannot.
        ServiceError: TikMatrix does not answer, or its licence does not include the API.
    """
    check_engagement(form)
    pc = form.phone_pc.strip()
    if not pc:
        if host is None:
            raise InputError("Choose a block 'TikMatrix Host', or enter the 'Phone PC' whose worker does this part.")
        for sample in sample_forms(form):
            make_request(sample, host.guardrails)
        host.check()
        return
    with asking_prefect(), get_client(sync_client=True) as client:
        for job in engagement_jobs(form):
            deployment = deployment_on(pc, job)
            try:
                client.read_deployment_by_name(deployment)
            except ObjectNotFound:
                raise InputError(
                    f"There is no deployment {deployment} on this Prefect server. Nothing was published. Set up the "
                    "phone PC first (docs/deployment.md), or leave 'Phone PC' empty."
                ) from None


def deployment_on(pc: str, job: EngagementJob) -> str:
    """The deployment of a job on a phone PC: "comment-on-posts/22-attic"."""
    flow, number, _ = DEPLOYMENTS[job]
    return f"{flow}/{number}{flow if pc == MAIN else pc}"


@dataclass
class EngagementResult:
    """The result of the phones' part: one line for each part, whether any failed, and what besides phone tasks."""

    lines: list[str] = field(default_factory=list)
    failed: bool = False
    failures: list[str] = field(default_factory=list)


def phone_parts(form: EngageForm, report: PublishReport) -> tuple[list[EngagementPart], list[str]]:
    """What the phones do for a post, now that its outcomes are known; and what is skipped, and why."""
    if report.scheduled:
        jobs = " and ".join(DEPLOYMENTS[job][0] for job in engagement_jobs(form))
        return [], [f"The phones did nothing, since the post is not published yet. Once it is, run {jobs}."]
    warm_ups = warm_up_parts(form, dry_run=False) if report.is_out else []
    comments, skipped = comment_parts(form, report.outcomes)
    return [*warm_ups, *comments], skipped


def engage_phones(
    host: TikMatrixHost | None, form: EngageForm, parts: Sequence[EngagementPart], left_out: Sequence[str]
) -> EngagementResult:
    """Run each part and wait until it ends. If one fails, the next still runs."""
    result = EngagementResult(lines=list(left_out))
    for part in parts:
        try:
            line, failed, troubles = _engage(host, form, part)
        except ReelflowError as error:
            line, failed, troubles = str(error), True, [str(error)]
        result.lines.append(line)
        result.failed |= failed
        result.failures += troubles
    return result


def preview_phones(host: TikMatrixHost | None, form: EngageForm) -> EngagementResult:
    """Describe what the phones of this machine would do, without sending anything."""
    parts = [] if form.phone_pc.strip() else warm_up_parts(form, dry_run=True)
    then = ["The phones would start after that."]
    if EngagementJob.COMMENT in engagement_jobs(form):
        choice = count(len(texts(form.comments, "comment")), "text")
        platforms = " and ".join(dict.fromkeys(form.comment_on))
        then.append(f"They would comment on {platforms}, with one of {choice} each.")
    return engage_phones(host, form, parts, then)


def final_state(report: PublishReport, engaged: EngagementResult) -> State[Any]:
    """The final state of a run that publishes and engages: that of the post, unless only the phones failed."""
    state = posts_report.final_state(report, *engaged.lines)
    message = str(state.message)
    if engaged.failed and report.failed:
        return Failed(message=message, data=PublishFailed(message, report, engaged.failures))
    if engaged.failed:
        return Failed(message=message, data=PhonesFailed(message, failures=engaged.failures))
    return state


def _engage(host: TikMatrixHost | None, form: EngageForm, part: EngagementPart) -> tuple[str, bool, list[str]]:
    """Run one part and wait until it ends; returns a one-line summary, whether it failed, and the troubles of requests.

    Raises:
        ReelflowError: it could not run, or its run on another machine failed.
    """
    pc = form.phone_pc.strip()
    if pc or host is None:
        return hand_over(pc or MAIN, part), False, []
    report = _engage_here(host, part)
    return report.summary, report.failed, report.troubles


def _engage_here(host: TikMatrixHost, part: EngagementPart) -> PhoneReport:
    """The steps of a phone flow, within this run."""
    request = check_phones(host, part.form)
    plan = plan_phone_tasks(host, request)
    if not request.dry_run:
        with held(plan):
            create_phone_tasks(host, request, plan)
            watch_phone_tasks(host, request, plan)
    return report_phones(host, request, plan)


@step("hand over to {pc}", retry=Retry.READ)
def hand_over(pc: str, part: EngagementPart) -> str:
    """Start the deployment of a phone PC and wait until it ends.

    It may be retried as if it only read: with its idempotency key, Prefect finds the run that was started before.

    Raises:
        PhonesFailed: that run failed, or did not end in time.
    """
    name, _, parameter = DEPLOYMENTS[part.job]
    deployment = deployment_on(pc, part.job)
    wait = timedelta(minutes=part.form.watch_minutes) + SLACK
    with asking_prefect():
        run: Any = run_deployment(
            deployment,
            parameters={parameter: part.form.model_dump(mode="json")},
            timeout=wait.total_seconds(),
            poll_interval=2,
            idempotency_key=f"{flow_run.id}-{name}-{part.form.platform}",
        )
    state = run.state
    get_run_logger().info("%s: run %s is %s.", deployment, run.name, state and state.name)
    if state is None or not state.is_final():
        why = "no worker has picked it up" if state is None or state.is_scheduled() else "it is still running"
        raise PhonesFailed(
            f"{part.form.job.capitalize()}s on {pc}: not finished within "
            f"{wait.total_seconds() / 60:.0f} minutes ({why}). Is its worker running?"
        )
    summary = state.message or state.name or ""
    if not state.is_completed():
        raise PhonesFailed(summary)
    return summary
