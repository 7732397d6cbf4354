"""``reelflow doctor``: where everything is, and whether it works. Changes nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpx
from rich.console import Console
from rich.table import Table

from deployments.programs import QUIET, end
from reelflow.errors import ReelflowError
from reelflow.ledger import Ledger, key_fingerprint
from reelflow.metered import REQUESTS_PER_HOUR
from reelflow.models import State


class Finding(NamedTuple):
    """One line: what was looked at, whether it is well, and what was found."""

    what: str
    well: bool
    found: str


def examine() -> Iterator[Finding]:
    """Look at one thing after the other; each failure is a finding, never the end."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL

    yield Finding("Python", True, f"{sys.version.split()[0]} at {sys.executable}")
    ledger = Ledger()
    yield _ledger(ledger)
    server = PREFECT_API_URL.value()
    if not server:
        yield Finding("Prefect server", False, "none is set: export PREFECT_API_URL=http://127.0.0.1:4200/api")
        return
    try:
        with get_client(sync_client=True) as client:
            client.api_healthcheck()
            version = client.api_version()
            names = _block_names(client)
    except (httpx.HTTPError, OSError, RuntimeError) as error:
        yield Finding(
            "Prefect server", False, f"{server} does not answer ({error}). Start it, or correct PREFECT_API_URL."
        )
        return
    yield Finding("Prefect server", True, f"{server}, version {version}")
    if not names:
        yield Finding("Blocks", False, 'none saved: in the UI, Blocks, +, "Taisly Account"')
    for slug, name in names:
        yield _block(slug, name, ledger)


def _ledger(ledger: Ledger) -> Finding:
    try:
        waiting = ledger.find(state=State.UNCONFIRMED)
    except ReelflowError as error:
        return Finding("Ledger", False, str(error))
    unclear = f"; {len(waiting)} posts wait for you (resolve-post)" if waiting else ""
    return Finding("Ledger", not waiting, f"{ledger.place}{unclear}")


def _block_names(client: Any) -> list[tuple[str, str]]:
    found = client.read_block_documents(include_secrets=False)
    ours = [(d.block_type.slug, d.name) for d in found if d.block_type and d.name]
    return sorted(pair for pair in ours if pair[0] in ("taisly-account", "tikmatrix-host"))


def _block(slug: str, name: str, ledger: Ledger) -> Finding:
    from blocks import TaislyAccount, TikMatrixHost

    def taisly() -> str:
        block: Any = TaislyAccount.load(name)
        accounts = block.check()
        key = key_fingerprint(block.api_key.get_secret_value(), block.service)
        used = ledger.requests_in_last_hour(key)
        return (
            f"{block.base_url}: {len(accounts)} accounts connected; plan {block.plan}, "
            f"{used} of {REQUESTS_PER_HOUR[block.plan]} requests used in the last hour"
        )

    def tikmatrix() -> str:
        block: Any = TikMatrixHost.load(name)
        found = block.check()
        return f"{block.base_url}: licence {found.plan_name}, up to {found.device_limit} devices"

    title, look = ("Taisly", taisly) if slug == "taisly-account" else ("TikMatrix", tikmatrix)
    return _tried(f"{title} block {name!r}", look)


def _tried(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what, True, look())
    except ReelflowError as error:
        return Finding(what, False, str(error))
    except (ValueError, RuntimeError) as error:
        return Finding(what, False, f"cannot be loaded ({str(error).splitlines()[0]}). Save it anew in the UI.")


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
