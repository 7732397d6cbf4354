"""Send a post to Taisly, once."""

import time
from datetime import UTC, datetime
from uuid import UUID

from prefect import get_run_logger
from prefect.artifacts import create_progress_artifact, update_progress_artifact

from blocks import TaislyAccount
from reelflow.errors import NothingSent, OutcomeUnknown
from reelflow.models import CheckedPost, SentPost
from tasks.step import step

PROGRESS_SECONDS = 2.0
"""Between two updates of the progress bar: each costs the server some 75 ms."""


@step("send {post.video.path.name} to {post.short_accounts}")
def send_post(taisly: TaislyAccount, post: CheckedPost) -> SentPost:
    """Upload the video and hand the post over. Never repeated: a lost answer may be a post that is out.

    Raises:
        NothingSent: Taisly did not get the post; starting the run again is safe.
        OutcomeUnknown: it may have. Look there before sending it again.
        Refused: it said no.
    """
    log = get_run_logger()
    sent_at = datetime.now(UTC)
    bar = UploadBar(f"Upload of {post.video.path.name}")
    try:
        with taisly.get_client() as client:
            accepted = client.create_post(
                post.video.path,
                [a.id for a in post.accounts],
                post.caption,
                preview_seconds=post.preview_second,
                scheduled=post.scheduled_for,
                progress=bar,
                expect=(post.video.size_bytes, post.video.modified_ns),
            )
    except NothingSent as error:
        error.message += " Nothing was posted: starting the run again is safe."
        raise
    except OutcomeUnknown as error:
        error.message += " The post may be out all the same. Look into the history in Taisly before you send it again."
        raise
    log.info("Taisly accepted the post: history id %s", accepted.history_id)
    return SentPost(history_id=accepted.history_id, sent_at=sent_at, scheduled_for=post.scheduled_for)


class UploadBar:
    """A progress artifact that is updated every few seconds; trouble with it never disturbs the upload."""

    def __init__(self, description: str) -> None:
        self._log = get_run_logger()
        self._shown_at = time.monotonic()
        self._id: UUID | None = None
        try:
            self._id = create_progress_artifact(progress=0.0, description=description)  # type: ignore[assignment]
        except Exception as error:  # noqa: BLE001 - a picture of the work, not the work
            self._log.warning("No progress can be shown: %s", error)

    def __call__(self, taken: int, total: int) -> None:
        """Show that `taken` of `total` bytes have left."""
        now = time.monotonic()
        if self._id is None or (taken < total and now - self._shown_at < PROGRESS_SECONDS):
            return
        self._shown_at = now
        try:
            update_progress_artifact(artifact_id=self._id, progress=100 * taken / total)
        except Exception as error:  # noqa: BLE001 - as above
            self._id = None
            self._log.warning("Progress can no longer be shown: %s", error)
