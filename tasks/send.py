"""Send a post to Taisly, once."""

import time
from uuid import UUID

from prefect import get_run_logger
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.runtime import flow_run

from blocks import TaislyAccount
from reelflow import sending
from reelflow.models import CheckedPost, PostForm
from tasks.record import open_ledger
from tasks.step import step

PROGRESS_SECONDS = 2.0
"""Between two updates of the progress bar: each costs the server some 75 ms."""
LEAST_PATIENCE = 60.0
"""Seconds to wait for room in the plan, even where the outcome is not waited for."""


@step("send {post.video.path.name} to {post.short_accounts}")
def send_post(taisly: TaislyAccount, post: CheckedPost, form: PostForm) -> bool:
    """Send the post to every account that it was not sent to before; whether there was one.

    The task is not retried by Prefect. What may be repeated (Taisly was not reached, or is busy) is repeated inside,
    where it is certain that nothing was posted; a lost answer is looked for in the history.

    Raises:
        NothingSent: Taisly did not get the post; starting the run again is safe.
        LedgerUnavailable: the record of what was sent cannot be used.
        InputError: the file changed since it was checked.
    """
    bar = UploadBar(f"Upload of {post.video.path.name}")
    with taisly.get_metered(open_ledger()) as metered:
        sending.send_post(
            metered,
            post,
            repeat=form.repeat,
            flow_run=flow_run.id,
            patience=max(LEAST_PATIENCE, form.watch_minutes * 60),
            progress=bar,
        )
    return bar.used


class UploadBar:
    """A progress artifact that is updated every few seconds; trouble with it never disturbs the upload."""

    def __init__(self, description: str) -> None:
        self._log = get_run_logger()
        self._description = description
        self._shown_at = 0.0
        self._id: UUID | None = None
        self._broken = False
        self.used = False

    def __call__(self, taken: int, total: int) -> None:
        """Show that `taken` of `total` bytes have left."""
        self.used = True
        now = time.monotonic()
        if self._broken or (taken < total and now - self._shown_at < PROGRESS_SECONDS):
            return
        self._shown_at = now
        try:
            if self._id is None:
                self._id = create_progress_artifact(progress=0.0, description=self._description)  # type: ignore[assignment]
            update_progress_artifact(artifact_id=self._id, progress=100 * taken / total)  # type: ignore[arg-type]
        except Exception as error:  # noqa: BLE001 - a picture of the work, not the work
            self._broken = True
            self._log.warning("Progress cannot be shown: %s", error)
