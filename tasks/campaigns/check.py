"""Read a campaign's plan, and check all of it before anything is sent."""

from collections.abc import Sequence
from datetime import UTC, datetime

from prefect import get_run_logger
from prefect.runtime import flow_run

from blocks import PostingSlots, TaislyAccount
from reelflow.campaigns.check import ROW_ADVICE, Checker
from reelflow.campaigns.form import SEND_NOTHING, CampaignForm
from reelflow.campaigns.placing import Placer, PostOptions, posts_elsewhere
from reelflow.campaigns.posts import CheckedPlan
from reelflow.campaigns.reading import ReadingOptions, plan_of_rows, read_plan
from reelflow.campaigns.rows import Plan
from reelflow.campaigns.slots import rules_of_nobody
from reelflow.errors import InputError
from reelflow.ledger import Ledger
from reelflow.posts.form import PATIENCE
from reelflow.posts.looking_back import look_back
from reelflow.posts.of_client import check_same_client
from tasks.artifacts import ProgressBar
from tasks.campaigns.wording import warnings_shown
from tasks.choices import VIDEOS_VARIABLE
from tasks.ledger import open_ledger
from tasks.prefect_server import read_variable
from tasks.progress import tell_warning
from tasks.step import Retry, step
from tasks.storages import open_storages

CHECKED = "Videos checked"


def videos_folder() -> str | None:
    """The folder of the user's videos, on the machine that runs the flow; None if none was set."""
    value = read_variable(VIDEOS_VARIABLE)
    return str(value) if value else None


@step("read {form.name}", retry=Retry.READ)
def read_campaign(form: CampaignForm) -> Plan:
    """Read the plan: every row, and what is wrong with how it is written.

    Raises:
        InputError: there is no such plan, it cannot be read, or it is empty.
    """
    options = ReadingOptions(time_zone=form.time_zone, date_format=form.date_format, campaign=form.campaign_id)
    now = datetime.now(UTC)
    if form.plan.strip() and form.rows:
        raise InputError("Choose one: a plan, or posts that are typed into the form. Both are filled in.")
    if form.rows:
        return plan_of_rows([row.model_dump() for row in form.rows], form.name, options=options, now=now)
    if not form.plan.strip():
        raise InputError("There is nothing to publish. Name a plan: a folder with videos, or a CSV, JSON or YAML file.")
    return read_plan(form.plan, folder=videos_folder(), options=options, now=now)


@step("check {plan.name}", retry=Retry.READ)
def check_campaign(
    taisly: TaislyAccount, form: CampaignForm, slots: PostingSlots | None, plan: Plan, advice: str = ROW_ADVICE
) -> CheckedPlan:
    """Check every row: its video, captions, accounts and time, and what is out or scheduled already. Sends nothing.

    Raises:
        WrongClient: the run is started again, and its key has none of the accounts that it has sent to.
        ServiceError: Taisly does not answer, or does not accept this key.
        LedgerUnavailable: the ledger cannot be read.
    """
    ledger = open_ledger()
    with taisly.get_rate_limited(ledger) as client:
        look_back(client, taisly.duplicate_seconds, patience=PATIENCE)
        accounts = client.connected_accounts()
        check_same_client(ledger, str(flow_run.id), accounts, taisly.client)
        others = posts_elsewhere(client, accounts, patience=PATIENCE) if slots and accounts else {}
        placer = get_placer(taisly, form, slots, ledger, CheckedPlan(others=others))
        progress, storages = ProgressBar(CHECKED), open_storages()
        checker = Checker(client, form, placer, videos_folder(), progress, advice, storages)
        found = checker.check(plan, datetime.now(UTC))
    for who in rules_of_nobody(slots.book, accounts) if slots else ():
        found.warnings.append((0, f"The posting slots of {who!r} are for no connected account. Check the name."))
    _log_problems(found)
    warn_of(found.warnings)
    return found


def warn_of(warnings: Sequence[tuple[int, str]]) -> None:
    """Say what a person should check, in the log and in the terminal, before anything is sent."""
    for warning in warnings_shown(warnings):
        get_run_logger().warning("%s", warning)
        tell_warning(warning)


def get_placer(
    taisly: TaislyAccount, form: CampaignForm, slots: PostingSlots | None, ledger: Ledger, checked: CheckedPlan
) -> Placer:
    """What gives the posts of a campaign their times."""
    # Posts wait for room in the plan as long as the plan itself makes them wait, and for other runs on top.
    options = PostOptions(form.watch_minutes * 60, PATIENCE + 2 * checked.seconds, taisly.duplicate_seconds)
    book = slots.book if slots else None
    return Placer(
        ledger,
        taisly.service,
        book,
        checked.others,
        form.same_time,
        options,
        flow_run.id,
        seconds_apart=form.minutes_apart * 60,
    )


def is_blocked(checked: CheckedPlan, form: CampaignForm) -> bool:
    """Whether nothing may be sent because rows are wrong."""
    return bool(checked.problems) and form.if_rows_are_wrong == SEND_NOTHING


def _log_problems(found: CheckedPlan) -> None:
    log = get_run_logger()
    for problem in found.problems:
        where = f"Row {problem.number}" if problem.number else "The plan"
        log.warning("%s, %s: %s", where, problem.column or problem.code, problem.sentence)
