"""Schedules of prefect.yaml on a server where a block is missing, or where a person has changed them."""

from types import SimpleNamespace
from typing import Any

import pytest
from support.deployments import SPECS

from deployments.preserve import WAITING, new_schedules, schedules_to_serve
from deployments.spec import DeploymentSpec

FINISH = SPECS["finish-open-posts"]


def _on_server(spec: DeploymentSpec, *, waits: bool, active: bool) -> Any:
    """A deployment as the server has it, with our schedules."""
    given = new_schedules(spec, None, None, has_blocks=not waits)

    class Schedule(SimpleNamespace):
        def model_dump(self, include: set[str]) -> dict[str, Any]:
            return {name: getattr(self, name) for name in include if hasattr(self, name)}

    schedules = [Schedule(id=n, schedule=s.schedule, active=active, slug=s.slug) for n, s in enumerate(given)]
    return SimpleNamespace(schedules=schedules)


@pytest.mark.parametrize("has_blocks", [True, False])
def test_a_new_schedule_is_on_if_its_block_is_saved(has_blocks: bool) -> None:
    """Without it, each of its runs would fail, every five minutes."""
    assert [s.active for s in schedules_to_serve(FINISH, None, None, has_blocks=has_blocks)] == [has_blocks]
    assert [s.active for s in new_schedules(SPECS["warm-up-accounts"], None, None, has_blocks=has_blocks)] == [False]


@pytest.mark.parametrize(
    ("waits", "active", "has_blocks", "after", "marked"),
    [
        (True, False, True, True, False),
        (True, False, False, False, True),
        (True, True, False, True, False),
        (False, False, True, False, False),
        (False, True, True, True, False),
    ],
    ids=["the block came", "it is still missing", "a person turned it on", "a person paused it", "it is on"],
)
def test_a_schedule_that_waited_for_its_block_is_turned_on_and_a_persons_pause_stays(
    waits: bool, active: bool, has_blocks: bool, after: bool, marked: bool
) -> None:
    """What we created paused bears a mark until it is on; it is there once, marked or not."""
    actual = _on_server(FINISH, waits=waits, active=active)

    (found,) = schedules_to_serve(FINISH, actual, None, has_blocks=has_blocks)

    assert found.active is after
    assert found.slug == "every-5-minutes" + (WAITING if marked else "")
    assert found.replaces == (actual.schedules[0].slug if waits and not marked else None)
    assert new_schedules(FINISH, actual, None, has_blocks=has_blocks) == []
