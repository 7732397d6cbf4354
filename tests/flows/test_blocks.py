"""Saved blocks that cannot be used: what is wrong with them is said with the field and the row."""

import uuid
from collections.abc import Iterator
from datetime import date, time
from typing import Any

import pytest
from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import BlockDocumentUpdate
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import SecretStr, ValidationError
from support.commands import reelflow
from support.failing_server import failing_server

from blocks import PostingSlots, TaislyAccount, TikMatrixHost
from blocks.reference import load_referred, load_saved, register_block_type
from flows.warm_up import warm_up_accounts
from reelflow.errors import InputError
from reelflow.ledger import Ledger
from reelflow.phones.form import WarmUpForm
from reelflow.time_zones import shown_zone
from tasks.upkeep.health import check_block

ROWS = ["A1: ada", "A2 ben"]


@pytest.fixture
def mistyped(server: str) -> Iterator[str]:
    """The name of posting slots that somebody has saved in the UI, whose form checks nothing."""
    name = f"mistyped-{uuid.uuid4().hex[:8]}"
    identity = PostingSlots(slots=["all: 18:00"]).save(name)
    with get_client(sync_client=True) as client:
        data = {"slots": ["all: 18:00", "TikTok Mon 12:00"], "closed_dates": ["24/12/2026"], "time_zone": "Berlin"}
        client.update_block_document(identity, BlockDocumentUpdate(data=data, merge_existing_data=False))
        yield name
        client.delete_block_document(identity)  # other tests' checks look at all blocks


@pytest.fixture
def broken(server: str, sandbox: Any) -> Iterator[str]:
    """The name of a TikMatrix block that somebody has saved in the UI, whose form checks nothing."""
    name = f"broken-{uuid.uuid4().hex[:8]}"
    identity = TikMatrixHost(phones=["A1"], base_url=sandbox.tikmatrix_url).save(name)
    with get_client(sync_client=True) as client:
        data = {"phones": ROWS, "time_zone": "Berlin", "base_url": sandbox.tikmatrix_url}
        client.update_block_document(identity, BlockDocumentUpdate(data=data, merge_existing_data=False))
        yield name
        client.delete_block_document(identity)


def test_a_block_type_whose_registration_lost_its_answer_is_registered(server: str) -> None:
    """Prefect's client sends the request again, which is refused: the type is there by then."""
    kind = type(f"Lost{uuid.uuid4().hex[:8]}", (Block,), {"__annotations__": {"key": SecretStr}})

    with failing_server(server, "/block_types/", lost=1) as api, temporary_settings({PREFECT_API_URL: api}):
        register_block_type(kind)

    assert kind(key="x").save("lost")  # type: ignore[call-arg]


def test_a_block_that_cannot_be_loaded_says_which_row_is_wrong(broken: str) -> None:
    """By name and as a run's parameters refer to it: every field, with what to do."""
    words = (
        "is not valid. Your phones: Row 2, 'A2 ben', cannot be read. Write a colon and a space after the serial: "
        "A2: ben. Time zone: Unknown time zone 'Berlin'. Did you mean Europe/Berlin? Correct it in the UI under Blocks."
    )

    for load in (
        lambda: load_saved(TikMatrixHost, broken),
        lambda: load_referred(TikMatrixHost, {"$ref": {"block_document_slug": f"tikmatrix-host/{broken}"}}),
    ):
        with pytest.raises(InputError) as refused:
            load()
        assert str(refused.value) == f"The block TikMatrix Host {broken!r} {words}"


def test_doctor_says_which_row_of_a_block_is_wrong(broken: str) -> None:
    """And nothing of validate=False."""
    done = reelflow("doctor", COLUMNS="300")

    (line,) = [line for line in done.stdout.splitlines() if broken in line]
    assert line.startswith("FAILED")
    assert "Row 2, 'A2 ben', cannot be read." in line
    assert "validate=False" not in done.stdout


def test_a_block_that_is_not_saved_is_none_or_said(server: str) -> None:
    """A command can name another; a run's block was removed."""
    assert load_saved(TaislyAccount, "never-saved") is None
    with pytest.raises(InputError, match="no longer exists"):
        load_referred(TaislyAccount, {"$ref": {"block_document_slug": "taisly-account/never-saved"}})


def test_a_run_says_which_row_of_its_block_is_wrong(broken: str) -> None:
    """In its state; Prefect's own words are "Failed to resolve block references in parameters"."""
    with get_client(sync_client=True) as client:
        document = client.read_block_document_by_name(broken, "tikmatrix-host")

    reference: Any = {"$ref": {"block_document_id": str(document.id)}}
    state: Any = warm_up_accounts(reference, WarmUpForm(devices=["A1"], dry_run=True), return_state=True)

    assert state.is_failed()
    assert "The block TikMatrix Host of this run is not valid. Your phones: Row 2, 'A2 ben', cannot be" in state.message


def test_a_run_whose_block_was_removed_says_so(server: str) -> None:
    reference: Any = {"$ref": {"block_document_slug": "tikmatrix-host/never-saved"}}

    state: Any = warm_up_accounts(reference, WarmUpForm(devices=["A1"], dry_run=True), return_state=True)

    assert state.is_failed()
    assert "A block that this run uses no longer exists. Choose another" in state.message


def test_posting_slots_are_saved_and_come_back_as_a_book(server: str) -> None:
    """With their limits; an empty row is ignored."""
    name = f"slots-{uuid.uuid4().hex[:8]}"
    PostingSlots(
        slots=["TikTok @mara: Mon-Fri 12:00 and 18:30", ""], time_zone="Europe/Berlin", posts_per_slot=2,
        posts_per_day=3, closed_dates=["2026-12-24 to 2026-12-25", ""], paused=True,
    ).save(name)  # fmt: skip

    saved: Any = load_saved(PostingSlots, name)

    (rule,) = saved.book.rules
    assert (rule.who, rule.times) == ("TikTok @mara", (time(12), time(18, 30)))
    assert saved.book.zone.key == "Europe/Berlin"
    assert (saved.book.per_slot, saved.book.per_day, saved.book.is_paused) == (2, 3, True)
    assert saved.book.closed == {date(2026, 12, 24), date(2026, 12, 25)}


def test_posting_slots_need_nothing_but_a_row() -> None:
    """They are in the zone in which all times are shown, one post each, on every day."""
    book = PostingSlots(slots=["all: 18:00"]).book

    assert book.zone == shown_zone()
    assert (book.per_slot, book.per_day, book.closed, book.is_paused) == (1, 0, frozenset(), False)


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"slots": []}, "slots", "at least 1 item"),
        ({"slots": [" "]}, "slots", "Add at least one row, such as: all: daily 18:00."),
        ({"slots": ["", "TikTok Mon 12:00"]}, "slots", "Row 2 of the slots ('TikTok Mon 12:00') has no ':'"),
        ({"closed_dates": ["24/12/2026"]}, "closed_dates", "Row 1 of the closed dates ('24/12/2026') cannot be read."),
        ({"time_zone": "Berlin"}, "time_zone", "Did you mean Europe/Berlin?"),
        ({"posts_per_slot": 0}, "posts_per_slot", "greater than or equal to 1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_with_posting_slots_is_said_at_its_field(values: dict[str, Any], field: str, words: str) -> None:
    """Before anything is saved."""
    with pytest.raises(ValidationError) as refused:
        PostingSlots(**{"slots": ["all: 18:00"], **values})

    (error,) = refused.value.errors()
    assert error["loc"] == (field,)
    assert words in error["msg"]


def test_posting_slots_that_cannot_be_loaded_say_which_row_is_wrong(mistyped: str) -> None:
    """Every field, with what to do."""
    with pytest.raises(InputError) as refused:
        load_saved(PostingSlots, mistyped)

    assert str(refused.value) == (
        f"The block Posting Slots {mistyped!r} is not valid. Slots: Row 2 of the slots ('TikTok Mon 12:00') has no ':' "
        "between the account and its times. Write a colon and a space after the account: TikTok: Mon 12:00. "
        "Time zone: Unknown time zone 'Berlin'. Did you mean Europe/Berlin? "
        "Closed dates: Row 1 of the closed dates ('24/12/2026') cannot be read. Write it like this: 2026-12-24, or "
        "2026-12-24 to 2026-12-26. Correct it in the UI under Blocks."
    )


def test_doctor_says_what_posting_slots_there_are(ledger: Ledger) -> None:
    """It has no service to ask."""
    slots = PostingSlots(slots=["all: 18:00", "", "TikTok: paused"], time_zone="Asia/Kathmandu")

    assert check_block(slots, ledger) == "2 rows of slots, in Asia/Kathmandu"
    assert check_block(slots.model_copy(update={"paused": True}), ledger).endswith("; paused")
