"""``reelflow publish``: run the flow publish_video from a terminal, in this process; and with phones after it."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from deployments.in_terminal import load_block, quieten_run_logs, run_flow, whole_path
from deployments.options import AsJson, ChatGPTBlock, FormOptions, HostBlock, TaislyBlock, read_form, with_options_of
from deployments.outcomes import post_facts, post_lines
from reelflow.phones.form import EngageForm
from reelflow.posts.form import PostForm

Video = Annotated[
    str,
    Parameter(
        help="The video file, its https address, or block://TYPE/NAME/PATH for a saved storage: vertical 9:16, 3 to 90 "
        "seconds, up to 500 MB."
    ),
]
To = Annotated[
    list[str],
    Parameter(
        negative="",
        help="A name or ID of an account, as `reelflow accounts` lists them, a platform with only one account, or "
        "'all'. Repeat the option for several accounts.",
    ),
]
At = Annotated[
    str | None,
    Parameter(help="When to publish, such as '27 Nov 18:00' or 2026-11-27T18:00+01:00. Omit it to publish now."),
]
OTHERWISE = {"video": "VIDEO", "accounts": "--to", "scheduled_for": "--at"}
"""Fields of the form with a shorter name in a terminal."""
ENGAGE = "engage_"
"""In front of the options about the phones: both forms have a 'watch_minutes'."""


@with_options_of(FormOptions(PostForm, without=OTHERWISE))
def publish(
    video: Video,
    /,
    *,
    to: To,
    at: At = None,
    block: TaislyBlock = "main",
    as_json: AsJson = False,
    **values: Any,
) -> int:
    """Publish one video and report its outcome on every platform."""
    quieten_run_logs()
    from blocks import TaislyAccount
    from flows.publish import publish_video

    post = _read_post(video, to, at, values)
    taisly = load_block(TaislyAccount, block)
    return run_flow(publish_video, as_json=as_json, lines=post_lines, facts=post_facts, taisly=taisly, post=post)


@with_options_of(
    FormOptions(PostForm, without=OTHERWISE),
    FormOptions(EngageForm, prefix=ENGAGE),
    blocks={"TikMatrix Host": "--host", "ChatGPT Settings": "--chatgpt"},
)
def publish_and_engage(
    video: Video,
    /,
    *,
    to: To,
    at: At = None,
    block: TaislyBlock = "main",
    host: HostBlock = "main",
    chatgpt: ChatGPTBlock = None,
    as_json: AsJson = False,
    **values: Any,
) -> int:
    """Publish one video, then warm up accounts and comment on it from your own phones."""
    quieten_run_logs()
    from blocks import ChatGPTSettings, TaislyAccount, TikMatrixHost
    from flows.engage import publish_and_engage as flow

    post, engage = _read_post(video, to, at, values), read_form(EngageForm, values, prefix=ENGAGE)
    taisly = load_block(TaislyAccount, block)
    pc = None if engage.phone_pc.strip() else load_block(TikMatrixHost, host, "--host")
    return run_flow(
        flow,
        as_json=as_json,
        lines=post_lines,
        facts=post_facts,
        taisly=taisly,
        post=post,
        engage=engage,
        host=pc,
        chatgpt=None if chatgpt is None else load_block(ChatGPTSettings, chatgpt, "--chatgpt"),
    )


def _read_post(video: str, to: list[str], at: str | None, values: dict[str, Any]) -> PostForm:
    return read_form(
        PostForm, values | {"video": whole_path(video), "accounts": to, "scheduled_for": at}, names=OTHERWISE
    )
