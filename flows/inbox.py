"""Publish what is put into a folder: each new video is checked, given a slot, scheduled at Taisly, and moved away.

When: by a schedule, every 10 minutes; from the form in the Prefect UI, or from ``reelflow inbox``.
Needs: the saved blocks "Taisly Account" and "Posting Slots", and a folder on the machine that runs the flow.
"""

from typing import Any

from prefect.client.schemas.objects import State

from blocks import PostingSlots, TaislyAccount
from reelflow.campaigns.inbox_form import InboxForm
from tasks.campaigns.cancel import conclude_cancelled_campaign
from tasks.campaigns.inbox import (
    check_inbox,
    file_inbox,
    inbox_state,
    look_into_inbox,
    nothing_new,
    send_inbox,
)
from tasks.campaigns.report import final_state, report_check
from tasks.campaigns.wording import campaign_run_name
from tasks.step import flow


@flow(name="publish-inbox", flow_run_name=campaign_run_name, on_cancellation=[conclude_cancelled_campaign])
def publish_inbox(taisly: TaislyAccount, inbox: InboxForm, slots: PostingSlots) -> State[Any]:
    """Publish the new videos of a folder, each exactly once, in the next posting slots of its accounts.

    A video is taken once it is complete, and its caption file with it: cake.txt for cake.mp4. A subfolder is named like
    the accounts that its videos go to. What is scheduled is moved to the folder 'done', what cannot be used to
    'rejected', with a text that says when it is published or why not. What has to wait stays for the next run.

    Args:
        taisly: The Taisly account to publish with.
        inbox: Which folder, and where its videos go.
        slots: When they are published.
    """
    found = look_into_inbox(taisly, inbox)
    if not found.videos:
        return nothing_new(inbox, found)

    checked = check_inbox(taisly, inbox, slots, found)
    if inbox.dry_run:
        return final_state(report_check(taisly, inbox.campaign(), found.plan, checked))

    carried = send_inbox(taisly, inbox, slots, checked)

    return inbox_state(file_inbox(taisly, inbox, found, checked, carried))
