"""A Prefect server of a test's own, without upkeep beside what is tested."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.local.processes import start_prefect_server, wait_for_prefect_server
from support.api import ask

UNSCHEDULED = {"PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false"}
"""Prefect's own setting: its server creates no run for a schedule, which stays as it is. Each costs a process."""


@contextlib.contextmanager
def prefect_server(folder: Path, new_database: Path, **settings: str) -> Iterator[str]:
    """The address of a server that begins with a copy of a new database, and schedules nothing."""
    (folder / "prefect").mkdir()
    shutil.copy(new_database, folder / "prefect" / "prefect.db")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**UNSCHEDULED, **settings}.items():
            patch.setenv(name, value)
        process, address = start_prefect_server(folder, 0)
    try:
        wait_for_prefect_server(process, address, folder)
        yield address
    finally:
        process.stop()


def turn_off_schedules(api: str, *, but: str, auth: tuple[str, str] | None = None) -> None:
    """As a person does it in the UI, of all deployments but one; runs that were scheduled are deleted with it."""
    for deployment in ask("POST", f"{api}/deployments/filter", auth=auth):
        for schedule in deployment["schedules"] if deployment["name"] != but else ():
            path = f"{api}/deployments/{deployment['id']}/schedules/{schedule['id']}"
            ask("PATCH", path, auth=auth, active=False)
