"""The phones' part of a campaign: checked before anything is sent, recorded with each post, done by later runs."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field

from prefect import get_run_logger

from blocks import ChatGPTSettings, TikMatrixHost
from reelflow.campaigns.engaging import engagement_problems, form_for, forms_of_rows
from reelflow.campaigns.posts import CheckedPlan, PlannedPost
from reelflow.campaigns.rows import PlanRow
from reelflow.errors import ReelflowError
from reelflow.ledger import Ledger
from reelflow.phones.engagement import asks_for_something, engagement_jobs, needs_chatgpt
from reelflow.phones.form import EngageForm
from reelflow.wording import count
from tasks.phones.engage import check_form
from tasks.phones.engagements import check_saved, is_for_the_same_phones, new_engagement, skip_if_not_sent
from tasks.phones.other_pc import check_deployments
from tasks.phones.waiting import asked_of_phones
from tasks.run_facts import is_restart
from tasks.step import Retry, step

NOTHING = EngageForm()
"""The form with its defaults: the phones do nothing, unless a row of the plan says so."""


@dataclass(frozen=True)
class CampaignPhones:
    """What the phones do for a campaign, and the blocks for it."""

    form: EngageForm = field(default_factory=EngageForm)
    host: TikMatrixHost | None = None
    chatgpt: ChatGPTSettings | None = None


def check_campaign_phones(phones: CampaignPhones, checked: CheckedPlan) -> None:
    """Check what the form and the rows ask of the phones, if they ask for anything."""
    if asks_for_something(phones.form) or any(d.row.comments or d.row.warm_up_minutes for d in checked.drafts):
        wanted = {row.number: form for row, form in _check(phones, checked) if form is not None}
        checked.phones = {(n, p): words for n, form in wanted.items() for p, words in asked_of_phones(form).items()}
        get_run_logger().info(
            "The phones do their part for %s, each once it is out (engage-when-published).", count(len(wanted), "row")
        )


@step("check the phones' part", retry=Retry.READ)
def _check(phones: CampaignPhones, checked: CheckedPlan) -> list[tuple[PlanRow, EngageForm | None]]:
    """Check the phones' part, and return that of each row; what is wrong with it is added to the plan's problems.

    TikMatrix itself need not run yet: the phones act once each post is out.

    Raises:
        InputError: the form is wrong, a block that a later run needs is not saved, or a PC has no deployment for it.
    """
    wanted = forms_of_rows(checked.drafts, phones.form)
    forms = [form for _, form in wanted if form is not None]
    if asks_for_something(phones.form):
        check_form(phones.host, phones.form, phones.chatgpt)
        forms.append(phones.form)
    # Rows differ in their words; what they need of blocks and deployments is asked once.
    for form in {(*engagement_jobs(form), needs_chatgpt(form)): form for form in forms}.values():
        check_saved(form, phones.host, phones.chatgpt)
        check_deployments(form)
    found = engagement_problems(wanted, phones.form, lambda form: check_form(phones.host, form, phones.chatgpt))
    for problem in found:
        get_run_logger().warning("Row %d, %s: %s", problem.number, problem.column, problem.sentence)
    checked.problems = sorted([*checked.problems, *found], key=lambda problem: problem.number)
    return wanted


def asking(
    ledger: Ledger, service: str, phones: CampaignPhones, checked: CheckedPlan, flow_run: str | None
) -> Callable[[PlannedPost], AbstractContextManager[None]]:
    """What records the phones' part of each post before it is sent, with the time that it has then."""
    rows: Mapping[int, PlanRow] = {draft.row.number: draft.row for draft in checked.drafts}
    restarted = is_restart()

    @contextmanager
    def around(post: PlannedPost) -> Iterator[None]:
        platforms = {account.platform for account in post.request.accounts}
        form = form_for(rows[post.number], phones.form, platforms) if post.number in rows else None
        if form is None:
            yield
            return
        host = None if form.phone_pc.strip() else phones.host
        engagement = ledger.ask_for_engagement(
            new_engagement(post.request, service, form, host, phones.chatgpt),
            flow_run=flow_run,
            replaces=lambda other: is_for_the_same_phones(other, form, host),
            is_restart=restarted,
        )
        try:
            yield
        except Exception:
            with suppress(ReelflowError):
                skip_if_not_sent(ledger, engagement.id)
            raise

    return around
