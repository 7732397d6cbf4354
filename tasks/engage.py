"""Hand a piece of work to the phones: on this machine, or through the worker of the PC that has them."""

from datetime import timedelta
from typing import Any

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run

from blocks import TikMatrixHost
from reelflow.errors import InputError
from reelflow.phones.campaign import EngagePart, check_engagement
from reelflow.phones.engagement import make_wish
from reelflow.phones.forms import CommentForm, EngageForm, PhonesFailed
from tasks.phones import do_on_phones, ended
from tasks.step import step

SLACK = timedelta(minutes=5)
"""How much longer than its own watching another machine's run is waited for."""


@step("check the phones' part")
def check_phones(host: TikMatrixHost | None, form: EngageForm) -> None:
    """Check before anything is published that the phones' part can be done.

    Raises:
        InputError: it cannot.
        ServiceError: TikMatrix does not answer, or has no licence for its API.
    """
    check_engagement(form)
    pc = form.phone_pc.strip()
    if not pc:
        if host is None:
            raise InputError("Choose a block 'TikMatrix Host', or name the phone PC whose worker does this part.")
        for platform in dict.fromkeys(form.comment_on):
            # As the comments will be asked for, but for the address, which only the outcome tells.
            who = {"platform": platform, "devices": form.devices, "usernames": form.usernames}
            url = {"TikTok": "https://vm.tiktok.com/x", "Instagram": "https://www.instagram.com/p/x"}[platform]
            make_wish(CommentForm(post_urls=[url], comments=["x"], **who), host.guardrails)
        host.check()
        return
    names = ["warm-up-accounts"] * bool(form.warm_up_seconds) + ["comment-on-posts"] * bool(form.comments)
    with get_client(sync_client=True) as client:
        for name in names:
            try:
                client.read_deployment_by_name(f"{name}/{pc}")
            except ObjectNotFound:
                raise InputError(
                    f"There is no deployment {name}/{pc} on this Prefect server. Set the phone PC up first "
                    "(docs/deployment.md), or leave 'Phone PC' empty."
                ) from None


def do_part(host: TikMatrixHost | None, form: EngageForm, part: EngagePart) -> str:
    """Do one piece of work and wait for its end; one line that says what came of it.

    Raises:
        PhonesFailed: it did not go well.
        ReelflowError: it could not be done.
    """
    pc = form.phone_pc.strip()
    if pc or host is None:
        return hand_over(f"{part.deployment}/{pc}", part)
    return str(ended(do_on_phones(host, part.form)).message)


@step("hand over to {deployment}")
def hand_over(deployment: str, part: EngagePart) -> str:
    """Start the deployment on the phones' own PC and wait for its end. Doing it again finds the same run.

    Raises:
        PhonesFailed: its run did not end well, or not in time.
    """
    wait = timedelta(minutes=part.form.watch_minutes) + SLACK
    run: Any = run_deployment(
        deployment,
        parameters={part.parameter: part.form.model_dump(mode="json")},
        timeout=wait.total_seconds(),
        poll_interval=2,
        idempotency_key=f"{flow_run.id}-{part.deployment}-{part.form.platform}",
    )
    state = run.state
    get_run_logger().info("%s: run %s is %s.", deployment, run.name, state and state.name)
    if state is None or not state.is_final():
        where = "no worker has taken it" if state is None or state.is_scheduled() else "it still runs"
        raise PhonesFailed(
            f"{part.form.job.capitalize()}s on {deployment.partition('/')[2]}: not done within "
            f"{wait.total_seconds() / 60:.0f} minutes ({where}). Is its worker running?"
        )
    words = f"{state.message or state.name}"
    if not state.is_completed():
        raise PhonesFailed(words)
    return words
