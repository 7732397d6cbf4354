"""Alarms: what went wrong is recorded in the ledger first, and then told in one message for each cause.

The ledger records the alarms of posts and phone tasks together with their outcomes. Here are those of runs that ended
badly in another way, and the telling. A message is the event `reelflow.alarm`; an automation sends it on.
"""

import hashlib
import logging
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.client.schemas.objects import State
from prefect.events import Event
from prefect.events.filters import EventFilter, EventNameFilter, EventOccurredFilter, EventResourceFilter
from prefect.exceptions import PrefectException
from prefect.runtime import flow_run as this_run

from blocks import TaislyAccount
from reelflow.campaigns.report import CampaignReport
from reelflow.errors import CampaignFailed, PublishFailed, ReelflowError, RunFailed, RunSkipped
from reelflow.ledger import Ledger
from reelflow.posts.cleanup import unconfirmed_sends
from reelflow.posts.report import PublishReport
from reelflow.records.alarms import QUIET_SECONDS, Alarm, AlarmGroup, cause_of
from reelflow.records.clients import for_client
from reelflow.records.post_states import PostState
from reelflow.records.posts import Outcome, SendRecord
from tasks.alarm_messages import Message, message_of
from tasks.ledger import open_ledger
from tasks.run_facts import WATCHER, restart_of, runs_by_itself

log = logging.getLogger("reelflow.alarms")

ALARM = "reelflow.alarm"
"""The event that an automation turns into a notification."""
NAMESPACE = uuid.UUID("5f0c1f0e-6f0b-4a52-9d0c-2f1f6f6d7a11")
"""Of the IDs of alarm events: the same alarms told twice have the same ID."""


def ring() -> None:
    """Tell what the ledger has to tell, whichever run left it. Never fails the run."""
    try:
        ledger = open_ledger()
        for group in ledger.claim_alarms():
            try:
                _tell(group)
            except Exception:
                ledger.release_alarms(group.alarms)
                raise
            ledger.alarms_told(group.alarms)
    except Exception as error:  # noqa: BLE001 - alarms are about the work, not the work; the next run tells them
        log.warning("Alarms could not be sent; the next run tries again: %s", error)


def ring_after(state: Any) -> None:
    """Ring at the end of a run that did not fail, which has a hook; for one that was skipped, ring that too."""
    if isinstance(state, State) and state.is_failed():
        return
    if isinstance(state, State) and state.name == "Skipped" and not is_dry_run(this_run.parameters):
        reason = state.message or "Skipped."
        _record(lambda: [_run_alarm(str(this_run.id), this_run.name or "", "SKIPPED", reason)])
    ring()


def record_failed(flow_run: Any, state: Any) -> None:
    """Record that a run failed, unless the ledger has that by its outcomes.

    Before Prefect has the state: a process that dies in between then loses no alarm, and whoever rings next tells it.
    """
    attempt = f"{flow_run.id} {flow_run.run_count}"
    if attempt in _recorded or is_dry_run(flow_run.parameters):
        return
    error = _error_of(state)
    if _record(
        lambda: _alarms_of_failed(flow_run, state),
        known=lambda ledger: _outcomes_on_record(ledger, flow_run, state),
        failures=error.failures if isinstance(error, RunFailed) else (),
    ):
        _recorded.add(attempt)


_recorded = set[str]()
"""The attempts of runs that this process has recorded as failed."""


def ring_failed(flow: Any, flow_run: Any, state: Any) -> None:  # Prefect passes these by name
    """A hook: record that a run failed, if it did so before its flow began, or by a bug; then ring."""
    record_failed(flow_run, state)
    ring()


def ring_crashed(flow: Any, flow_run: Any, state: Any) -> None:  # Prefect passes these by name
    """A hook: record that the process of a run died, unless watch-runs is to start it again; then ring.

    It runs in another process, the worker's, which knows the run as it was before it began: without its name.
    """
    with suppress(Exception), get_client(sync_client=True) as client:
        flow_run = client.read_flow_run(flow_run.id)
        if restart_of(client, flow_run).is_due(timedelta(0)) and runs_by_itself(client, WATCHER):
            return  # if it cannot, after all, it records that
    alarm_crashed(flow_run, state.message or "")
    ring()


def alarm_crashed(flow_run: Any, reason: str) -> None:
    """Record that the process of a run died, whoever noticed; each crash once."""
    if not is_dry_run(flow_run.parameters):
        key = f"run {flow_run.id} {flow_run.run_count} CRASHED"
        _record(lambda: [_run_alarm(str(flow_run.id), flow_run.name, "CRASHED", reason, "its process died", key=key)])


def alarm_waiting(flow_run: str, name: str, reason: str, question: int) -> None:
    """Record that a run waits for a person's approval, each question once; then ring."""
    key = f"run {flow_run} WAITING {question}"
    _record(lambda: [_run_alarm(flow_run, name, "WAITING", reason, f"approval {flow_run}", key=key)])
    ring()


def alarm_unanswered(flow_run: Any) -> None:
    """Record that nobody approved the posts of a run in time; it is as any other failure of this run, so told once."""
    reason = "Nobody approved its posts in time, so they were not published. Start the campaign again."
    _record(lambda: [_failed_run(flow_run, reason)])


def alarm_late(flow_run: str, name: str, reason: str, pool: str) -> None:
    """Record that a run is late or stuck; all of one work pool are one cause."""
    _record(lambda: [_run_alarm(flow_run, name, "LATE", reason, f"work pool {pool}", key=f"run {flow_run} LATE")])


def send_message(message: Message, about: str, *, flow_runs: Iterable[str] = (), id: uuid.UUID | None = None) -> None:  # noqa: A002 - the event's name for it
    """Send an alarm, and return once the Prefect server has it.

    Args:
        message: What to show.
        about: The cause; it becomes the event's resource.
        flow_runs: The runs that the UI lists beside the event.
        id: Of the event, where it could be sent twice.

    Raises:
        httpx.HTTPError: the server does not have it.
    """
    runs = list(dict.fromkeys(flow_runs))[:20]
    event = Event(
        id=id or uuid.uuid4(),
        occurred=datetime.now(UTC),
        event=ALARM,
        resource={"prefect.resource.id": resource_of(about), "prefect.resource.name": message.subject},
        related=[
            {"prefect.resource.id": f"prefect.flow-run.{run}", "prefect.resource.role": "flow-run"} for run in runs
        ],
        payload={"subject": message.subject, "body": message.body, "flow_run_ids": runs},
    )
    with get_client(sync_client=True) as client:
        client.request("POST", "/events", json=[event.model_dump(mode="json")]).raise_for_status()


def resource_of(about: str) -> str:
    """The resource of alarms with one cause."""
    return f"{ALARM}.{hashlib.sha256(about.encode()).hexdigest()[:16]}"


def is_dry_run(parameters: dict[str, Any]) -> bool:
    """Whether a run only shows what it would do: a person reads it."""
    forms = (value if isinstance(value, dict) else vars(value) for value in parameters.values() if _is_form(value))
    return any(form.get("dry_run") is True for form in forms)


def _is_form(value: Any) -> bool:
    return isinstance(value, dict) or hasattr(value, "__dict__")


# Inside


def _tell(group: AlarmGroup) -> None:
    keys = " ".join(alarm.key for alarm in group.alarms)
    runs = [alarm.flow_run for alarm in group.alarms if alarm.flow_run]
    message = message_of(group)
    send_message(message, group.alarms[0].cause, flow_runs=runs, id=uuid.uuid5(NAMESPACE, keys))
    log.debug("Sent an alarm: %s.", message.subject)


def _record(
    found: Callable[[], list[Alarm]],
    known: Callable[[Ledger], list[Alarm]] = lambda ledger: [],
    failures: Sequence[str] = (),
) -> bool:
    """Record alarms, or tell them at once where the ledger cannot be used; whether that worked. Never fails the run.

    Args:
        found: Returns them.
        known: Returns what is on record already, and is not told a second time.
        failures: What else failed than what the ledger records by itself, as sentences.
    """
    try:
        alarms = found()
        try:
            ledger = open_ledger()
            ledger.add_alarms(_without(_known_if_readable(known, ledger), alarms, failures))
        except ReelflowError:
            _tell_without_ledger(alarms)
    except Exception as error:  # noqa: BLE001 - as above
        log.warning("An alarm could not be recorded: %s", error)
        return False
    return True


def _known_if_readable(known: Callable[[Ledger], list[Alarm]], ledger: Ledger) -> list[Alarm]:
    """What is on record; nothing if the Prefect server cannot be asked: told twice is better than not at all."""
    try:
        return known(ledger)
    except (httpx.HTTPError, PrefectException) as error:
        log.warning("Whether an alarm is told by another run cannot be read: %s", error)
        return []


def _outcomes_on_record(ledger: Ledger, flow_run: Any, state: Any) -> list[Alarm]:
    """The alarms of what a failed run, and the runs that it started on other machines, did.

    A run that failed before it came to its work has none, whatever an earlier attempt of it has.
    """
    if not isinstance(_error_of(state), RunFailed):
        return []
    own = str(flow_run.id)
    found = ledger.alarms_of_runs([own, *_children(flow_run.id)])
    return [alarm for alarm in found if alarm.kind != "run" or alarm.flow_run != own]


def _without(known: list[Alarm], alarms: list[Alarm], failures: Sequence[str]) -> list[Alarm]:
    """What is not known yet. That a run failed is known if something of it is, and whatever else failed, too."""
    told = {(alarm.subject, alarm.who, alarm.state) for alarm in known}
    is_explained = bool(known) and all(any(_tells(alarm, failure) for alarm in known) for failure in failures)
    return [a for a in alarms if not (is_explained if a.kind == "run" else (a.subject, a.who, a.state) in told)]


def _tells(alarm: Alarm, failure: str) -> bool:
    """Whether an alarm on record is about a failure that a run names in a sentence."""
    words = alarm.reason.rstrip(".") or alarm.who
    return bool(words) and words in failure


def _tell_without_ledger(alarms: list[Alarm]) -> None:
    """Tell at once, unless an alarm with the same cause was told a short while ago."""
    for alarm in alarms:
        with get_client(sync_client=True) as client:
            if _told_lately(client, alarm.cause):
                continue
        send_message(message_of(AlarmGroup((alarm,), is_more=False)), alarm.cause, flow_runs=[alarm.flow_run or ""])


def _told_lately(client: SyncPrefectClient, cause: str) -> bool:
    """Whether the server has an alarm with this cause of the last minutes."""
    wanted = EventFilter(
        event=EventNameFilter(name=[ALARM]),
        resource=EventResourceFilter(id=[resource_of(cause)]),
        occurred=EventOccurredFilter(since=datetime.now(UTC) - timedelta(seconds=QUIET_SECONDS)),
    )
    return bool(client.read_events(wanted, limit=1).events)


def _error_of(state: Any) -> Any:
    """What a failed state has as its data; by the time of the hooks Prefect has wrapped it."""
    return getattr(state.data, "result", state.data)


def _alarms_of_failed(flow_run: Any, state: Any) -> list[Alarm]:
    """What a failed run tells: one alarm for each account of a post, or one for the run."""
    run, error = str(flow_run.id), _error_of(state)
    report = error.report if isinstance(error, PublishFailed) else None
    if isinstance(report, PublishReport):
        bad = [outcome for outcome in report.outcomes if outcome.state.needs_attention]
        posts = [_post_alarm(flow_run, report, outcome, _send_of(outcome)) for outcome in bad]
        if error.failures:
            posts.append(_failed_run(flow_run, " ".join(error.failures)))
        return posts
    if isinstance(error, CampaignFailed) and isinstance(error.report, CampaignReport) and error.report.only_held:
        return []  # each hold has one alarm of its own, whichever run it keeps from sending
    if isinstance(error, RunSkipped):
        return [_run_alarm(run, flow_run.name, "SKIPPED", state.message or "Skipped.", "late")]
    cause = error.cause if isinstance(error, RunFailed) else ""
    return [_failed_run(flow_run, state.message or "It failed.", cause)]


def _failed_run(flow_run: Any, reason: str, cause: str = "") -> Alarm:
    key = f"run {flow_run.id} {flow_run.run_count} FAILED"
    client = _client_of(flow_run.parameters)
    return _run_alarm(str(flow_run.id), flow_run.name, "FAILED", reason, cause, key=key, client=client)


def _client_of(parameters: dict[str, Any]) -> str:
    """What tells the client of a run from others: the name of its block, or how its parameters refer to that."""
    taisly = parameters.get("taisly")
    if isinstance(taisly, TaislyAccount):
        return taisly.client
    reference = taisly.get("$ref") if isinstance(taisly, dict) else None
    return "" if reference is None else str(reference)


def _post_alarm(flow_run: Any, report: PublishReport, outcome: Outcome, send: SendRecord | None) -> Alarm:
    """The alarm of a post at one account, as the ledger's own: with the send ID, and the reason without advice."""
    reason, state = outcome.detail, "NOT SENT" if outcome.state is PostState.CLAIMED else str(outcome.state)
    if send is not None:
        reason = next((o.detail for o in send[1] if o.account.id == outcome.account.id), reason)
    return Alarm(
        key=f"run {flow_run.id} {flow_run.run_count} {outcome.account.id} {outcome.state}",
        kind="post",
        state=state,
        subject=report.request.video.name,
        who=for_client(report.client, outcome.account.label),
        reason=reason,
        cause=cause_of("post", state, reason, report.client),
        flow_run=str(flow_run.id),
        ref=send[0].id if send else "",
    )


def _send_of(outcome: Outcome) -> SendRecord | None:
    """The send that a person has to resolve, which may be an earlier run's; None if the ledger cannot tell."""
    if outcome.state is not PostState.UNCONFIRMED:
        return None
    with suppress(ReelflowError):
        return next((found for found in unconfirmed_sends(open_ledger()) if found[0].id in outcome.detail), None)
    return None


def _run_alarm(
    flow_run: str, name: str, state: str, reason: str, cause: str = "", *, key: str = "", client: str = ""
) -> Alarm:
    """The alarm of a run as a whole; the same crash or failure is the same for whoever notices it."""
    return Alarm(
        key=key or f"run {flow_run} {state}",
        kind="run",
        state=state,
        subject=name,
        who="",
        reason=reason,
        cause=cause_of("run", state, cause or reason, client),
        flow_run=flow_run,
    )


def _children(flow_run_id: uuid.UUID) -> list[str]:
    """The runs that a run has started on other machines: what failed there is on record as theirs."""
    children = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[flow_run_id]))
    with get_client(sync_client=True) as client:
        return [str(child.id) for child in client.read_flow_runs(flow_run_filter=children)]
