"""Where a post by the form stands among the uploads of its machine, against a real Prefect server."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow
from prefect.states import Scheduled
from support.waiting import until

from blocks import TaislyAccount
from flows.publish import publish_video
from reelflow.file_locks import lock
from reelflow.posts.form import PostForm
from reelflow.posts.upload_line import AT_ONCE, default_folder

pytestmark = pytest.mark.usefixtures("server")


def test_a_post_stands_where_its_submission_was(
    sandbox: Any, clip: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Before those that were submitted later, however long its process took to start."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))  # the line of this test alone
    taisly = TaislyAccount(api_key="taisly_sandbox", base_url=sandbox.taisly_url, plan="PRO", first_look_seconds=0.1)
    submitted = datetime.now(UTC) - timedelta(minutes=20)
    post = PostForm(video=str(clip("small.mp4")), accounts=["x"], watch_minutes=0.5)
    folder, values = default_folder(), {"taisly": taisly, "post": post}
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(publish_video, state=Scheduled(scheduled_time=submitted))
        run = client.read_flow_run(run.id)
    folder.mkdir(parents=True)

    with ThreadPoolExecutor(1) as pool, ExitStack() as taken:
        for number in range(AT_ONCE):
            file = lock(folder / f"turn-{number}")
            assert file is not None
            taken.enter_context(closing(file))
        running = pool.submit(copy_context().run, partial(run_flow, publish_video, run, values, return_type="state"))
        until("its place in the line", lambda: [*folder.glob("waiting/*")] or running.done())
        (place,) = folder.glob("waiting/*")
        taken.close()
        state: Any = running.result(60)

    assert place.name.split("-")[0] == f"{int(submitted.timestamp() * 1000):015d}"
    assert (state.name, len(sandbox.posts)) == ("Completed", 1), state.message
