"""The phones of one PC: those that its owner has listed, and those that are online all the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from reelflow.errors import NotAllowed
from reelflow.phones.limits import Guardrails, Phone
from reelflow.tikmatrix.client import SERVICE, TikMatrixClient
from reelflow.tikmatrix.wire import Device, License


class PhoneState(StrEnum):
    """What TikMatrix tells of a phone."""

    ONLINE = "online"
    BUSY = "busy"
    OFFLINE = "not online"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class ListedPhone:
    """A phone.

    Attributes:
        phone: With the accounts that its owner lists for it.
        state: What TikMatrix tells of it.
        is_listed: Whether its owner lists it. One that is not is never used.
    """

    phone: Phone
    state: PhoneState
    is_listed: bool


@dataclass(frozen=True)
class PhoneList:
    """All of one PC.

    Attributes:
        phones: The listed ones in the owner's order, then the others.
        licence: What it permits.
        tells_devices: Whether this TikMatrix tells which phones are online; older ones do not.
    """

    phones: Sequence[ListedPhone]
    licence: License
    tells_devices: bool

    @property
    def unlisted(self) -> list[str]:
        """Serials of phones that are online and not listed."""
        return [each.phone.serial for each in self.phones if not each.is_listed]


def list_phones(client: TikMatrixClient, guardrails: Guardrails) -> PhoneList:
    """The phones of a PC, with what its licence permits. Changes nothing.

    Raises:
        NotAllowed: the licence does not include the API.
        ServiceError: TikMatrix cannot be asked.
    """
    licence = client.license()
    if not licence.api_enabled:
        raise NotAllowed(
            f"The TikMatrix licence {licence.plan_name or '(unknown)'} does not include the API. You need Pro, Team or "
            "Business.",
            service=SERVICE,
        )
    devices = client.devices()
    return PhoneList(match_phones(guardrails.phones, devices), licence, devices is not None)


def match_phones(listed: Sequence[Phone], devices: Sequence[Device] | None) -> list[ListedPhone]:
    """The listed phones in their order, then the devices that are none of them.

    Args:
        listed: The owner's.
        devices: What TikMatrix shows; None if it does not tell. One may be listed by either of its serials.
    """
    if devices is None:
        return [ListedPhone(phone, PhoneState.UNKNOWN, is_listed=True) for phone in listed]
    by_name = {name: device for device in devices for name in device.names}
    known = [ListedPhone(phone, _state(by_name.get(phone.serial)), is_listed=True) for phone in listed]
    serials = {phone.serial for phone in listed}
    others = [device for device in devices if serials.isdisjoint(device.names)]
    return known + [ListedPhone(Phone(device.serial), _state(device), is_listed=False) for device in others]


def _state(device: Device | None) -> PhoneState:
    if device is None:
        return PhoneState.OFFLINE
    return PhoneState.BUSY if device.busy else PhoneState.ONLINE
