"""check-connections against a real Prefect server: what fails it, what is a warning, and what it does besides."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prefect.variables import Variable
from support.saved_blocks import delete_blocks
from support.seen import artifacts_of, logs_of

from blocks import TaislyAccount, TikMatrixHost
from flows.connections import check_connections
from flows.finish_phones import finish_phone_tasks
from reelflow.records.post_states import PostState
from reelflow.records.posts import PostRequest
from tasks.choices import VIDEOS_VARIABLE
from tasks.ledger import open_ledger

pytestmark = pytest.mark.usefixtures("server")
NOBODY = "http://127.0.0.1:9/api/v1"


@pytest.fixture(autouse=True)
def taisly(server: str, sandbox: Any) -> Iterator[TaislyAccount]:
    """The only block that is saved."""
    delete_blocks()
    block = TaislyAccount(api_key="taisly_sandbox", base_url=sandbox.taisly_url, plan="PRO")
    block.save("checked", overwrite=True)
    yield block
    TaislyAccount.delete("checked")


@pytest.fixture
def away() -> Iterator[TikMatrixHost]:
    """A PC with phones at the address that every such PC has, where nothing answers."""
    block = TikMatrixHost(base_url=NOBODY, phones=["R58N01SANDBOX"])
    block.save("attic", overwrite=True)
    yield block
    TikMatrixHost.delete("attic")


def test_what_waits_for_a_person_is_a_warning(checked: Callable[..., PostRequest]) -> None:
    """It rang when it happened: failing again each hour would be a second stream of alarms about one cause."""
    ledger = open_ledger()
    send_id = ledger.claim(checked(), service="s", owner="me").send_id or ""
    ledger.begin(send_id, "me")
    ledger.seal(send_id, "me")
    ledger.settle(send_id, PostState.UNCONFIRMED, "lost")

    state = check_connections(return_state=True)

    assert state.is_completed(), state.message
    assert "1 unconfirmed post waiting for you (run resolve-post)" in str(state.message)
    assert "**warning**" in artifacts_of(state)["markdown"].data


def test_tikmatrix_on_another_pc_is_a_warning(away: TikMatrixHost) -> None:
    """Its address is that of the machine that asks, so only its own PC can tell whether it works."""
    state = check_connections(return_state=True)

    assert state.is_completed(), state.message
    assert f"{NOBODY} is not reachable from this machine; its own PC checks it" in str(state.message)


def test_a_pc_whose_tikmatrix_is_away_says_so_itself(away: TikMatrixHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """Although nothing is open there."""
    monkeypatch.setenv("REELFLOW_RETRY_SECONDS", "0.1")

    state = finish_phone_tasks(away, return_state=True)

    assert state.is_failed()
    assert "TikMatrix" in str(state.message)


def test_forms_that_cannot_be_refreshed_hide_no_failed_check() -> None:
    """Such as with a folder of videos that makes no sense; the log has a line about it."""
    TaislyAccount(api_key="taisly_sandbox", base_url="http://127.0.0.1:9/api").save("gone", overwrite=True)
    Variable.set(VIDEOS_VARIABLE, "~nobody-of-this-name/videos", overwrite=True)
    try:
        state = check_connections(return_state=True)
    finally:
        Variable.unset(VIDEOS_VARIABLE)
        TaislyAccount.delete("gone")

    assert state.is_failed()
    assert "Taisly Account 'gone'" in str(state.message)
    assert "The lists of the forms stay as they are" in logs_of(state)
