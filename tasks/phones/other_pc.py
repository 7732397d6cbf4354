"""The phones' part on another PC: its deployments, and a run of one of them that this run waits for."""

from datetime import timedelta
from typing import Any

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound

from blocks import ChatGPTSettings
from reelflow.errors import InputError, PhonesFailed
from reelflow.phones.engagement import EngagementJob, EngagementPart, engagement_jobs
from reelflow.phones.form import EngageForm
from tasks.prefect_server import asking_prefect
from tasks.step import Retry, step

SLACK = timedelta(minutes=5)
"""How long to wait for another machine's run beyond its own watch time."""
DEPLOYMENTS = {
    EngagementJob.WARM_UP: ("warm-up-accounts", "21-", "warm_up"),
    EngagementJob.COMMENT: ("comment-on-posts", "22-", "comments"),
}
"""For each job on a phone PC: its flow, the number of its deployments (prefect.yaml), and its form parameter."""
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
                    "phone PC first (docs/deployment.md), or leave 'Phone PC' empty."
                ) from None


def deployment_on(pc: str, job: EngagementJob) -> str:
    """The deployment of a job on a phone PC: "comment-on-posts/22-attic"."""
    flow, number, _ = DEPLOYMENTS[job]
    return f"{flow}/{number}{flow if pc == MAIN else pc}"


@step("hand over to {pc}", retry=Retry.READ)
def hand_over(pc: str, part: EngagementPart, key: str, chatgpt: str) -> str:
    """Start the deployment of a phone PC and wait until it ends.

    It may be retried as if it only read: with its idempotency key, Prefect finds the run that was started before, also
    by an earlier run for the same engagement.

    Args:
        pc: The PC's name.
        part: What it does.
        key: Names the engagement.
        chatgpt: The saved block with the settings of ChatGPT; empty for none.

    Raises:
        PhonesFailed: that run failed, or did not end in time.
    """
    name, _, parameter = DEPLOYMENTS[part.job]
    deployment = deployment_on(pc, part.job)
    wait = timedelta(minutes=part.form.watch_minutes) + SLACK
    parameters: dict[str, Any] = {parameter: part.form.model_dump(mode="json")}
    if part.form.needs_chatgpt:
        slug = f"{ChatGPTSettings.get_block_type_slug()}/{chatgpt}"
        parameters["chatgpt"] = {"$ref": {"block_document_slug": slug}}
    with asking_prefect():
        run: Any = run_deployment(
            deployment,
            parameters=parameters,
            timeout=wait.total_seconds(),
            poll_interval=2,
            idempotency_key=f"{key}-{name}-{part.form.platform}",
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
