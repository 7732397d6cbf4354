"""``reelflow publish``: run the flow publish_video from a terminal, in this process."""

from __future__ import annotations

import logging
import os
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from pydantic import ValidationError

from reelflow.errors import InputError, ReelflowError


def publish(
    video: Path,
    /,
    *,
    to: Annotated[list[str], Parameter(negative="")],
    caption: str = "",
    at: datetime | None = None,
    time_zone: str = "",
    preview_second: float = 0,
    watch_minutes: float = 30,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    repeat: int = 0,
    block: str = "main",
) -> int:
    """Publish one video and watch it until every platform has an outcome.

    Parameters
    ----------
    video
        The video file: vertical 9:16, 3 to 90 seconds, up to 500 MB.
    to
        A name or ID of an account, a platform with only one account, or 'all'. Repeat the option for several accounts.
    caption
        The text of the post.
    at
        When to publish, such as 2026-12-24T18:00+01:00. Omit it to publish now.
    time_zone
        The time zone of --at, if the time has none, such as Europe/Berlin.
    preview_second
        The second of the video to use as its preview.
    watch_minutes
        How long to wait for outcomes.
    dry_run
        Check everything and show what would be sent, without sending it.
    repeat
        'Send again on purpose': 1, 2, …: each number sends the same video, caption and time once more, and skips the
        check for duplicates.
    block
        The name of the saved block "Taisly Account".
    """
    _quieten_run_logs()
    from flows.publish import publish_video
    from reelflow.posts.form import PostForm

    try:
        form = PostForm(
            video=str(video),
            accounts=to,
            caption=caption,
            scheduled_for=at,
            time_zone=time_zone,
            preview_second=preview_second,
            watch_minutes=watch_minutes,
            dry_run=dry_run,
            repeat=repeat,
        )
    except ValidationError as error:
        raise InputError(_first_problem(error)) from None
    state = publish_video(_load_block(block), form, return_state=True)
    _print_outcomes(state.result(raise_on_failure=False))
    if not state.is_completed():
        raise ReelflowError(state.message or f"The run ended in state {state.name}.")
    print(state.message)
    return 0


def _first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}."


def _quieten_run_logs() -> None:
    """Leave the failure to the last line, which the run's log would repeat three times; before Prefect is imported."""
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
    logging.getLogger("reelflow").setLevel(logging.CRITICAL)


def _print_outcomes(result: Any) -> None:
    from reelflow.errors import PublishFailed
    from reelflow.posts.report import PublishReport

    report = result.report if isinstance(result, PublishFailed) else result
    if isinstance(report, PublishReport):
        for warning in report.request.warnings:
            print(f"  warning: {warning}")
        for outcome in report.outcomes:
            print(f"  {outcome.account.label:32} {outcome.state:8} {outcome.link or outcome.detail}")


def _load_block(name: str) -> Any:
    from prefect.settings import PREFECT_API_URL

    from blocks import TaislyAccount
    from blocks.reference import load_saved
    from deployments.prefect_api import server_errors

    server = PREFECT_API_URL.value() or "Prefect's local server"
    try:
        with server_errors(server):
            found = load_saved(TaislyAccount, name)
    except RuntimeError as error:  # Prefect's own server for one process did not start
        raise ReelflowError(
            f"{server} did not start ({str(error).partition(chr(10))[0]}). "
            "Set PREFECT_API_URL to a server that is running."
        ) from None
    if found is None:
        raise InputError(
            f'There is no block "Taisly Account" named {name!r} on {server}. '
            "Create it in the UI under Blocks, or name another with --block: `reelflow doctor` lists them."
        )
    return found
