"""``reelflow phones``: the phones of a host block, and the phone flows from a terminal, in this process."""

from __future__ import annotations

import sys
from typing import Annotated, Any

from cyclopts import Parameter
from pydantic import BaseModel

from deployments.in_terminal import load_block, print_json, quieten_run_logs, run_flow
from deployments.options import AsJson, Command, FormOptions, HostBlock, read_form, with_options_of
from deployments.outcomes import listed_phone_facts, listed_phone_line, phone_facts, phone_lines
from deployments.spec import spec_of
from reelflow.errors import ServiceError
from reelflow.phones.form import CommentForm, FollowForm, ManageForm, PhonePostForm, UnfollowForm, WarmUpForm
from reelflow.phones.phone_list import match_phones
from reelflow.tikmatrix.wire import Device


def show(*, block: str, as_json: bool) -> int:
    """Print each phone of a host block, its usernames, and whether it is online, if TikMatrix answers."""
    quieten_run_logs()
    from blocks import TikMatrixHost
    from tasks.upkeep.account_list import how_to_list

    host = load_block(TikMatrixHost, block)
    devices, answered = _devices(host)
    phones = match_phones(host.guardrails.phones, devices)
    for each in phones:
        print_json(listed_phone_facts(each)) if as_json else print(listed_phone_line(each))
    for each in () if as_json else phones:
        if not each.is_listed:
            print(how_to_list(each.phone.serial, block))
    return 0 if answered else 1


def _devices(host: Any) -> tuple[list[Device] | None, bool]:
    """The phones that are online, None if TikMatrix does not tell; and whether it answered."""
    try:
        with host.get_client() as client:
            return client.devices(), True
    except ServiceError as error:
        print(f"reelflow: {error}", file=sys.stderr)
        return None, False


@with_options_of(FormOptions(WarmUpForm), blocks={"ChatGPT Settings": "--chatgpt"})
def warm_up(
    *,
    block: HostBlock = "main",
    chatgpt: Annotated[
        str | None, Parameter(help='Name of the saved block "ChatGPT Settings", for --write-with-chatgpt.')
    ] = None,
    as_json: AsJson = False,
    **values: Any,
) -> int:
    """Let accounts watch videos on a topic."""
    form = read_form(WarmUpForm, values)
    quieten_run_logs()
    from blocks import ChatGPTSettings

    settings = None if chatgpt is None else load_block(ChatGPTSettings, chatgpt, "--chatgpt")
    return _run("warm-up-accounts", block, as_json, warm_up=form, chatgpt=settings)


def _command(deployment: str, parameter: str, form: type[BaseModel]) -> Command:
    """A command that runs a flow; `parameter` is the one that takes the form."""

    @with_options_of(FormOptions(form))
    def command(*, block: HostBlock = "main", as_json: AsJson = False, **values: Any) -> int:
        return _run(deployment, block, as_json, **{parameter: read_form(form, values)})

    return command


def _run(deployment: str, block: str, as_json: bool, **parameters: Any) -> int:
    """Run the flow of a deployment with the host of this name."""
    quieten_run_logs()
    from blocks import TikMatrixHost

    flow = spec_of(deployment).load()
    host = load_block(TikMatrixHost, block)
    return run_flow(flow, as_json=as_json, lines=phone_lines, facts=phone_facts, host=host, **parameters)


comment = _command("comment-on-posts", "comments", CommentForm)
follow = _command("follow-users", "follows", FollowForm)
unfollow = _command("unfollow-users", "unfollows", UnfollowForm)
post = _command("post-from-phones", "posts", PhonePostForm)
tasks = _command("manage-phone-tasks", "tasks", ManageForm)
