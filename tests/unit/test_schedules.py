"""Schedules of prefect.yaml on a server where a block is missing, or where a person has changed them."""

from types import SimpleNamespace
from typing import Any

import pytest
from support.deployments import SPECS

from deployments.preserve import (
    WAITING,
    form_of,
    merge_parameters,
    new_schedules,
    schedules_of_lost_client,
    schedules_to_serve,
)
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


BAKERY, CAFE = ({"$ref": {"block_document_id": name}} for name in ("id-of-bakery", "id-of-cafe"))
BOTH = {"taisly-account/bakery": "id-of-bakery", "taisly-account/cafe": "id-of-cafe"}
ONLY_CAFE = {"taisly-account/cafe": "id-of-cafe"}


def _deployed(spec: DeploymentSpec, taisly: Any, *, version: str) -> Any:
    """A deployment as the server has it, with a client and active schedules."""
    found = _on_server(spec, waits=False, active=True)
    found.version, found.parameters = version, {"taisly": taisly}
    found.parameter_openapi_schema = form_of(spec, None, {})
    for schedule in found.schedules:
        schedule.parameters = {}
    return found


@pytest.mark.parametrize("flow", ["finish-open-posts", "list-accounts"])
def test_what_looks_after_all_clients_loses_the_client_of_an_earlier_setup_once(flow: str) -> None:
    """Setup preselected one in version "1"; one that a person chooses after that stays."""
    spec = SPECS[flow]

    former = merge_parameters(spec, _deployed(spec, BAKERY, version="1"), {}, BOTH)
    persons = merge_parameters(spec, _deployed(spec, BAKERY, version=spec.version), {}, BOTH)

    assert "taisly" not in former
    assert persons["taisly"] == BAKERY


def test_a_default_client_by_its_name_stays_the_same_client() -> None:
    """As `prefect deploy` writes it."""
    spec = SPECS["publish-video"]
    by_name = _deployed(spec, {"$ref": {"block_document_slug": "taisly-account/bakery"}}, version=spec.version)

    assert merge_parameters(spec, by_name, {"taisly": CAFE}, BOTH)["taisly"] == BAKERY


def test_a_schedule_whose_client_is_gone_publishes_for_no_other_one() -> None:
    """It is turned off; one with a client of its own stays, and so does one that needs none."""
    inbox = _deployed(SPECS["publish-inbox"], BAKERY, version="1")
    upkeep = _deployed(FINISH, BAKERY, version=FINISH.version)

    lost = schedules_of_lost_client(inbox, ONLY_CAFE)
    (served,) = schedules_to_serve(SPECS["publish-inbox"], inbox, "UTC", lost=lost)
    there = schedules_of_lost_client(inbox, BOTH)
    inbox.schedules[0].parameters = {"taisly": BAKERY}

    assert lost == inbox.schedules
    assert not served.active
    assert there == schedules_of_lost_client(inbox, ONLY_CAFE) == schedules_of_lost_client(upkeep, ONLY_CAFE) == []
