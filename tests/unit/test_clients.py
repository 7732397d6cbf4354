"""Accounts that are named with their client: a run posts to the accounts of one client only."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.clock import Clock
from support.sandbox import SandboxWithClients

from reelflow.campaigns.inbox_owner import MARK, check_owner
from reelflow.errors import InputError, WrongClient
from reelflow.form_schema import accounts_to_choose
from reelflow.ledger import Ledger, key_fingerprint
from reelflow.posts.clients import Client
from reelflow.posts.of_client import check_same_client
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.records.alarms import cause_of
from reelflow.records.posts import Account, PostRequest

BREAD = Account(id="b1", platform="TikTok", name="@bread")
ROLLS = Account(id="b2", platform="Instagram", name="rolls, and more")
LATTE = Account(id="c1", platform="TikTok", name="@latte")
MINE = [BREAD, ROLLS]
BAKERY = Client("bakery", lambda: {"cafe": [LATTE], "kiosk": []})


@pytest.mark.parametrize(
    ("rows", "chosen"),
    [
        (["bakery: all"], MINE),
        (["all"], MINE),
        (["bakery: TikTok @bread"], [BREAD]),
        (["Bakery:  tiktok", "bakery: rolls, and more"], MINE),
        (["bakery: TikTok, bakery: Instagram"], MINE),
        (["TikTok: @bread"], [BREAD]),
        (["bakery: b2"], [ROLLS]),
    ],
)
def test_a_client_in_front_of_an_account_is_the_runs_own(rows: list[str], chosen: list[Account]) -> None:
    """With it or without it, an account is the same."""
    assert BAKERY.choose(rows, MINE) == chosen


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cafe: TikTok @latte", "'cafe: TikTok @latte' is an account of the client cafe, but this run is for bakery."),
        ("Cafe: all", "'Cafe: all' means the accounts of the client cafe, but this run is for bakery."),
        ("kiosk: all", "'kiosk: all' means the accounts of the client kiosk"),
        ("@latte", "'@latte' is an account of the client cafe, but this run is for bakery."),
        ("TikTok, c1", "'c1' is an account of the client cafe"),
    ],
)
def test_an_account_of_another_client_is_refused(name: str, words: str) -> None:
    """With whose it is, and what to choose."""
    with pytest.raises(WrongClient) as refused:
        BAKERY.choose([name], MINE)

    assert words in str(refused.value)
    assert "as 'Taisly account', or accounts of bakery: TikTok @bread, Instagram rolls, and more." in str(refused.value)


@pytest.mark.parametrize("name", ["bakkery: TikTok @bread", "gone: all", "bakery: YouTube"])
def test_a_client_that_nobody_is_means_no_account(name: str) -> None:
    """Never the run's own account in place of it."""
    with pytest.raises(InputError, match="No connected account matches"):
        BAKERY.choose([name], MINE)


def test_the_list_names_clients_only_where_there_are_several() -> None:
    """One client has the list that it always had."""
    assert accounts_to_choose({"bakery": ["TikTok @bread"]}, []) == ["all", "TikTok @bread"]
    assert accounts_to_choose({"bakery": ["TikTok @bread"], "cafe": []}, []) == [
        "bakery: all", "bakery: TikTok @bread", "cafe: all",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("clients", "before", "after"),
    [
        ({"a": None}, ["all", "X @a"], ["all", "X @a"]),
        ({"a": None}, ["a: all", "a: X @a", "b: all"], ["all", "X @a"]),
        ({"a": None, "b": ["X @b"]}, ["all", "X @a"], ["a: all", "b: all", "b: X @b"]),
        ({"a": None, "b": ["X @b"]}, ["a: all", "a: X @a", "b: all"], ["a: all", "a: X @a", "b: all", "b: X @b"]),
        ({}, ["a: all"], []),
    ],
)
def test_a_client_that_cannot_be_asked_keeps_what_the_form_offers(
    clients: dict[str, list[str] | None], before: list[str], after: list[str]
) -> None:
    """A form never offers an account under another client."""
    assert accounts_to_choose(clients, before) == after


def test_each_client_has_a_cause_of_its_own() -> None:
    """Else the message about one client's key would keep the other's waiting."""
    causes = {cause_of("run", "FAILED", "401", client) for client in ("bakery", "cafe", "main", "")}
    assert len(causes) == 3


@pytest.fixture
def two() -> Iterator[SandboxWithClients]:
    """A sandbox with two further Taisly accounts."""
    with SandboxWithClients(clients=["bakery", "cafe"], requests_per_hour=5) as sandbox:
        yield sandbox


def _client(sandbox: SandboxWithClients, ledger: Ledger, clock: Clock, name: str) -> RateLimitedTaisly:
    return sandbox.rate_limited(ledger, clock, key=sandbox.key_of(name), plan="STARTER")


def test_each_client_of_the_sandbox_has_accounts_and_a_quota_of_its_own(
    two: SandboxWithClients, ledger: Ledger, clock: Clock
) -> None:
    """One that has used up its plan keeps no other from working, here and at Taisly."""
    bakery, cafe = (_client(two, ledger, clock, name) for name in ("bakery", "cafe"))
    for _ in range(5):
        bakery.ask_accounts()
    mine, theirs = ({a.id for a in each.account_ids() and each.ask_accounts()} for each in (cafe, cafe))

    assert mine == theirs
    assert not mine & bakery.account_ids()
    last_hour = {client: quota["last_hour"] for client, quota in two.state["quota"].items()}
    assert last_hour == {"": 0, "bakery": 5, "cafe": 3}
    assert ledger.requests_in_last_hour(key_fingerprint(two.key_of("bakery"), two.taisly_url)) == 5


def test_an_inbox_is_one_clients_from_its_first_run_on(tmp_path: Path) -> None:
    """Also if a schedule of a client that came later names it; one of a client that is gone may be taken over."""
    check_owner(tmp_path, "bakery", ["bakery"], is_dry_run=True)
    untouched = list(tmp_path.iterdir())
    check_owner(tmp_path, "bakery", ["bakery"])
    check_owner(tmp_path, "bakery", ["bakery", "cafe"])
    with pytest.raises(InputError, match="is the inbox of the client bakery, and this run is for cafe"):
        check_owner(tmp_path, "cafe", ["bakery", "cafe"])

    check_owner(tmp_path, "kiosk", ["cafe", "kiosk"])
    assert (untouched, (tmp_path / MARK).read_text()) == ([], "kiosk")


@pytest.mark.parametrize("make", [Path.mkdir, lambda mark: mark.write_bytes(b"\xff\xfe")], ids=["folder", "no text"])
def test_an_inbox_whose_client_cannot_be_read_is_nobodys(tmp_path: Path, make: Callable[[Path], object]) -> None:
    """Nothing is sent, and the mark stays as it is."""
    make(tmp_path / MARK)

    with pytest.raises(InputError, match=f"the file {MARK} in it cannot be read"):
        check_owner(tmp_path, "cafe", ["cafe"])

    assert (tmp_path / MARK).is_dir() or (tmp_path / MARK).read_bytes() == b"\xff\xfe"


def test_an_account_that_was_connected_just_now_is_not_taken_for_another_clients(
    two: SandboxWithClients, ledger: Ledger, clock: Clock
) -> None:
    """Taisly is asked again before that is said; with another client in front there is nothing to ask."""
    bakery = _client(two, ledger, clock, "bakery")
    (new, *rest) = bakery.ask_accounts()
    ledger.remember_accounts(bakery.key, rest)
    bakery.whose = Client("bakery", lambda: {"cafe": [new]})

    found = bakery.choose_accounts([new.id])
    asked = two.state["quota"]["bakery"]["last_hour"]
    with pytest.raises(WrongClient):
        bakery.choose_accounts(["cafe: all"])

    assert found == [new]
    assert (asked, two.state["quota"]["bakery"]["last_hour"]) == (2, 2)


def test_a_run_whose_block_has_another_clients_key_by_now_goes_on_with_nothing(
    ledger: Ledger, checked: Callable[..., PostRequest]
) -> None:
    """Started again, "all" would mean that client's accounts. One account that is left is enough."""
    ledger.claim(checked(accounts=MINE), service="s", owner="me", flow_run="run", client="bakery")

    with pytest.raises(WrongClient, match="to accounts that the API key of bakery does not have"):
        check_same_client(ledger, "run", [LATTE], "bakery")

    check_same_client(ledger, "run", [LATTE, ROLLS], "bakery")
    check_same_client(ledger, "another run", [LATTE], "bakery")
