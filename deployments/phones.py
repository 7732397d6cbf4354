"""``reelflow phones``: the phones of a host block, and the phone flows from a terminal, in this process."""

from __future__ import annotations

import sys
from typing import Annotated, Any

from cyclopts import Parameter
from pydantic import BaseModel

from deployments.in_terminal import load_block, print_json, quieten_run_logs, run_flow
from deployments.options import AsJson, Command, FormOptions, HostBlock, read_form, with_options_of
from deployments.outcomes import phone_facts, phone_lines
from deployments.spec import spec_of
from reelflow.errors import ServiceError
from reelflow.phones.form import CommentForm, FollowForm, ManageForm, PhonePostForm, UnfollowForm, WarmUpForm


def show(*, block: str, as_json: bool) -> int:
    """Print each phone of a host block, its usernames, and whether it is online, if TikMatrix answers."""
    quieten_run_logs()
    from blocks import TikMatrixHost

    host = load_block(TikMatrixHost, block)
    online = _online(host)
    for phone in host.guardrails.phones:
        is_online = None if online is None else phone.serial in online
        if as_json:
            accounts = [{"username": a.username, "platform": a.platform} for a in phone.accounts]
            print_json({"name": phone.name, "serial": phone.serial, "online": is_online, "accounts": accounts})
        else:
            print(f"{phone.serial:24} {_WORDS[is_online]:16} {phone.account_names or _ANY}")
    return 1 if online is None else 0


_ANY = "whichever account is logged in"
_WORDS = {True: "online", False: "not online", None: "online: unknown"}


def _online(host: Any) -> set[str] | None:
    """All names of the phones that are online; None if TikMatrix does not tell."""
    try:
        with host.get_client() as client:
            devices = client.devices()
    except ServiceError as error:
        print(f"reelflow: {error}", file=sys.stderr)
        return None
    return None if devices is None else {name for device in devices for name in device.names}


@with_options_of(FormOptions(WarmUpForm))
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
