"""Run a flow in this process, for a person at a terminal or for a script: what it prints, and how it ends."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deployments.options import in_options
from deployments.progress import shown_progress
from reelflow.errors import InputError, ReelflowError
from reelflow.wording import listed

Lines = Callable[[Any], list[str]]
"""The lines for people about a flow's result."""
Facts = Callable[[Any], dict[str, Any]]
"""The same for programs: fields of the JSON document. With "ok": False, the command fails, whatever the state."""


def quieten_run_logs() -> None:
    """Leave the failure to the last line, which the run's log would repeat three times; before Prefect is imported.

    Prefect's senders of events and of logs warn at the end of what they have not sent yet.
    """
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
    for name in ("reelflow", "EventsWorker", "APILogWorker"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def run_flow(flow: Any, *, as_json: bool, lines: Lines, facts: Facts, **parameters: Any) -> int:
    """Run a flow to its end and print its outcome.

    Args:
        flow: The flow.
        as_json: Print one JSON document, and no progress.
        lines: What people read before the message of the flow's state.
        facts: What programs read beside it, also whether it is to fail.
        **parameters: Of the flow.

    Raises:
        ReelflowError: the flow did not complete, or the facts say so; its message is that of the state.
    """
    with shown_progress(enabled=not as_json):
        state = flow(**parameters, return_state=True)
    result = state.result(raise_on_failure=False)
    report = getattr(result, "report", result)  # a failure carries its report
    head = {"flow": flow.name, "ok": state.is_completed(), "state": state.name, "message": state.message or ""}
    document = head | facts(report)
    if as_json:
        print_json(document)
    else:
        for line in lines(report):
            print(in_options(line))
    if not document["ok"]:
        raise ReelflowError(state.message or f"The run ended in state {state.name}.")
    if not as_json:
        print(in_options(state.message or ""))
    return 0


def row_line(number: int, video: str, accounts: str, at: str) -> str:
    """A row of a plan before it is sent, for people."""
    return f"  row {number:<4} {video:24} {accounts:28} {at}"


def whole_path(name: str) -> str:
    """The whole path of a file or folder that is named in this terminal, which has a folder; the flow has another one.

    Any other name stays as it is: a web address, or a file of another machine; and none is not this folder.
    """
    return str(Path(name).absolute()) if name.strip() and "://" not in name and Path(name).exists() else name


def nothing_more(_report: Any) -> Any:
    """For flows of which the message says all."""
    return {}


def print_json(document: Any) -> None:
    """Print a JSON document on one line."""
    print(json.dumps(document, ensure_ascii=False), flush=True)


def load_block(kind: type[Any], name: str, option: str = "--block") -> Any:
    """The saved block of this kind and name.

    Args:
        kind: Its class.
        name: As it was saved.
        option: With which another one is named.

    Raises:
        InputError: there is none.
        ReelflowError: the server cannot be used.
    """
    from prefect.settings import PREFECT_API_URL

    from blocks.reference import load_saved, saved_names
    from deployments.prefect_api import server_errors

    server = PREFECT_API_URL.value() or "Prefect's local server"
    try:
        with server_errors(server):
            found = load_saved(kind, name)
            names = [] if found else saved_names(kind)
    except RuntimeError as error:  # Prefect's own server for one process did not start
        raise ReelflowError(
            f"{server} did not start ({str(error).partition(chr(10))[0]}). "
            "Set PREFECT_API_URL to a server that is running."
        ) from None
    if found is None:
        others = f"Name another with {option}: {listed(names)}." if names else "Create it in the UI under Blocks."
        raise InputError(f'There is no block "{kind._block_type_name}" named {name!r} on {server}. {others}')
    return found
