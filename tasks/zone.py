"""The time zone of a Prefect server: the one in which its people read and write times."""

import logging
from contextlib import nullcontext
from functools import partial
from typing import Any

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import PrefectHTTPStatusError

from reelflow.errors import InputError
from reelflow.time_zones import use_zone
from tasks.prefect_server import read_patiently, read_variable

log = logging.getLogger("reelflow.zone")

TIME_ZONE_VARIABLE = "reelflow_time_zone"
"""The Prefect variable with the time zone: written by setup; read by runs, by serving and by the command line."""


def use_zone_for_run(*, upkeep: bool) -> None:
    """Read and show times in the server's time zone from now on; in this machine's if setup was told none.

    A time of the form or the plan would be another one in another zone.

    Args:
        upkeep: Whether the run only shows times: a zone that is not valid is a warning then.

    Raises:
        InputError: the server's is not valid.
        OutcomeUnknown, Refused: the server does not tell it.
    """
    zone = read_patiently(partial(read_variable, TIME_ZONE_VARIABLE))
    if upkeep:
        _use_if_valid(zone)
        return
    try:
        _use(zone)
    except InputError as error:
        raise InputError(
            f"{_invalid(error)} Nothing was sent. Run `reelflow setup --time-zone NAME`, then start the run again."
        ) from None


def use_server_zone(client: SyncPrefectClient | None = None) -> None:
    """Show times in the server's time zone from now on, if it can be read. For what reads no times."""
    try:
        with nullcontext(client) if client else get_client(sync_client=True) as asked:
            variable = asked.read_variable_by_name(TIME_ZONE_VARIABLE)
    except (httpx.HTTPError, PrefectHTTPStatusError, RuntimeError) as error:
        log.debug("The time zone could not be read: %s", error)
    else:
        _use_if_valid(variable.value if variable else None)


def _use_if_valid(zone: Any) -> None:
    try:
        _use(zone)
    except InputError as error:
        log.warning("%s Times are shown in another zone.", _invalid(error))


def _use(zone: Any) -> None:
    use_zone(str(zone) if zone else None)


def _invalid(error: InputError) -> str:
    return f"The variable {TIME_ZONE_VARIABLE} is not valid. {error}"
