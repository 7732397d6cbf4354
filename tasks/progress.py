"""A progress bar in the run, for work that takes its time."""

import time
from uuid import UUID

from prefect import get_run_logger
from prefect.artifacts import create_progress_artifact, update_progress_artifact

PROGRESS_SECONDS = 2.0
"""Between two updates: each costs the server some 75 ms."""


class ProgressBar:
    """A progress artifact that is updated every few seconds; trouble with it never disturbs the work."""

    def __init__(self, description: str) -> None:
        self._log = get_run_logger()
        self._description = description
        self._shown_at = 0.0
        self._shown = -1
        self._id: UUID | None = None
        self._broken = False
        self.used = False

    def __call__(self, done: int, total: int) -> None:
        """Show that `done` of `total` are done."""
        self.used = True
        now = time.monotonic()
        if self._broken or done == self._shown or (done < total and now - self._shown_at < PROGRESS_SECONDS):
            return
        self._shown_at, self._shown = now, done
        try:
            if self._id is None:
                self._id = create_progress_artifact(progress=0.0, description=self._description)  # type: ignore[assignment]
            update_progress_artifact(artifact_id=self._id, progress=100 * done / max(1, total))  # type: ignore[arg-type]
        except Exception as error:  # noqa: BLE001 - a picture of the work, not the work
            self._broken = True
            self._log.warning("Progress cannot be shown: %s", error)
