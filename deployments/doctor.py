"""``reelflow doctor``: where everything is, and whether it works. Changes nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx
from rich.console import Console
from rich.table import Table

from deployments.programs import QUIET, end
from reelflow.ledger import Ledger

if TYPE_CHECKING:
    from tasks.health import Finding


def examine() -> Iterator[Finding]:
    """Look at one thing after the other; each failure is a finding, never the end."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL

    from tasks.health import Finding, look_at_blocks, look_at_ledger, our_blocks

    yield Finding("Python", True, f"{sys.version.split()[0]} at {sys.executable}")
    ledger = Ledger()
    yield look_at_ledger(ledger)
    server = PREFECT_API_URL.value()
    if not server:
        yield Finding("Prefect server", False, "none is set: export PREFECT_API_URL=http://127.0.0.1:4200/api")
        return
    try:
        with get_client(sync_client=True) as client:
            client.api_healthcheck()
            version = client.api_version()
            names = our_blocks(client)
    except (httpx.HTTPError, OSError, RuntimeError) as error:
        yield Finding(
            "Prefect server", False, f"{server} does not answer ({error}). Start it, or correct PREFECT_API_URL."
        )
        return
    yield Finding("Prefect server", True, f"{server}, version {version}")
    if not names:
        yield Finding("Blocks", False, 'none saved: in the UI, Blocks, +, "Taisly Account"')
    yield from look_at_blocks(ledger, names)


def main() -> int:
    """Print the findings as a table; 0 if all is well."""
    for setting, value in QUIET.items():
        os.environ.setdefault(setting, value)
    table = Table("", "", "", show_header=False, box=None, pad_edge=False)
    well = True
    for finding in examine():
        well &= finding.well
        table.add_row("ok" if finding.well else "[red]look[/red]", finding.what, finding.found)
    Console(soft_wrap=not sys.stdout.isatty()).print(table)
    return 0 if well else 1


if __name__ == "__main__":
    end(main)
