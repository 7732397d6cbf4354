"""The artifacts of a run: Markdown reports, tables and a progress bar. A failure here never fails the run."""

import base64
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from prefect import get_run_logger
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    update_progress_artifact,
)
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterKey,
    ArtifactFilterType,
)
from prefect.runtime import flow_run

from reelflow.records.posts import Send
from reelflow.wording import one_line
from tasks.progress import tell_progress

LONGEST_TEXT = 10_000
"""Characters: a caption and the summary of many accounts are shown whole."""
MOST_BYTES = 900_000
"""Of a report that grows with its posts. The server stores two copies, and the UI loads it whole."""
PROGRESS_SECONDS = 2.0
"""Between two updates: each costs the server some 75 ms."""


def show_markdown(lines: Sequence[str], description: str) -> UUID | None:
    """Show a report. It has no key: with one, a list of versions would stand between it and the run.

    Returns its ID; None if it could not be saved.

    Tables are Markdown too: Prefect's own table artifact cuts long cells off.
    """
    try:
        return create_markdown_artifact(markdown="\n".join(lines), description=description)  # type: ignore[return-value]
    except Exception as error:  # noqa: BLE001 - the work is done, whatever happens to its picture
        get_run_logger().warning("The report could not be saved: %s", error)
        return None


def show_live(lines: Sequence[str], description: str) -> None:
    """Show a report in place of the one that this run has shown so, also before it was suspended: the same artifact."""
    run, text = flow_run.id, "\n".join(lines)
    try:
        with get_client(sync_client=True) as client:
            if run not in _live:
                own = ArtifactFilter(
                    flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(str(run))]),
                    type=ArtifactFilterType(any_=["markdown"]),
                    key=ArtifactFilterKey(exists_=False),
                )
                found = client.read_artifacts(artifact_filter=own, limit=1)
                _live[run] = found[0].id if found else None
            if (shown := _live[run]) is not None:
                client.update_artifact(shown, ArtifactUpdate(data=text, description=description))
                return
        _live[run] = show_markdown(lines, description)
    except Exception as error:  # noqa: BLE001 - as above
        get_run_logger().warning("The report could not be updated: %s", error)
        show_markdown(lines, description)


_live: dict[str | None, UUID | None] = {}
"""The artifacts that runs of this process keep up to date, by run."""


def client_column(sends: Iterable[Send]) -> dict[str, list[str]]:
    """The column "Client" of a table with a row for each of these sends; none if all are for the usual one."""
    names = [plain_text(send.shown_client) for send in sends]
    return {"Client": names} if any(names) else {}


def table(columns: Mapping[str, Sequence[str]]) -> list[str]:
    """The lines of a Markdown table. Cells are Markdown: text from outside goes through `plain_text` first."""
    shown = {name: cells for name, cells in columns.items() if any(cells)}  # an empty column only takes room
    rows = zip(*shown.values(), strict=True)
    return [f"| {' | '.join(shown)} |", "|" + "---|" * len(shown), *(f"| {' | '.join(row)} |" for row in rows)]


def bullets(title: str, lines: Sequence[str]) -> list[str]:
    """A titled list of plain lines; nothing where there are none."""
    return ["", title, "", *(f"- {plain_text(line)}" for line in lines), ""] if lines else []


def plain_text(text: str) -> str:
    """Text from outside as plain text inside Markdown and its tables, on one line."""
    text = one_line(text, LONGEST_TEXT)
    for character in "\\`*_[]<>|#":
        text = text.replace(character, f"\\{character}")
    return text


def code_span(text: str, longest: int = LONGEST_TEXT) -> str:
    """A name or an ID, to be copied; also inside a table."""
    return f"`{re.sub('[`|<>]', '', one_line(text, longest))}`"


def link(url: str, text: str) -> str:
    """A link, if the address is one that Markdown takes as it is; otherwise the address as plain text."""
    if not url.startswith("https://") or any(character in url for character in " |<>()[]\n"):
        return plain_text(url)
    return f"[{plain_text(text)}]({url})"


def picture(jpeg: bytes, width: int) -> str:
    """A picture below the text of a table's cell, so many pixels wide."""
    return f'<br><img src="data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}" width="{width}">'


class ProgressBar:
    """A progress artifact that is updated every few seconds."""

    def __init__(self, description: str) -> None:
        self._log = get_run_logger()
        self._description = description
        self._shown_at = 0.0
        self._shown = -1
        self._id: UUID | None = None
        self._broken = False

    def __call__(self, done: int, total: int) -> None:
        """Show that `done` of `total` are done."""
        tell_progress(self._description, done, total)
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
            self._log.warning("The progress bar could not be updated: %s", error)
