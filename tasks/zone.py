"""The time zone of a Prefect server: the one in which its people read and write times."""

import logging
from contextlib import nullcontext
from functools import partial
from typing import Any

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import PrefectHTTPStatusError

from reelflow.errors import InputError
from reelflow.time_zones import read_zone, shown_zone, use_zone
from tasks.prefect_server import read_patiently, read_variable

log = logging.getLogger("reelflow.zone")

TIME_ZONE_VARIABLE = "reelflow_time_zone"
"""The Prefect variable with the time zone: written by setup; read by runs, by serving and by the command line."""

CORRECT_IT = "Run `reelflow setup --time-zone NAME`"


def use_zone_for_run(*, upkeep: bool) -> None:
    """Read and show times in the server's time zone from now on; in this machine's if setup was told none.

    Read in another zone, a time in the form or the plan would be a different moment.

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
            f"{_invalid(error)} The run stopped before its first step. {CORRECT_IT}, then start the run again."
        ) from None


def use_server_zone(client: SyncPrefectClient | None = None) -> None:
    """Show times in the server's time zone from now on, if it can be read. For code that only shows times."""
    try:
        with nullcontext(client) if client else get_client(sync_client=True) as asked:
            variable = asked.read_variable_by_name(TIME_ZONE_VARIABLE)
    except (httpx.HTTPError, PrefectHTTPStatusError, RuntimeError) as error:
        log.debug("The time zone could not be read: %s", error)
    else:
        _use_if_valid(variable.value if variable else None)


def problem_of_zone(client: SyncPrefectClient) -> str:
    """What is wrong with the server's time zone, with what to do; empty if nothing is."""
    variable = client.read_variable_by_name(TIME_ZONE_VARIABLE)
    if variable and variable.value:
        try:
            read_zone(str(variable.value))
        except InputError as error:
            return f"{_invalid(error)} Until that is corrected, only upkeep runs. {CORRECT_IT}."
    return ""


def _use_if_valid(zone: Any) -> None:
    try:
        _use(zone)
    except InputError as error:
        log.warning("%s Times are shown in %s.", _invalid(error), shown_zone().key)


def _use(zone: Any) -> None:
    use_zone(str(zone) if zone else None)


def _invalid(error: InputError) -> str:
    return f"The variable {TIME_ZONE_VARIABLE} is not valid. {error}"
