"""Publish many videos from one plan: check every row, give each its time, send them once, and report all.

When: from the form in the Prefect UI, from ``reelflow campaign``, or by a schedule.
Needs: a saved block "Taisly Account"; for posts without a time, a saved block "Posting Slots".
"""

from typing import Any

from prefect.client.schemas.objects import State

from blocks import ChatGPTSettings, PostingSlots, TaislyAccount, TikMatrixHost
from reelflow.campaigns.form import CampaignForm
from reelflow.phones.form import EngageForm
from tasks.campaigns.approve import approve_campaign
from tasks.campaigns.cancel import conclude_cancelled_campaign
from tasks.campaigns.check import check_campaign, is_blocked, read_campaign
from tasks.campaigns.engage import NOTHING, CampaignPhones, check_campaign_phones
from tasks.campaigns.fit import fit_campaign
from tasks.campaigns.report import final_state, report_campaign, report_check
from tasks.campaigns.send import send_campaign, watch_campaign
from tasks.campaigns.wording import campaign_run_name
from tasks.late import skip_if_late
from tasks.step import flow


@flow(name="publish-campaign", flow_run_name=campaign_run_name, on_cancellation=[conclude_cancelled_campaign])
def publish_campaign(
    taisly: TaislyAccount,
    campaign: CampaignForm,
    slots: PostingSlots | None = None,
    engage: EngageForm = NOTHING,
    host: TikMatrixHost | None = None,
    chatgpt: ChatGPTSettings | None = None,
) -> State[Any]:
    """Publish a folder or a plan of videos, each post exactly once, and report every row.

    Reads the plan and checks all of it first: videos, captions, accounts, times, duplicates, and whether your Taisly
    plan has room. While a row is wrong, nothing is sent, unless you choose otherwise. A post without a time takes the
    next free posting slot of each of its accounts. If you choose to be asked, the run waits for your approval before it
    sends anything. Starting it again sends only what was not sent yet.

    If 'Engage', or a row of the plan, says what your phones do, they do it once each post is out, in a run of its own.

    Args:
        taisly: The Taisly account to publish with.
        campaign: What to publish.
        slots: When posts without a time are published.
        engage: What the phones do once a post is published; a row may have comments and a warm-up of its own.
        host: The PC that runs TikMatrix, for the phones' part.
        chatgpt: Needed only for comments by ChatGPT.
    """
    if skipped := skip_if_late(campaign.max_lateness_minutes):
        return skipped

    plan = read_campaign(campaign)
    checked = check_campaign(taisly, campaign, slots, plan)
    check_campaign_phones(phones := CampaignPhones(engage, host, chatgpt), checked)
    checked = fit_campaign(campaign, checked)
    if campaign.dry_run or is_blocked(checked, campaign):
        return final_state(report_check(taisly, campaign, plan, checked))

    if campaign.approval:
        checked = approve_campaign(taisly, campaign, slots, checked)
    carried = send_campaign(taisly, campaign, slots, checked, phones)
    watch_campaign(taisly, campaign, checked, carried)

    return final_state(report_campaign(taisly, campaign, plan, checked, carried))
