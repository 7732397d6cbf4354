"""The outcome of a run as lines for people and as facts for programs: of a post, and of phone tasks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from reelflow.phones.phone_list import ListedPhone, PhoneState
from reelflow.phones.report import ListedTask, ManageReport, PhoneReport
from reelflow.posts.report import PublishReport
from reelflow.records.phones import TaskResult
from reelflow.records.post_states import word_of
from reelflow.records.posts import Account, Outcome, Send

if TYPE_CHECKING:
    from tasks.phones.waiting import WaitingPhones


def post_lines(report: Any) -> list[str]:
    """The outcome of a post at each account; its warnings were printed before anything was sent."""
    if not isinstance(report, PublishReport):
        return []
    later = {account.id for account in report.scheduled}
    states = [state_of(o, is_scheduled=o.account.id in later) for o in report.outcomes]
    outcomes = zip(report.outcomes, states, strict=True)
    return [f"  {o.account.label:32} {state:11} {o.link or o.detail}".rstrip() for o, state in outcomes]


def post_facts(report: Any) -> dict[str, Any]:
    """The same for programs."""
    if not isinstance(report, PublishReport):
        return {}
    request, later = report.request, report.request.scheduled_for
    return {
        "client": report.client,
        "file": str(request.video.source),
        "changes": request.video.changes,
        "scheduled_for": later.isoformat() if later else None,
        "dry_run": report.dry_run,
        "sent_before": report.sent_before,
        "history_ids": report.history_ids,
        "send_ids_to_look_up": [each.send_id for each in report.unanswered],
        "warnings": request.warnings,
        "outcomes": [outcome_facts(o, is_scheduled=o.account in report.scheduled) for o in report.outcomes],
    }


def outcome_facts(outcome: Outcome, *, is_scheduled: bool) -> dict[str, Any]:
    """The state of a post at one account, for programs.

    Args:
        outcome: At this account.
        is_scheduled: Whether the time of the post has not come.
    """
    state = state_of(outcome, is_scheduled=is_scheduled)
    facts = {"state": state, "detail": outcome.detail, "link": outcome.link}
    return account_facts(outcome.account) | facts


def send_facts(
    send: Send, outcomes: Sequence[Outcome], phones: Sequence[WaitingPhones] = (), *, is_scheduled: bool
) -> dict[str, Any]:
    """A post in the ledger, for programs.

    Args:
        send: The post.
        outcomes: At its accounts.
        phones: What waits for the phones, of all posts.
        is_scheduled: Whether its time has not come.
    """
    later = send.scheduled_for
    return {
        "send_id": send.id,
        "history_id": send.history_id,
        "client": send.client,
        "file": send.file,
        "caption": send.caption,
        "at": datetime.fromtimestamp(send.published_at, UTC).isoformat(timespec="seconds"),
        "scheduled_for": later.isoformat() if later else None,
        "flow_run_id": send.flow_run,
        "outcomes": [outcome_facts(o, is_scheduled=is_scheduled) for o in outcomes],
        "phones": [_waiting_facts(each) for each in phones if each.is_of(send)],
    }


def _waiting_facts(each: WaitingPhones) -> dict[str, Any]:
    """What the phones are still to do for a post, for programs."""
    engagement = each.engagement
    due = datetime.fromtimestamp(engagement.due, UTC).isoformat(timespec="seconds") if engagement.due else None
    return {
        "engagement_id": engagement.id,
        "state": engagement.state.lower(),
        "does": each.does,
        "pc": each.pc,
        "when": each.when,
        "not_before": due,
        "reason": engagement.reason,
    }


def state_of(outcome: Outcome, *, is_scheduled: bool) -> str:
    """The state of a post at one account in one word, as `reelflow posts --state` takes it."""
    return word_of(outcome.state, is_scheduled=is_scheduled)


def account_facts(account: Account) -> dict[str, Any]:
    """An account, for programs."""
    return {"account": account.label, "account_id": account.id, "platform": account.platform}


def listed_phone_facts(each: ListedPhone) -> dict[str, Any]:
    """A phone of a PC, for programs; `online` is null where TikMatrix does not tell."""
    accounts = [{"username": a.username, "platform": a.platform} for a in each.phone.accounts]
    return {
        "name": each.phone.name,
        "serial": each.phone.serial,
        "online": None if each.state is PhoneState.UNKNOWN else each.state is not PhoneState.OFFLINE,
        "state": each.state,
        "listed": each.is_listed,
        "accounts": accounts,
    }


def listed_phone_line(each: ListedPhone) -> str:
    """The same for people."""
    state = "online: unknown" if each.state is PhoneState.UNKNOWN else str(each.state)
    names = each.phone.account_names or ("whichever account is logged in" if each.is_listed else "not listed")
    return f"{each.phone.serial:24} {state:16} {names}"


def phone_lines(report: Any) -> list[str]:
    """Each phone task: its number, its phone and account, its state, its target; of a dry run, who would do what.

    Where tasks of any script are listed, also what it is.
    """
    if not isinstance(report, PhoneReport | ManageReport):
        return []
    planned = report.would_send if isinstance(report, PhoneReport) else ()
    return [*(f"  {line}" for line in planned), *map(_task_line, report.tasks)]


def _task_line(task: TaskResult) -> str:
    more = " ".join(filter(None, (task.target, task.remark)))
    job = f"{task.job:9} " if isinstance(task, ListedTask) else ""
    return f"  {task.task_id:6} {job}{task.who:32} {task.state.lower():10} {more}".rstrip()


def phone_facts(report: Any) -> dict[str, Any]:
    """The same for programs."""
    if not isinstance(report, PhoneReport | ManageReport):
        return {}
    tasks = [task.model_dump(mode="json") | {"state": task.state.lower()} for task in report.tasks]
    if isinstance(report, ManageReport):
        return {"tasks": tasks}
    return {
        "host": report.host,
        "job": report.job,
        "dry_run": report.dry_run,
        "planned": report.planned,
        "would_send": report.would_send,
        "skipped": report.left_out,
        "troubles": report.troubles,
        "tasks": tasks,
    }
