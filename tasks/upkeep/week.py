"""Show the week: one artifact that is replaced each time, and files on request."""

import logging
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort
from prefect.exceptions import ObjectNotFound
from pydantic import ValidationError

from blocks import TaislyAccount
from reelflow.downloads.folder import Downloads, default_folder
from reelflow.ledger import Ledger
from reelflow.posts.of_client import PostsOfClient
from reelflow.records.clients import for_client
from reelflow.upkeep.form import WEEK, WeekForm
from reelflow.upkeep.week import Week, begin_of, make_week, records_since
from reelflow.upkeep.week_files import check_files, write_files
from reelflow.video.kept_fit import tidy_fits
from reelflow.video.kept_poster import forget_old_posters
from tasks.artifacts import show_markdown
from tasks.ledger import open_ledger
from tasks.phones.waiting import WaitingPhones, all_waiting_phones
from tasks.posts.clients import deleted_clients
from tasks.run_names import name_for_client
from tasks.step import Retry, step
from tasks.upkeep.questions import waiting_questions
from tasks.upkeep.week_page import summarize_week, week_page

log = logging.getLogger("reelflow.week")

KEY = "reelflow-week"
"""Of the artifact: its address in the UI is /artifacts/key/reelflow-week."""
_NOT_MADE = "The page of the week could not be made: %s"


@step("the week", retry=Retry.LEDGER)
def week_run_name() -> str:
    """The name of a run, with the client whose page it makes."""
    return name_for_client("the week")


def write_week(form: WeekForm, taisly: TaislyAccount | None = None) -> str:
    """Make the page and the files that the form names; returns a one-line summary. One client has a page of its own.

    Raises:
        InputError: a file cannot be written.
        LedgerUnavailable: the ledger cannot be read.
    """
    check_files(form)
    ledger = open_ledger()
    mine = None if taisly is None else PostsOfClient.of(ledger, taisly.client, taisly.fingerprint())
    week = read_week(ledger, form, mine)
    phones = all_waiting_phones(ledger) if mine is None else []
    summary = summarize_week(week, phones)
    if mine is None:
        lines = _lines(ledger, form, week, phones)
    else:
        lines = week_page(week, heading=for_client(mine.name, "The week"))
    key = KEY if taisly is None else f"{KEY}-{taisly.client}"
    try:
        _show(form, summary, lines, key)
        show_markdown([link_to_page(key)], summary)
    except Exception as error:  # noqa: BLE001 - a picture of the work, not the work
        log.warning(_NOT_MADE, error)
    forget_old_posters()
    Downloads(default_folder()).forget_old()
    tidy_fits()
    return " ".join([summary, *_written(write_files(form, week))])


def link_to_page(key: str = KEY) -> str:
    """A link to a page of the week from the page of any other artifact."""
    return f"[The page of the week](../../artifacts/key/{key})"


def _page(key: str) -> ArtifactFilter:
    return ArtifactFilter(key=ArtifactFilterKey(any_=[key]))


def refresh_week() -> None:
    """Update the page, as each campaign does at its end, for the days that it has.

    Never raises: what it shows has been done.
    """
    try:
        ledger, form = open_ledger(), _form_of_page()
        week = read_week(ledger, form)
        phones = all_waiting_phones(ledger)
        _show(form, summarize_week(week, phones), _lines(ledger, form, week, phones))
    except Exception as error:  # noqa: BLE001 - as above
        log.warning(_NOT_MADE, error)


def read_week(ledger: Ledger, form: WeekForm, mine: PostsOfClient | None = None) -> Week:
    """The week as the ledger has it now; questions of runs that have ended are closed first.

    Args:
        ledger: With the posts.
        form: How many days.
        mine: The one client whose posts are shown; questions, which name none, and what waits for deleted clients are
            then omitted.
    """
    questions, now = waiting_questions(ledger), ledger.now()
    records = ledger.recent_sends(records_since(form, now))
    if mine is not None:
        return make_week([record for record in records if mine.has(record[0])], form, now)
    return make_week(records, form, now, questions, deleted_clients(ledger))


def _lines(ledger: Ledger, form: WeekForm, week: Week, phones: list[WaitingPhones]) -> list[str]:
    return week_page(week, ledger.task_counts(begin_of(form, week.now)), phones)


def _show(form: WeekForm, summary: str, lines: list[str], key: str = KEY) -> None:
    """Make the page, which is no run's own: there it would be gone with the next version."""
    days = {name: str(value) for name, value in form.model_dump(include={"days_back", "days_ahead"}).items()}
    page = ArtifactCreate(key=key, type="markdown", data="\n".join(lines), description=summary, metadata_=days)
    with get_client(sync_client=True) as client:
        made = client.create_artifact(page).id
    remove_older(made, key)


def _form_of_page() -> WeekForm:
    """Of which days the page was made last; those of an empty form if there is none."""
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=_page(KEY), sort=ArtifactSort.CREATED_DESC, limit=1)
    try:
        return WeekForm.model_validate((found[0].metadata_ if found else None) or {})
    except ValidationError:  # made by another version
        return WEEK


def remove_older(made: UUID, key: str = KEY) -> None:
    """Delete the versions before this one; of two that are made at once, the later one stays.

    A version is up to a megabyte: one an hour would be 8 GB a year in the server's database.
    """
    try:
        with get_client(sync_client=True) as client:
            found = client.read_artifacts(artifact_filter=_page(key))
            times = {version.id: version.created for version in found if version.created is not None}
            for version, created in times.items():
                if made in times and created < times[made]:
                    with suppress(ObjectNotFound):  # another run was faster
                        client.delete_artifact(version)
    except Exception as error:  # noqa: BLE001 - the page is there; the next run deletes them
        log.warning("Older versions of the page could not be deleted: %s", error)


def _written(files: list[Path]) -> list[str]:
    return [f"Written: {', '.join(map(str, files))}."] if files else []
