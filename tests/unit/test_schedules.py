"""Schedules of prefect.yaml on a server where a block is missing, or where a person has changed them."""

from types import SimpleNamespace
from typing import Any

import pytest
from support.deployments import SPECS

from deployments.preserve import new_schedules, schedules_to_serve
from deployments.spec import DeploymentSpec

FINISH = SPECS["finish-open-posts"]
BLOCK = {"taisly": {"$ref": {"block_document_id": "7"}}}


def _on_server(spec: DeploymentSpec, parameters: dict[str, Any], *, active: bool) -> Any:
    """A deployment as the server has it, with our schedules."""
    given = new_schedules(spec, None, None)

    class Schedule(SimpleNamespace):
        def model_dump(self, include: set[str]) -> dict[str, Any]:
            return {name: getattr(self, name) for name in include if hasattr(self, name)}

    schedules = [Schedule(id=n, schedule=s.schedule, active=active, slug=s.slug) for n, s in enumerate(given)]
    return SimpleNamespace(parameters=parameters, schedules=schedules)


@pytest.mark.parametrize("has_blocks", [True, False])
def test_a_new_schedule_is_on_if_its_block_is_saved(has_blocks: bool) -> None:
    """Without it, each of its runs would fail, every five minutes."""
    assert [s.active for s in schedules_to_serve(FINISH, None, None, has_blocks=has_blocks)] == [has_blocks]
    assert [s.active for s in new_schedules(SPECS["warm-up-accounts"], None, None, has_blocks=has_blocks)] == [False]


@pytest.mark.parametrize(
    ("parameters", "active", "has_blocks", "after"),
    [
        ({}, False, True, True),
        ({}, False, False, False),
        (BLOCK, False, True, False),
        (BLOCK, True, True, True),
    ],
    ids=["the block came", "it is still missing", "a person paused it", "it is on"],
)
def test_a_schedule_that_waited_for_its_block_is_turned_on_and_a_persons_pause_stays(
    parameters: dict[str, Any], active: bool, has_blocks: bool, after: bool
) -> None:
    """A deployment without the parameter for the block was made before the block."""
    actual = _on_server(FINISH, parameters, active=active)

    assert [s.active for s in schedules_to_serve(FINISH, actual, None, has_blocks=has_blocks)] == [after]
