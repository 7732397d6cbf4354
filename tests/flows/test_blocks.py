"""Saved blocks that cannot be used: what is wrong with them is said with the field and the row."""

import uuid
from typing import Any

import pytest
from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import BlockDocumentUpdate
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import SecretStr
from support.commands import reelflow
from support.failing_server import failing_server

from blocks import TaislyAccount, TikMatrixHost
from blocks.reference import load_referred, load_saved, register_block_type
from flows.warm_up import warm_up_accounts
from reelflow.errors import InputError
from reelflow.phones.form import WarmUpForm

ROWS = ["A1: ada", "A2 ben"]


@pytest.fixture
def broken(server: str, sandbox: Any) -> str:
    """The name of a TikMatrix block that somebody has saved in the UI, whose form checks nothing."""
    name = f"broken-{uuid.uuid4().hex[:8]}"
    identity = TikMatrixHost(phones=["A1"], base_url=sandbox.tikmatrix_url).save(name)
    with get_client(sync_client=True) as client:
        data = {"phones": ROWS, "time_zone": "Berlin", "base_url": sandbox.tikmatrix_url}
        client.update_block_document(identity, BlockDocumentUpdate(data=data, merge_existing_data=False))
    return name


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
