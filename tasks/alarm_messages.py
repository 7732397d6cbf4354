"""The words of alarms: one message for each cause."""

from collections.abc import Sequence
from typing import NamedTuple

from prefect.utilities.urls import url_for

from reelflow.records.alarms import Alarm, AlarmGroup
from reelflow.wording import count
from tasks.phones.wording import TRY_AGAIN, what_to_do

MOST_LINES = 20
"""A message names so many; what is more is counted."""
_ENDED = {
    "GONE": "gone from TikMatrix",
    "LATE": "late or stuck",
    "WAITING": "waiting for your approval",
    "NO KEY": "without an API key",
}
"""States that are not their own word."""
_NOUNS = {
    "post": "post",
    "hold": "account",
    "phone task": "phone task",
    "phone request": "request to TikMatrix",
    "engagement": "phones' part of a post",
    "run": "run",
}
_PLURALS = {"phone request": "requests to TikMatrix", "engagement": "phones' parts of posts"}
ADVICE = {
    ("post", "FAILED"): (
        "Check the account first: a platform may publish a post after it reported a failure. Then fix the cause there. "
        "To send the same post again, set 'Send again on purpose' to 1."
    ),
    ("post", "NOT SENT"): "Start the run again.",
    ("post", "REFUSED"): "Nothing was published there. Fix the cause, then start the run again.",
    ("post", "UNCONFIRMED"): (
        "It may or may not have been published. Check the account, then run resolve-post with the send ID and choose "
        "'published' or 'not published'."
    ),
    ("post", "NO KEY"): (
        'Save the API key again in a block "Taisly Account", under the same or another name. Otherwise the post counts '
        "as unconfirmed after 7 days; then run resolve-post."
    ),
    ("hold", "ON HOLD"): (
        "Campaigns send nothing more there, and what they have for it waits. Fix the cause: if its session expired, "
        "reconnect the account in Taisly. Then release it: 'Release accounts' in the form, or `reelflow release` with "
        "its name."
    ),
    ("phone task", "FAILED"): "To repeat a task, run manage-phone-tasks with the action 'retry' and its task ID.",
    ("phone task", "GONE"): (
        "Check whether it was done. If not, run manage-phone-tasks with the action 'mark not done' and the task ID, "
        "then start a new run."
    ),
    ("phone request", "REFUSED"): "No phone tasks were created. Fix the cause, then start a new run.",
    ("engagement", "FAILED"): (f"The post itself is unaffected. Fix the cause. To do what is left, {TRY_AGAIN}."),
    ("engagement", "SKIPPED"): (f"The post itself is unaffected. To warm up or comment all the same, {TRY_AGAIN}."),
    ("engagement", "DONE"): (
        "The post itself is unaffected, and a part of it was done. For the rest, run comment-on-posts."
    ),
    ("engagement", "NOT STARTED"): (
        "The post itself is unaffected. Run `reelflow setup`: the phones start within 5 minutes after that."
    ),
    ("run", "WAITING"): "Open the run, and choose Resume in its menu. What is not approved is not published.",
    ("run", "CRASHED"): "Look at what the run did, then retry it. Posts that Taisly has are not sent again.",
}
"""What to do, by what ended and how; the page of the week says the same."""
_IDS = {
    ("engagement", "FAILED"): "engagement ID",
    ("engagement", "SKIPPED"): "engagement ID",
    ("post", "UNCONFIRMED"): "send ID",
    ("phone task", "FAILED"): "task ID",
    ("phone task", "GONE"): "task ID",
}


class Message(NamedTuple):
    """What a notification shows."""

    subject: str
    body: str


def message_of(group: AlarmGroup) -> Message:
    """One message: the reason, a line for each video, job or run, and what to do."""
    first = group.alarms[0]
    reasons = {alarm.reason for alarm in group.alarms}
    lines = [*reasons, ""] if len(reasons) == 1 and first.reason else []
    grouped = _by_subject(group.alarms)
    lines += [_line(alarms, with_reason=len(reasons) > 1) for alarms in grouped[:MOST_LINES]]
    if len(grouped) > MOST_LINES:
        lines.append(f"and {len(grouped) - MOST_LINES} more")
    if advice := _advice(group.alarms):
        lines += ["", advice]
    return Message(f"reelflow: {_title(group)}", "\n".join(lines))


def _title(group: AlarmGroup) -> str:
    first, number = group.alarms[0], len(group.alarms)
    noun, ended = _NOUNS[first.kind], _ENDED.get(first.state, first.state.lower())
    if group.is_more:
        more = noun if number == 1 else _PLURALS.get(first.kind, f"{noun}s")
        return f"{number} more {more} {ended}"
    subjects = {alarm.subject for alarm in group.alarms}
    if len(subjects) > 1:
        return f"{count(number, noun, _PLURALS.get(first.kind, ''))} {ended}"
    where = f" ({first.who})" if number == 1 and first.who else f" ({number} accounts)" if first.kind == "post" else ""
    return f"{first.subject} {ended}{where}"


def _by_subject(alarms: Sequence[Alarm]) -> list[list[Alarm]]:
    """Those that share a line: of one video in one run, or of one run."""
    found: dict[tuple[str, str | None, str], list[Alarm]] = {}
    for alarm in alarms:
        own = alarm.key if alarm.kind == "run" else alarm.reason
        found.setdefault((alarm.subject, alarm.flow_run, own), []).append(alarm)
    return list(found.values())


def _line(alarms: Sequence[Alarm], *, with_reason: bool) -> str:
    first = alarms[0]
    line = first.subject
    if who := ", ".join(dict.fromkeys(alarm.who for alarm in alarms if alarm.who)):
        line += f": {who}"
    name, refs = _IDS.get((first.kind, first.state)), ", ".join(dict.fromkeys(a.ref for a in alarms if a.ref))
    if name and refs:
        line += f" ({name} {refs})"
    if with_reason and first.reason:
        line += f": {first.reason}"
    return f"{line}\n  {link}" if (link := link_to(first.flow_run)) else line


def _advice(alarms: Sequence[Alarm]) -> str:
    first = alarms[0]
    if (first.kind, first.state) == ("phone request", "UNCONFIRMED"):
        return what_to_do([alarm.ref for alarm in alarms])
    if (first.kind, first.state) == ("post", "UNCONFIRMED") and not any(alarm.ref for alarm in alarms):
        return ""  # its reason is the run's own sentence, which says what to do
    return ADVICE.get((first.kind, first.state), "")


def link_to(flow_run: str | None) -> str:
    """The address of a run in the UI; empty where there is none."""
    return (url_for("flow-run", obj_id=flow_run) or "") if flow_run else ""
