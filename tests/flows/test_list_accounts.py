"""list-accounts against a real Prefect server and the sandbox: what people copy into forms and blocks."""

from collections.abc import Iterator
from typing import Any

import pytest
from support.saved_blocks import delete_blocks
from support.seen import artifacts_of, logs_of, steps_of

from blocks import TaislyAccount, TikMatrixHost
from flows.list_accounts import list_accounts
from reelflow.sandbox.catalog import API_KEY

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture(autouse=True)
def taisly(server: str, sandbox: Any) -> Iterator[TaislyAccount]:
    delete_blocks()
    TaislyAccount(api_key=API_KEY, base_url=sandbox.taisly_url, plan="PRO").save("listed")
    yield TaislyAccount.load("listed")
    TaislyAccount.delete("listed")


@pytest.fixture
def host(sandbox: Any) -> Iterator[TikMatrixHost]:
    """A PC of which two phones are listed, one of them away."""
    phones = ["R58N01SANDBOX: ada.daily, ada.studio (Instagram)", "R58N99AWAY"]
    TikMatrixHost(base_url=sandbox.tikmatrix_url, phones=phones).save("desk")
    yield TikMatrixHost.load("desk")
    TikMatrixHost.delete("desk")


@pytest.fixture
def attic() -> Iterator[TikMatrixHost]:
    """A PC at the address that every such PC has, where nothing answers."""
    TikMatrixHost(base_url="http://127.0.0.1:9/api/v1", phones=["R58N01SANDBOX"]).save("attic")
    yield TikMatrixHost.load("attic")
    TikMatrixHost.delete("attic")


def _shown(state: Any) -> str:
    return str(artifacts_of(state)["markdown"].data)


def test_accounts_and_phones_stand_in_tables(taisly: TaislyAccount, host: TikMatrixHost) -> None:
    """With what is online and not listed, and how to list it; the key is nowhere."""
    state = list_accounts(taisly, return_state=True)

    shown = _shown(state)
    assert state.message == "Found 6 accounts, 998 of 1000 requests left in this hour, 21 phones (19 not listed)."
    assert "| TikTok @mara.bakes | 64f1c0de00000000000000a1 | TikTok |" in shown
    assert "| R58N01SANDBOX | online | yes | ada.daily, ada.studio on Instagram |" in shown
    assert "| R58N99AWAY | not online | yes | whichever account is logged in |" in shown
    assert "| R58N02SANDBOX | online | **no** |" in shown
    assert "add a row to 'Your phones' of the block desk: R58N02SANDBOX: username" in shown
    assert "Licence Pro, 20 phones at once." in shown
    assert "Taisly says about the API key: plan PRO, active." in shown
    assert API_KEY not in shown + logs_of(state)


def test_an_older_tikmatrix_says_that_it_does_not_tell(
    taisly: TaislyAccount, host: TikMatrixHost, sandbox: Any
) -> None:
    """Its phones are unknown."""
    sandbox.set_dialect(devices="not offered")

    shown = _shown(list_accounts(taisly, return_state=True))

    assert "This TikMatrix does not tell which phones are online." in shown
    assert "| R58N01SANDBOX | unknown | yes |" in shown


def test_a_pc_that_only_its_own_machine_reaches_fails_nothing(taisly: TaislyAccount, attic: TikMatrixHost) -> None:
    """Unless a person has chosen it."""
    every = list_accounts(taisly, return_state=True)
    chosen = list_accounts(taisly, attic, return_state=True)

    assert (every.is_completed(), chosen.is_failed()) == (True, True)
    assert "its own PC checks it" in _shown(every)
    assert chosen.message.startswith("attic: TikMatrix cannot be reached at http://127.0.0.1:9")
    assert "6 accounts" in chosen.message
    assert "TikTok @mara.bakes" in _shown(chosen)


def test_phones_are_shown_although_taisly_is_away(taisly: TaislyAccount, host: TikMatrixHost, sandbox: Any) -> None:
    """The run fails with what Taisly said, and its step is the red one."""
    sandbox.world.data.keys = []

    state = list_accounts(taisly, return_state=True)

    assert state.is_failed()
    assert state.message.startswith("Taisly does not accept the API key (401: Invalid API key). Check the API key.")
    assert "| R58N01SANDBOX | online | yes |" in _shown(state)
    assert {name: kind for name, (kind, _) in steps_of(state).items()} == {
        "list the accounts": "FAILED",
        "list the phones": "COMPLETED",
    }
