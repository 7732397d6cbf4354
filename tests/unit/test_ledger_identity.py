"""Which ledger it is, whether it lacks sends, and its move to another database; on SQLite and PostgreSQL."""

import contextlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.clock import Clock
from support.quota import take

from reelflow.errors import InputError, LedgerUnavailable
from reelflow.ledger import Ledger, move_ledger
from reelflow.ledger.schema import ledger as ledger_table
from reelflow.ledger.schema import metadata
from reelflow.records.post_states import PostState
from reelflow.records.posts import FoundPost, PostRequest

Post = Callable[..., PostRequest]
SERVICE = "https://taisly.test/api"


@pytest.fixture
def ledger(ledger_on_each: Ledger) -> Ledger:
    return ledger_on_each


@pytest.fixture
def other(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    """An empty one."""
    found = Ledger(f"sqlite:///{tmp_path / 'other.db'}", clock=clock)
    yield found
    found.close()


def _send(ledger: Ledger, post: PostRequest) -> str:
    claim = ledger.claim(post, service=SERVICE, owner="me", flow_run="run")
    assert claim.send_id is not None
    ledger.begin(claim.send_id, "me")
    ledger.accepted(claim.send_id, f"history of {post.caption}")
    return claim.send_id


def _content(ledger: Ledger) -> dict[str, list[Any]]:
    with ledger.engine().connect() as connection:
        return {
            table.name: sorted(tuple(row) for row in connection.execute(sa.select(table)))
            for table in metadata.sorted_tables
            if table is not ledger_table
        }


def test_every_ledger_has_an_identity_of_its_own(ledger: Ledger, other: Ledger, url: str) -> None:
    """Made with its tables, and the same for whoever opens it."""
    again = Ledger(url)

    assert ledger.identity() == again.identity()
    assert ledger.identity().id != other.identity().id
    assert len(ledger.identity().id) == 32
    again.close()


def test_a_ledger_that_lacks_sends_is_noticed_once(ledger: Ledger, checked: Post, clock: Clock) -> None:
    """It looks back then, and its number of sends goes on from where it was."""
    _send(ledger, checked("one"))
    assert ledger.expect_sends(1) == 0
    assert not ledger.has_to_look_back("key")

    missing = [ledger.expect_sends(3), ledger.expect_sends(3)]

    assert missing == [2, 0]
    assert (ledger.identity().sends, ledger.identity().lost_sends) == (3, 2)
    assert ledger.identity().is_looking_back
    assert ledger.has_to_look_back("key")
    ledger.store_found("key", SERVICE, [])
    assert not ledger.has_to_look_back("key")
    assert ledger.has_to_look_back("another key")
    _send(ledger, checked("two"))
    assert ledger.identity().sends == 4


def test_a_found_post_that_is_a_send_of_ours_after_all_is_not_kept(ledger: Ledger, checked: Post) -> None:
    """Its answer was lost, so its id was not known when the ledger looked back."""
    found = [FoundPost(f"history of {name}", name, ("a",), ("X",), at=1.0) for name in ("one", "two")]
    ledger.store_found("key", SERVICE, found)
    ledger.store_found("key", SERVICE, found)

    _send(ledger, checked("one"))

    assert ledger.found_posts(SERVICE) == found[1:]


def test_everything_is_moved(ledger: Ledger, other: Ledger, checked: Post, clock: Clock) -> None:
    """Row by row; the old ledger refuses then and says where it went, the new one goes on."""
    posts = [checked(f"post {n}") for n in range(3)]
    ids = [_send(ledger, post) for post in posts]
    ledger.store_found("key", SERVICE, [FoundPost("h", "found", ("a",), (), at=None)])
    take(ledger, "key", 50)
    before, calls = _content(ledger), list[str]()

    rows = move_ledger(ledger, other, commit=lambda: calls.append("commit"))

    assert calls == ["commit"]
    assert rows == sum(map(len, before.values())) > 15
    assert _content(other) == before
    assert other.identity().sends == 3
    assert [send.id for send, _ in other.sends(ids)] == ids
    with pytest.raises(LedgerUnavailable, match=r"was replaced by .*other.db and is not used any more"):
        ledger.claim(checked("late"), service=SERVICE, owner="me")
    reopened = Ledger(str(ledger.full_url))
    with pytest.raises(LedgerUnavailable, match="was replaced by"):
        reopened.open_sends(SERVICE)
    _send(other, checked("later"))


def test_a_ledger_goes_on_after_its_move_to_the_other_kind(ledger: Ledger, other: Ledger, checked: Post) -> None:
    """The numbers that the database gives out begin after those that were moved."""
    post = checked("one")
    _send(other, post)

    move_ledger(other, ledger, commit=lambda: None)

    _send(ledger, checked("two"))
    assert [o.state for o, _ in ledger.outcomes(post, service=SERVICE)] == [PostState.ACCEPTED] * 3


def test_nothing_is_moved_while_a_run_is_at_work(ledger: Ledger, other: Ledger, checked: Post, clock: Clock) -> None:
    """It would record what it does in the old one."""
    ledger.claim(checked("one"), service=SERVICE, owner="me")

    with pytest.raises(InputError, match="a run is active"):
        move_ledger(ledger, other, commit=lambda: None)
    clock.sleep(60)

    assert move_ledger(ledger, other, commit=lambda: None) > 0


def test_a_lease_from_before_the_clock_was_put_right_keeps_nobody_from_moving(
    ledger: Ledger, other: Ledger, checked: Post, clock: Clock
) -> None:
    """A run died while the clock was a month ahead."""
    clock.now += 30 * 86_400
    ledger.claim(checked(), service=SERVICE, owner="me")
    clock.now -= 30 * 86_400

    assert move_ledger(ledger, other, commit=lambda: None) > 0


def test_nothing_is_moved_onto_another_ledgers_content(ledger: Ledger, other: Ledger, checked: Post) -> None:
    """Nor onto itself."""
    _send(other, checked("two"))

    for target, why in ((other, "not empty"), (ledger, "in use already")):
        with pytest.raises(InputError, match=why):
            move_ledger(ledger, target, commit=lambda: None)

    _send(ledger, checked("one"))


def test_a_move_that_fails_leaves_the_old_ledger_in_use(ledger: Ledger, other: Ledger, checked: Post) -> None:
    """The copy stays: nobody knows whether a request to the server that failed had an effect."""
    post = checked("one")
    _send(ledger, post)

    def fail() -> None:
        raise LedgerUnavailable("no server")

    with pytest.raises(LedgerUnavailable, match="no server"):
        move_ledger(ledger, other, commit=fail)

    assert len(ledger.outcomes(post, service=SERVICE)) == len(other.outcomes(post, service=SERVICE)) == 3
    _send(ledger, checked("two"))


def test_a_file_that_is_not_there_is_known_before_it_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And its URL holds in every folder."""
    monkeypatch.chdir(tmp_path)
    ledger = Ledger("sqlite:///there.db")

    assert ledger.is_missing_file
    ledger.identity()
    assert not ledger.is_missing_file
    assert ledger.full_url == f"sqlite:///{tmp_path}/there.db"
    assert Ledger("postgresql://me:secret@db/x").full_url == "postgresql://me:secret@db/x"
    ledger.close()


def test_a_copy_that_was_put_back_lacks_the_sends_since(tmp_path: Path, clock: Clock, checked: Post) -> None:
    """The same identity, fewer sends."""
    file, backup = tmp_path / "ledger.db", tmp_path / "backup.db"
    ledger = Ledger(f"sqlite:///{file}", clock=clock)
    _send(ledger, checked("one"))
    with contextlib.closing(sqlite3.connect(file)) as source, contextlib.closing(sqlite3.connect(backup)) as copy:
        source.backup(copy)
    _send(ledger, checked("two"))
    before = ledger.identity()
    ledger.close()
    shutil.copy(backup, file)

    restored = Ledger(f"sqlite:///{file}", clock=clock)

    assert restored.identity().id == before.id
    assert restored.expect_sends(before.sends) == 1
    restored.close()
