"""``reelflow inbox``: run the flow publish_inbox from a terminal, in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from deployments.campaign import run_campaign
from deployments.in_terminal import load_block, quieten_run_logs
from deployments.options import AsJson, FormOptions, TaislyBlock, accounts_option, read_form, with_options_of
from reelflow.campaigns.inbox_form import InboxForm
from reelflow.errors import InputError

Folder = Annotated[
    str, Parameter(help="The inbox. A subfolder such as 'TikTok @mara' names the accounts of its videos.")
]
To = Annotated[list[str] | None, accounts_option("the videos that are directly in the folder")]
Slots = Annotated[str, Parameter(help='Name of the saved block "Posting Slots".')]
ELSEWHERE = {"folder": "FOLDER", "accounts": "--to"}
"""Fields of the form that the command has in another way."""


@with_options_of(FormOptions(InboxForm, without=ELSEWHERE))
def inbox(
    folder: Folder,
    /,
    *,
    to: To = None,
    slots: Slots = "main",
    block: TaislyBlock = "main",
    as_json: AsJson = False,
    **values: Any,
) -> int:
    """Publish the new videos of a folder, each exactly once, in the next posting slots."""
    quieten_run_logs()
    from blocks import PostingSlots, TaislyAccount
    from flows.inbox import publish_inbox

    if not folder.strip():
        raise InputError("No folder is named. A variable of your script may not be set.")
    here = str(Path(folder).absolute())  # the flow has a folder of its own for names
    return run_campaign(
        publish_inbox,
        as_json=as_json,
        taisly=load_block(TaislyAccount, block),
        inbox=read_form(InboxForm, values | {"folder": here, "accounts": to or []}, names=ELSEWHERE),
        slots=load_block(PostingSlots, slots, "--slots"),
    )
