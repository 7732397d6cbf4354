"""What the sandbox's TikMatrix can be told to do as its pages leave it open."""

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from blocks import TikMatrixHost
from reelflow.errors import NotAllowed
from reelflow.sandbox.catalog import REAL_SERIALS
from reelflow.sandbox.dialect import DIALECT

ADA, BEN = "R58N01SANDBOX", "R58N02SANDBOX"
FOLLOW = {"target_users": ["One"]}


@pytest.fixture
def noon(sandbox: Any) -> Any:
    """A sandbox on whose PC it is noon."""
    now = datetime.now().astimezone()
    sandbox.set_clock((now.replace(hour=12, minute=0, second=0, microsecond=0) - now).total_seconds())
    return sandbox


def _statuses(sandbox: Any) -> list[int]:
    sandbox.tikmatrix().tasks()
    return [task["status"] for task in sandbox.phone_tasks]


def test_a_task_with_a_start_time_waits_for_it(noon: Any) -> None:
    """By the PC's clock; tasks that were created after it, on the same phone, do not wait for it."""
    client = noon.tikmatrix()
    client.create_task("follow", FOLLOW, serials=[ADA], start_time="13:30")
    client.create_task("follow", FOLLOW, serials=[ADA])

    before = [_statuses(noon) for _ in range(9)][-1]
    noon.advance_clock(timedelta(hours=1, minutes=31).total_seconds())
    after = [_statuses(noon) for _ in range(9)][-1]

    assert (before, after) == ([0, 2], [2, 2])


def test_a_start_time_that_has_passed_means_at_once(noon: Any) -> None:
    noon.tikmatrix().create_task("follow", FOLLOW, serials=[ADA], start_time="11:00")

    assert _statuses(noon) == [1]


@pytest.mark.parametrize("separator", ["\n", ",", ", \n"])
def test_several_posts_in_one_field_are_one_task_each(sandbox: Any, separator: str) -> None:
    urls = [f"https://www.tiktok.com/@a/video/{n}" for n in range(3)]
    config = {"target_post_url": separator.join(urls), "comment_content": "nice"}

    sandbox.tikmatrix().create_task("comment", config, serials=[ADA])

    assert [task["script_args"]["target_post_url"] for task in sandbox.phone_tasks] == urls


@pytest.mark.parametrize("way", DIALECT["starter_license"])
def test_a_starter_licence_is_refused_in_either_way(sandbox: Any, way: str) -> None:
    """/license/check may say that the API is off, or refuse with 40301: the check of the block fails with both."""
    sandbox.world.license_plan = "Starter"
    sandbox.set_dialect(starter_license=way)
    host = TikMatrixHost(phones=[ADA], base_url=sandbox.tikmatrix_url)

    with pytest.raises(NotAllowed, match=r"does not include the API.*Pro, Team or Business"):
        host.check()
    if way == "answers":
        assert sandbox.tikmatrix().license().plan_name == "Starter"


def test_a_phone_has_two_serials_and_takes_tasks_under_both(sandbox: Any) -> None:
    client = sandbox.tikmatrix()
    client.create_task("follow", FOLLOW, serials=[ADA, REAL_SERIALS[BEN]])
    sandbox.set_dialect(serials="real_serial")

    (device, *_) = client.devices()

    assert (device.serial, device.real_serial) == (ADA, REAL_SERIALS[ADA])
    assert [task["serial"] for task in sandbox.phone_tasks] == [ADA, BEN]
    assert {task.serial for task in client.tasks().tasks} == {REAL_SERIALS[ADA], REAL_SERIALS[BEN]}


@pytest.mark.parametrize(
    ("way", "username", "target", "status"),
    [
        ({}, "ada.daily", "One", 1),
        ({"usernames": "with @"}, "@ada.daily", "@One", 1),
        ({"usernames": "in capitals"}, "ADA.DAILY", "ONE", 1),
        ({"statuses": "digits"}, "ada.daily", "One", "1"),
        ({"statuses": "words"}, "ada.daily", "One", "running"),
    ],
)
def test_tikmatrix_spells_in_the_dialect_that_was_ordered(
    sandbox: Any, way: dict[str, str], username: str, target: str, status: object
) -> None:
    """Until the next order or a reset; the client reads each of them."""
    client = sandbox.tikmatrix()
    client.create_task("follow", FOLLOW, usernames=["ada.daily"])
    sandbox.set_dialect(**way)

    (task,) = httpx.get(f"{sandbox.tikmatrix_url}/task").json()["data"]["list"]

    args = task["script_args"]
    assert (args["username"], args["target_user"], task["status"]) == (username, target, status)
    assert client.tasks().tasks[0].status is not None


@pytest.mark.parametrize("wrong", [{"serials": "mine"}, {"colour": "blue"}])
def test_a_dialect_that_does_not_exist_is_refused(sandbox: Any, wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"must be one of|Unknown field"):
        sandbox.set_dialect(**wrong)


def test_an_older_build_does_not_list_its_phones(sandbox: Any) -> None:
    sandbox.set_dialect(devices="not offered")

    assert sandbox.tikmatrix().devices() is None
