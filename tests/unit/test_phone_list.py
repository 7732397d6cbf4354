"""The phones of a PC: listed or not, online or not, whichever of its serials a phone shows."""

from typing import Any

import pytest

from reelflow.errors import NotAllowed
from reelflow.phones.limits import Guardrails, read_phones
from reelflow.phones.phone_list import PhoneState, list_phones, match_phones
from reelflow.tikmatrix.wire import Device
from reelflow.time_zones import read_zone


def _guardrails(*rows: str) -> Guardrails:
    return Guardrails(read_phones(rows), {}, read_zone("UTC"))


@pytest.mark.parametrize(
    ("device", "state", "is_listed"),
    [
        ({"serial": "A1"}, PhoneState.ONLINE, True),
        ({"serial": "A1", "busy": True}, PhoneState.BUSY, True),
        ({"serial": "A1", "busy": "perhaps"}, PhoneState.ONLINE, True),
        ({"serial": "USB-7", "real_serial": "A1", "busy": False}, PhoneState.ONLINE, True),
        ({"serial": "B2", "busy": True}, PhoneState.BUSY, False),
    ],
    ids=str,
)
def test_a_device_is_the_listed_phone_with_one_of_its_serials(
    device: dict[str, Any], state: PhoneState, is_listed: bool
) -> None:
    """Any other one is not listed, and a listed phone that is not there is not online."""
    found = match_phones(read_phones(["A1: ada"]), [Device.model_validate(device)])

    assert (found[-1].state, found[-1].is_listed) == (state, is_listed)
    assert found[0].phone.account_names == "ada"
    assert is_listed or found[0].state is PhoneState.OFFLINE


def test_what_is_online_and_not_listed_comes_last(sandbox: Any) -> None:
    """It is never used; its serial is what a new row begins with."""
    found = list_phones(sandbox.tikmatrix(), _guardrails("R58N02SANDBOX: ben.daily", "GONE"))

    assert [(each.phone.serial, each.state) for each in found.phones[:2]] == [
        ("R58N02SANDBOX", PhoneState.ONLINE),
        ("GONE", PhoneState.OFFLINE),
    ]
    assert len(found.unlisted) == 19
    assert (found.licence.plan_name, found.licence.device_limit, found.tells_devices) == ("Pro", 20, True)


def test_an_older_tikmatrix_tells_no_devices(sandbox: Any) -> None:
    """Its phones are unknown, neither online nor away."""
    sandbox.set_dialect(devices="not offered")

    found = list_phones(sandbox.tikmatrix(), _guardrails("R58N02SANDBOX"))

    assert [each.state for each in found.phones] == [PhoneState.UNKNOWN]
    assert not found.tells_devices


def test_a_licence_without_the_api_is_said(sandbox: Any) -> None:
    """Before its devices are asked for."""
    sandbox.world.license_plan = "Starter"

    with pytest.raises(NotAllowed, match="does not include the API"):
        list_phones(sandbox.tikmatrix(), _guardrails("R58N02SANDBOX"))
