"""``reelflow publish``: start the flow publish_video from a terminal, in this process."""

from __future__ import annotations

import logging
import os
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from pydantic import ValidationError

from deployments.programs import QUIET, end
from reelflow.errors import InputError, ReelflowError

app = App(name="reelflow publish", help="Publish one video, and follow it until every platform has an outcome.")


@app.default
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
    block: str = "main",
) -> int:
    """Publish one video, and follow it until every platform has an outcome.

    Parameters
    ----------
    video
        The file: upright 9:16, 3 to 90 seconds, up to 500 MB.
    to
        An account by name, id or platform; may be given several times; 'all' for every connected one.
    caption
        The text of the post.
    at
        When Taisly publishes it, such as 2026-12-24T18:00+01:00; now, if left out.
    time_zone
        The zone of --at where it has none, such as Europe/Berlin.
    preview_second
        The moment that platforms show as the preview.
    watch_minutes
        How long to wait for the outcomes.
    dry_run
        Check everything, say what would be sent, and send nothing.
    block
        The name of the saved block "Taisly Account".
    """
    _settle_environment()
    from flows.publish import publish_video
    from reelflow.models import PostForm, PublishFailed, PublishReport

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
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}.") from None
    state = publish_video(_load_block(block), form, return_state=True)
    result = state.result(raise_on_failure=False)
    report = result.report if isinstance(result, PublishFailed) else result
    if isinstance(report, PublishReport):
        for outcome in report.outcomes:
            print(f"  {outcome.account.label:32} {outcome.state:8} {outcome.link or outcome.detail}")
    if not state.is_completed():
        raise ReelflowError(state.message or f"The run ended as {state.name}.")
    print(state.message)
    return 0


def _settle_environment() -> None:
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    # What went wrong is said in one line at the end; the run's own log lines would say it three times more.
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
    logging.getLogger("reelflow").setLevel(logging.CRITICAL)


def _load_block(name: str) -> Any:
    import httpx
    from prefect.exceptions import PrefectHTTPStatusError
    from prefect.settings import PREFECT_API_URL

    from blocks import TaislyAccount

    server = PREFECT_API_URL.value() or "the Prefect server of this machine"
    try:
        return TaislyAccount.load(name)
    except (httpx.HTTPError, PrefectHTTPStatusError, RuntimeError) as error:
        words = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ReelflowError(
            f"{server} does not answer ({words}). Start it, or set PREFECT_API_URL to one that runs."
        ) from None
    except ValueError:
        raise InputError(
            f'There is no block "Taisly Account" named {name!r} on {server}. '
            "Create it in the UI under Blocks, or name another with --block."
        ) from None


if __name__ == "__main__":
    end(lambda: app(result_action="return_value") or 0)
