"""The phones' part on another PC: its deployments, and a run of one of them that this run waits for."""

import hashlib
import json
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelling

from blocks import ChatGPTSettings
from reelflow.errors import InputError, PhonesFailed, PhonesWait
from reelflow.phones.engagement import EngagementJob, EngagementPart, engagement_jobs
from reelflow.phones.form import CommentForm, EngageForm
from reelflow.records.engagements import Engagement
from reelflow.records.phone_states import RequestState
from tasks.cancelled import nobody_cancelled
from tasks.ledger import open_ledger
from tasks.phones.report import QUIET
from tasks.phones.this_pc import AGAIN_SECONDS
from tasks.prefect_server import asking_prefect
from tasks.step import Retry, step

SLACK = timedelta(minutes=5)
"""How long to wait for another machine's run beyond its own watch time."""
DEPLOYMENTS = {
    EngagementJob.WARM_UP: ("warm-up-accounts", "21-", "warm_up"),
    EngagementJob.COMMENT: ("comment-on-posts", "22-", "comments"),
}
"""For each job on a phone PC: its flow, the number of its deployments (prefect.yaml), and its form parameter."""
QUIET_SECONDS = 3600.0
"""After how long phones on another PC that are in quiet hours are tried again; only that PC knows their end."""
MAIN = "main"
"""The PC that setup creates if it is told of no other; its deployments are named like their flows."""


def check_deployments(form: EngageForm) -> None:
    """Check that another PC has the deployments for its part.

    Raises:
        InputError: it has not.
    """
    if not (pc := form.phone_pc.strip()):
        return
    with asking_prefect(), get_client(sync_client=True) as client:
        for job in engagement_jobs(form):
            deployment = deployment_on(pc, job)
            try:
                client.read_deployment_by_name(deployment)
            except ObjectNotFound:
                raise InputError(
                    f"There is no deployment {deployment} on this Prefect server. Nothing was published. Set up the "
                    "phone PC first (docs/deployment.md), or leave 'Another phone PC' empty."
                ) from None


def deployment_on(pc: str, job: EngagementJob) -> str:
    """The deployment of a job on a phone PC: "comment-on-posts/22-attic"."""
    flow, number, _ = DEPLOYMENTS[job]
    return f"{flow}/{number}{flow if pc == MAIN else pc}"


@step("hand over to {pc}", retry=Retry.READ)
def hand_over(pc: str, part: EngagementPart, engagement: Engagement, chatgpt: str) -> str:
    """Start the deployment of a phone PC and wait until it ends.

    It may be retried as if it only read: with its idempotency key, Prefect finds the run that was started before, also
    by an earlier run for the same engagement.

    Args:
        pc: The PC's name.
        part: What it does.
        engagement: That it is a part of.
        chatgpt: The saved block with the settings of ChatGPT; empty for none.

    Raises:
        PhonesWait: nobody there could start it, its phones are in quiet hours, or TikMatrix is away: nothing was sent.
        PhonesFailed: that run failed, or did not end in time.
    """
    name, _, parameter = DEPLOYMENTS[part.job]
    deployment = deployment_on(pc, part.job)
    wait = timedelta(minutes=part.form.watch_minutes) + SLACK
    # Nobody waits for a run that begins later than this: it skips, see `skip_if_late`.
    form = part.form.model_copy(update={"max_lateness_minutes": wait.total_seconds() / 60})
    parameters: dict[str, Any] = {parameter: form.model_dump(mode="json")}
    if part.form.needs_chatgpt:
        slug = f"{ChatGPTSettings.get_block_type_slug()}/{chatgpt}"
        parameters["chatgpt"] = {"$ref": {"block_document_slug": slug}}
    with asking_prefect():
        run: Any = run_deployment(
            deployment,
            parameters=parameters,
            timeout=wait.total_seconds(),
            poll_interval=2,
            idempotency_key=f"{engagement.round_key}-{name}-{_digest(part)}",
            tags=[tag_of(engagement.id)],
        )
    state = run.state
    get_run_logger().info("%s: run %s is %s.", deployment, run.name, state and state.name)
    what, minutes = f"{part.form.job.capitalize()}s on {pc}", f"{wait.total_seconds() / 60:.0f} minutes"
    now = open_ledger().now()
    if state is None or state.is_scheduled() or state.is_pending():
        cancel_run(run.id)
        raise PhonesWait(f"{what}: no worker started it within {minutes}. Is its worker running?", now + AGAIN_SECONDS)
    if not state.is_final():
        raise PhonesFailed(f"{what}: not finished within {minutes}. It is still running there.")
    summary = state.message or state.name or ""
    if state.name == QUIET:
        raise PhonesWait(f"{what}: {summary}", now + QUIET_SECONDS)
    if state.is_completed():
        return summary
    nobody_cancelled_it = not state.is_cancelled() or nobody_cancelled(summary)
    if nobody_cancelled_it and _did_nothing(str(run.id)):
        raise PhonesWait(f"{what}: {summary}", now + AGAIN_SECONDS)
    raise PhonesFailed(summary)


def tag_of(engagement_id: str) -> str:
    """The tag of the runs on other PCs for an engagement, whichever run started them."""
    return f"engagement:{engagement_id}"


def cancel_run(run_id: UUID) -> None:
    """Cancel a run on another PC."""
    with asking_prefect(), get_client(sync_client=True) as client:
        client.set_flow_run_state(run_id, Cancelling())


def _did_nothing(flow_run: str) -> bool:
    """Whether a run on another PC certainly asked its TikMatrix for nothing that it refused or may have done."""
    requests = open_ledger().task_requests(flow_run=flow_run)
    return all(request.state is RequestState.NOT_CREATED for request in requests)


def _digest(part: EngagementPart) -> str:
    """Tells the parts of an engagement from each other: posts that come out later on a platform are another part."""
    urls = part.form.post_urls if isinstance(part.form, CommentForm) else []
    return hashlib.sha256(json.dumps([part.form.platform, *sorted(urls)]).encode()).hexdigest()[:16]
