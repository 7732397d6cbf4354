"""Which automations receive alarms, and which hooks a flow has."""

from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from prefect.events.schemas.automations import EventTrigger, Posture

from deployments.alarms import receivers
from tasks.alarms import ring_crashed, ring_failed
from tasks.step import flow


class _Server:
    """A server with one notification block, and one automation that sends to it."""

    def __init__(self, trigger: EventTrigger) -> None:
        block = SimpleNamespace(id=uuid4())
        action = SimpleNamespace(block_document_id=block.id)
        self._blocks = [block]
        self._automations = [SimpleNamespace(name="mine", enabled=True, trigger=trigger, actions=[action])]

    def read_block_documents(self, **_: Any) -> list[Any]:
        return self._blocks

    def read_automations(self) -> list[Any]:
        return self._automations


@pytest.mark.parametrize(
    ("expect", "match", "receives"),
    [
        ({"reelflow.alarm"}, "reelflow.alarm.*", True),
        ({"reelflow.*"}, "*", True),
        (set(), "reelflow.*", True),
        (set(), "prefect.flow-run.*", False),
        ({"reelflow.post.*"}, "*", False),
    ],
    ids=["alarms", "all of reelflow", "any event of our resources", "runs", "posts"],
)
def test_an_automation_that_reacts_to_alarms_is_a_receiver(expect: set[str], match: str, receives: bool) -> None:
    """Also a person's own, which may react to more than alarms."""
    trigger: Any = EventTrigger(
        posture=Posture.Reactive, threshold=1, within=0, expect=expect, match={"prefect.resource.id": match}
    )
    server: Any = _Server(trigger)

    assert bool(receivers(server)) == receives


def test_a_flow_with_hooks_of_its_own_rings_all_the_same() -> None:
    """Ours come after them."""

    def own(flow: Any, flow_run: Any, state: Any) -> None:
        """Nothing."""

    @flow(name="hooked", on_failure=[own], on_crashed=[own])
    def hooked() -> None:
        """Nothing."""

    assert hooked.on_failure_hooks == [own, ring_failed]
    assert hooked.on_crashed_hooks == [own, ring_crashed]
