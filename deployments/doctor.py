"""``reelflow doctor``: check everything that reelflow needs and show the results as a table."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from prefect.settings import PREFECT_API_URL
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from blocks import TaislyAccount
from blocks.reference import saved_ids
from deployments.alarms import HOW_TO_NAME, receivers
from deployments.in_terminal import print_json
from deployments.options import AsJson
from deployments.prefect_api import (
    clock_ahead,
    connected_client,
    events_problem,
    read_block_ids,
    read_version,
    version_problem,
)
from deployments.setup.clients import client_names
from deployments.spec import deployment_specs
from deployments.workers import check_workers
from reelflow.block_references import block_reference, block_slug, saved_block
from reelflow.errors import ReelflowError
from reelflow.form_schema import title_of
from reelflow.ledger import Ledger
from reelflow.posts.cleanup import open_sends
from reelflow.wording import count, listed
from tasks.choices import our_deployments
from tasks.finishers import FINISHER, clients_of_finishers
from tasks.upkeep.health import (
    Finding,
    check_blocks,
    check_deleted_clients,
    check_own_clock,
    check_time_zone,
    find_ledger,
    our_blocks,
)
from tasks.zone import use_server_zone


def doctor(*, as_json: AsJson = False) -> int:
    """Print each finding as a line; the exit code is 1 if any check failed."""
    if as_json:
        return _print_json(examine())
    table = Table("", "", "", show_header=False, box=None, pad_edge=False)
    findings = []
    for finding in examine():
        findings.append(finding)
        table.add_row(_verdict(finding), escape(finding.what), escape(finding.found))
    failed = sum(not finding.ok for finding in findings)
    console = Console(soft_wrap=not sys.stdout.isatty())
    console.print(table)
    warnings = sum(finding.is_warning for finding in findings)
    ended = f"{failed} of {len(findings)} checks failed" if failed else f"All {len(findings)} checks passed"
    warned = f", with {count(warnings, 'warning')}" if warnings else ""
    console.print(f"\n{ended}{warned}.")
    return 1 if failed else 0


def _print_json(findings: Iterator[Finding]) -> int:
    """Print each finding as a JSON object, when it is there."""
    failed = 0
    for finding in findings:
        print_json({"check": finding.what, "ok": finding.ok, "warning": finding.is_warning, "found": finding.found})
        failed += not finding.ok
    return 1 if failed else 0


def _verdict(finding: Finding) -> str:
    if finding.is_warning:
        return "[yellow]WARNING[/yellow]"
    return "ok" if finding.ok else "[red]FAILED[/red]"


def examine() -> Iterator[Finding]:
    """Run all checks, one after the other. A failed check does not stop the others."""
    yield Finding("Python", True, f"{sys.version.split()[0]} at {sys.executable}")
    try:
        with connected_client() as client:
            version, ahead = read_version(client), clock_ahead(client)
            problem = version_problem(version) or (events_problem() if version else None)
            names = our_blocks(client)
            zone = list(check_time_zone(client))
            if not zone:
                use_server_zone(client)
            alarmed = bool(receivers(client))
            deployed, block_ids = our_deployments(client), read_block_ids(client)
            finished = clients_of_finishers(client, saved_ids(TaislyAccount))
            workers = list(check_workers(client, deployed))
    except ReelflowError as error:
        yield Finding("Prefect server", False, str(error))
        return
    shown = f"{PREFECT_API_URL.value()} {(problem or f'runs Prefect {version}') if version else 'is Prefect Cloud'}"
    yield Finding("Prefect server", problem is None, shown)
    ledger, found = find_ledger(patience=0)  # a person wants to see what is wrong now
    yield found
    yield from zone
    if not names:
        yield Finding("Blocks", False, "none saved. Run reelflow setup, or create a Taisly Account in the UI (Blocks).")
    if ledger is not None:
        yield from check_own_clock(ledger, ahead)
        yield from check_blocks(ledger, names)
        yield from check_deleted_clients(ledger)
        yield from _check_open_posts(ledger, finished, client_names(block_ids))
    if not alarmed:
        words = f"no receiver: nobody is told when a post or a run fails. {HOW_TO_NAME}"
        yield Finding("Alarms", True, words, is_warning=True)
    yield from _check_flows()
    yield from _check_deployments(deployed, block_ids)
    yield from workers


def _check_open_posts(ledger: Ledger, finished: list[str | None], clients: list[str]) -> Iterator[Finding]:
    """Whether schedules find the outcome of every client's open posts.

    Args:
        ledger: Where the posts are.
        finished: The client that each schedule works for, as `clients_of_finishers` tells.
        clients: The names of all that are saved.
    """
    if None in finished:
        return
    if finished:
        if left := sorted(set(clients) - set(finished)):
            named = listed(sorted(set(filter(None, finished)))) or "a client that is gone"
            found = (
                f"{FINISHER} is only for {named}, so nothing finishes the posts of {listed(left)}. Open {FINISHER} in "
                "the UI, and clear 'Taisly account' in its parameters and in those of its schedule: it then looks "
                "after all clients."
            )
            yield Finding("Open posts", True, found, is_warning=True)
        return
    try:
        number = len(open_sends(ledger))
    except ReelflowError as error:
        yield Finding("Open posts", False, str(error))
        return
    if number:
        found = (
            f"{count(number, 'post')} without an outcome yet, and no schedule looks it up. Run {FINISHER}, or turn on "
            "its schedule."
        )
        yield Finding("Open posts", True, found, is_warning=True)


def _check_flows() -> Iterator[Finding]:
    """Whether every flow can be loaded."""
    for spec in deployment_specs():
        try:
            spec.load()
        except ReelflowError as error:
            yield Finding(f"Flow {spec.name}", False, str(error))


def _check_deployments(deployed: Sequence[Any], block_ids: dict[str, str]) -> Iterator[Finding]:
    """Whether every deployment, and each of its schedules that is on, finds the blocks that it refers to."""
    if not deployed:
        yield Finding("Deployments", True, "none on this server. reelflow setup creates them.")
        return
    for deployment in deployed:
        slugs = filter(None, map(block_slug, deployment.parameters.values()))
        if missing := sorted(set(slugs) - set(block_ids)):
            found = f"refers to the block {', '.join(missing)}, which is not saved. Save it, or run reelflow setup."
            yield Finding(f"Deployment {deployment.name}", False, found)
        for schedule in filter(lambda each: each.active, deployment.schedules):
            for problem in _problems_of_schedule(deployment, schedule, block_ids):
                yield Finding(f"Deployment {deployment.name}", False, problem)
    active = sum(any(s.active for s in d.schedules) for d in deployed)
    yield Finding("Deployments", True, f"{len(deployed)}, {active} of them with an active schedule")


def _problems_of_schedule(deployment: Any, schedule: Any, block_ids: dict[str, str]) -> Iterator[str]:
    """Why the runs of a schedule would fail, and what to do."""
    which = f"its schedule {schedule.slug or schedule.id}"
    gone = [title_of(name) for name, value in schedule.parameters.items()
            if block_reference(value) and saved_block(value, block_ids) is None]  # fmt: skip
    if gone:
        yield (
            f"{which} refers to a deleted block, so its runs fail. Choose another block as "
            f"{', '.join(map(repr, gone))} in the parameters of the schedule, or turn the schedule off."
        )
    required = (deployment.parameter_openapi_schema or {}).get("required", [])
    if missing := [name for name in required if name not in {**deployment.parameters, **schedule.parameters}]:
        yield (
            f"{which} lacks {listed([repr(title_of(name)) for name in missing])}, so its runs fail. Choose Edit in "
            "its menu, and set its parameters. The switch beside a schedule deletes them (Prefect 3.8)."
        )
