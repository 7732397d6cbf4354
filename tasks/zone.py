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


def use_zone_for_run() -> None:
    """Read and show times in the server's time zone from now on; in this machine's if setup was told none.

    Raises:
        OutcomeUnknown: the server does not tell it. A time of the form or the plan would be another one without it.
    """
    _use(read_patiently(partial(read_variable, TIME_ZONE_VARIABLE)))


def use_server_zone(client: SyncPrefectClient | None = None) -> None:
    """The same for what only shows times: if the server does not tell its zone, they are shown in this machine's."""
    try:
        with nullcontext(client) if client else get_client(sync_client=True) as asked:
            variable = asked.read_variable_by_name(TIME_ZONE_VARIABLE)
    except (httpx.HTTPError, PrefectHTTPStatusError, RuntimeError) as error:
        log.debug("The time zone could not be read: %s", error)
    else:
        _use(variable.value if variable else None)


def _use(zone: Any) -> None:
    try:
        use_zone(str(zone) if zone else None)
    except InputError as error:
        log.warning("The variable %s is not valid. %s Times are shown in another zone.", TIME_ZONE_VARIABLE, error)
