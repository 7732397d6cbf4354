"""``reelflow doctor``: where everything is, and whether it works. Changes nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import httpx
from rich.console import Console
from rich.table import Table

from deployments.programs import QUIET, end
from deployments.server import same_version
from reelflow.errors import ReelflowError
from reelflow.ledger import Ledger

if TYPE_CHECKING:
    from tasks.health import Finding


def examine() -> Iterator[Finding]:
    """Look at one thing after the other; each failure is a finding, never the end."""
    import prefect
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
            deployed = [d for d in client.read_deployments(limit=200) if "reelflow" in d.tags]
    except (httpx.HTTPError, OSError, RuntimeError) as error:
        yield Finding(
            "Prefect server", False, f"{server} does not answer ({error}). Start it, or correct PREFECT_API_URL."
        )
        return
    same = same_version(version)
    differs = "" if same else f", and this is {prefect.__version__}: use the same on both"
    yield Finding("Prefect server", same, f"{server}, version {version}{differs}")
    if not names:
        yield Finding("Blocks", False, "none saved: run reelflow setup, or in the UI, Blocks, +, Taisly Account")
    yield from look_at_blocks(ledger, names)
    yield from _deployments(deployed, {f"{slug}/{name}" for slug, name in names})


def _deployments(deployed: Sequence[Any], blocks: set[str]) -> Iterator[Finding]:
    """Whether every flow can be loaded, is deployed, and finds the blocks that it names."""
    from deployments.plan import planned, slug_of
    from tasks.health import Finding

    for each in planned():
        try:
            each.load()
        except ReelflowError as error:
            yield Finding(f"Flow {each.name}", False, str(error))
    if not deployed:
        yield Finding("Deployments", True, "none on this server; reelflow setup makes them")
        return
    for deployment in deployed:
        slugs = filter(None, map(slug_of, deployment.parameters.values()))
        if missing := sorted(set(slugs) - blocks):
            words = f"names the block {', '.join(missing)}, which is not saved. Save it, or run reelflow setup."
            yield Finding(f"Deployment {deployment.name}", False, words)
    on = sum(any(s.active for s in d.schedules) for d in deployed)
    yield Finding("Deployments", True, f"{len(deployed)}, {on} of them with a schedule that is on")


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
