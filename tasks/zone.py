"""The time zone of a Prefect server: the one in which its people read and write times."""

import logging
from contextlib import nullcontext

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import PrefectHTTPStatusError

from reelflow.errors import InputError
from reelflow.time_zones import use_zone

log = logging.getLogger("reelflow.zone")

TIME_ZONE_VARIABLE = "reelflow_time_zone"
"""The Prefect variable with the time zone: written by setup; read by runs, by serving and by the command line."""


def use_server_zone(client: SyncPrefectClient | None = None) -> None:
    """Show times in the server's time zone from now on; in this machine's if setup was told none.

    A server that cannot be asked now is no reason to fail: whatever needs it says so itself.
    """
    try:
        with nullcontext(client) if client else get_client(sync_client=True) as asked:
            variable = asked.read_variable_by_name(TIME_ZONE_VARIABLE)
        use_zone(str(variable.value) if variable and variable.value else None)
    except (httpx.HTTPError, PrefectHTTPStatusError, RuntimeError) as error:
        log.debug("The time zone could not be read: %s", error)
    except InputError as error:
        log.warning("The variable %s is not valid. %s Times are shown in another zone.", TIME_ZONE_VARIABLE, error)
