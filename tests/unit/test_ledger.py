"""The ledger on SQLite, and on PostgreSQL where that is installed: the same tests for both."""

import contextlib
import platform
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.clock import Clock
from support.journal import journal_of
from support.quota import take
from support.race import at_once

from reelflow.errors import ClaimLost, InputError, LedgerUnavailable
from reelflow.ledger import Ledger, default_url, key_fingerprint
from reelflow.ledger.schema import metadata
from reelflow.records.post_states import PostState
from reelflow.records.posts import Outcome, PostRequest

Post = Callable[..., PostRequest]
SERVICE = "https://taisly.test/api"


@pytest.fixture
def ledger(ledger_on_each: Ledger) -> Ledger:
    return ledger_on_each


def _claim(ledger: Ledger, post: PostRequest, owner: str = "me") -> tuple[str | None, int, int]:
    claim = ledger.claim(post, service=SERVICE, owner=owner, flow_run="run")
    return claim.send_id, len(claim.accounts), len(claim.waiting)


def _states(ledger: Ledger, post: PostRequest) -> list[PostState]:
    return [o.state for o, _ in ledger.outcomes(post, service=SERVICE)]


def test_only_one_of_many_gets_a_claim(url: str, clock: Clock, checked: Post) -> None:
    """Eight at once, each with a connection of its own: every destination is claimed exactly once."""
    post, ledgers = checked(), [Ledger(url, clock=clock) for _ in range(8)]

    got = at_once(8, lambda n: ledgers[n].claim(post, service=SERVICE, owner=str(n)))

    for each in ledgers:
        each.close()
    assert sorted(len(c.accounts) for c in got) == [0] * 7 + [3]
    assert all(c.waiting for c in got if not c.accounts)


def test_what_was_sent_is_not_claimed_again(ledger: Ledger, checked: Post) -> None:
    """The same video, caption, account and time: once. A number more, another caption or time: a new post."""
    post = checked()
    first, _, _ = _claim(ledger, post)
    assert first is not None
    ledger.begin(first, "me")
    ledger.accepted(first, "h1")

    assert _claim(ledger, post) == (None, 0, 0)
    assert _claim(ledger, post.model_copy(update={"repeat": 1}))[1] == 3
    assert _claim(ledger, checked("other"))[1] == 3


def test_only_the_accounts_that_are_new_are_claimed(ledger: Ledger, checked: Post) -> None:
    """To A, then to A and B: the second claim is for B."""
    both = checked()
    one = both.model_copy(update={"accounts": both.accounts[:1]})
    first, _, _ = _claim(ledger, one)
    ledger.accepted(first or "", "h1")

    claim = ledger.claim(both, service=SERVICE, owner="me")

    assert [a.id for a in claim.accounts] == sorted(a.id for a in both.accounts[1:])
    assert _states(ledger, both) == [PostState.ACCEPTED, PostState.CLAIMED, PostState.CLAIMED]


@pytest.mark.parametrize("begun", [False, True])
def test_a_dead_claim_is_taken_over_after_its_lease(ledger: Ledger, checked: Post, clock: Clock, begun: bool) -> None:
    """Before the upload was complete nothing can be out; its old holder then sends nothing."""
    post = checked()
    dead, _, _ = _claim(ledger, post, "dead")
    assert dead is not None
    if begun:
        ledger.begin(dead, "dead")
    assert _claim(ledger, post, "next")[1:] == (0, 1)
    clock.sleep(ledger.lease_seconds + 1)

    assert _claim(ledger, post, "next")[1] == 3

    for action in (ledger.begin, ledger.seal, ledger.renew):
        with pytest.raises(ClaimLost):
            action(dead, "dead")


def test_a_sealed_send_is_never_taken_over(ledger: Ledger, checked: Post, clock: Clock) -> None:
    """Its post may be out: only the history or a person can say."""
    post = checked()
    send, _, _ = _claim(ledger, post)
    assert send is not None
    ledger.begin(send, "me")
    ledger.seal(send, "me")
    clock.sleep(10_000)

    assert _claim(ledger, post, "next") == (None, 0, 0)
    assert _states(ledger, post) == [PostState.SENDING] * 3


@pytest.mark.parametrize(
    ("end", "again"),
    [(PostState.REFUSED, 3), (PostState.CANCELLED, 3), (PostState.UNCONFIRMED, 0), (PostState.SUCCESS, 0)],
)
def test_what_is_certainly_not_out_may_be_sent_again(ledger: Ledger, checked: Post, end: PostState, again: int) -> None:
    """A refused or cancelled post leaves nothing behind; anything else is not repeated by itself."""
    post = checked()
    send, _, _ = _claim(ledger, post)
    assert send is not None
    ledger.begin(send, "me")
    if end in (PostState.CANCELLED, PostState.SUCCESS):
        ledger.accepted(send, "h1")
    ledger.settle(send, end, "because")

    assert _states(ledger, post) == [end] * 3
    assert _claim(ledger, post)[1] == again


def test_outcomes_are_recorded_once_and_the_journal_keeps_all(ledger: Ledger, checked: Post) -> None:
    """A later look cannot change an outcome; everything seen can be read again."""
    post = checked()
    send, _, _ = _claim(ledger, post)
    assert send is not None
    ledger.begin(send, "me")
    ledger.seal(send, "me")
    ledger.accepted(send, "h1")
    one, two, _ = post.accounts
    said = [
        Outcome(account=one, state=PostState.SUCCESS, link="https://t/1"),
        Outcome(account=two, state=PostState.PENDING),
    ]

    assert ledger.record_outcomes(send, said) == said[:1]
    assert ledger.record_outcomes(send, [Outcome(account=one, state=PostState.FAILED, detail="no")]) == []

    assert _states(ledger, post) == [PostState.SUCCESS, PostState.ACCEPTED, PostState.ACCEPTED]
    journal = journal_of(ledger, send)
    assert [row["state"] for row in journal] == ["CLAIMED", "SENDING", "SENDING", "ACCEPTED", "SUCCESS"]
    assert {row["flow_run"] for row in journal} == {"run"}
    assert ledger.owned_history_ids(SERVICE, ["h1", "h2"]) == {"h1"}


def test_a_late_answer_does_not_change_what_a_person_has_settled(ledger: Ledger, checked: Post) -> None:
    post = checked()
    send, _, _ = _claim(ledger, post)
    assert send is not None
    ledger.begin(send, "me")
    ledger.settle(send, PostState.UNCONFIRMED, "answer lost")
    ledger.settle(send, PostState.SUCCESS, "confirmed by a person")

    ledger.accepted(send, "h1")

    assert _states(ledger, post) == [PostState.SUCCESS] * 3
    assert journal_of(ledger, send)[-1]["reason"] == "confirmed by a person"


def test_accounts_that_nobody_has_sent_to_are_not_on_record(ledger: Ledger, checked: Post) -> None:
    both = checked()
    _claim(ledger, both.model_copy(update={"accounts": both.accounts[:1]}))

    assert _states(ledger, both) == [PostState.CLAIMED]


def test_the_quota_holds_in_any_hour_for_everybody(ledger: Ledger, clock: Clock) -> None:
    """Not two hours' worth around the turn of an hour, as a full token bucket would allow."""
    key, granted = key_fingerprint("k", SERVICE), []
    for _ in range(4 * 3600 // 30):
        turn = take(ledger, key, 50)
        if turn.ticket:
            granted.append(clock.now)
            ledger.finish_request(turn.ticket)
        else:
            assert turn.wait > 0
        clock.sleep(30)

    busiest = max(sum(at <= other < at + 3600 for other in granted) for at in granted)

    assert busiest == 50
    assert len(granted) > 150


def test_a_429_rests_the_key_for_everybody(ledger: Ledger, clock: Clock) -> None:
    """Until it is over; a shorter one does not shorten it."""
    ledger.block_key("k", 100)
    ledger.block_key("k", 10)

    assert take(ledger, "k", 50)[:3] == (None, pytest.approx(100), True)
    assert take(ledger, "other", 50).ticket
    clock.sleep(101)
    assert take(ledger, "k", 50).ticket


def test_there_is_one_reader_and_it_is_replaced_when_it_is_gone(ledger: Ledger, clock: Clock) -> None:
    """By lease; or at once when it says so."""
    assert ledger.become_reader("k", "a", 60)[0]
    assert not ledger.become_reader("k", "b", 60)[0]
    clock.sleep(61)
    assert ledger.become_reader("k", "b", 60)[0]
    ledger.stop_reading("k", "b")
    assert ledger.become_reader("k", "a", 60)[0]


def test_the_migrations_make_the_schema_that_the_code_expects(ledger: Ledger, url: str, checked: Post) -> None:
    """Column by column; and a second start changes nothing, neither the tables nor what is in them."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    def differences() -> list[Any]:
        with ledger.engine().connect() as connection:
            found = compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)
        return [d for d in found if not (d[0] == "remove_table" and d[1].name == "alembic_version")]

    post = checked()
    _claim(ledger, post)
    first = differences()
    second = Ledger(url)

    assert first == differences() == []
    assert _states(second, post) == [PostState.CLAIMED] * 3
    second.close()


def test_two_processes_may_start_on_a_new_ledger_at_once(url: str, checked: Post, clock: Clock) -> None:
    """One makes the schema, the others wait for it."""
    ledgers = [Ledger(url, clock=clock) for _ in range(4)]

    found = at_once(4, lambda n: ledgers[n].open_sends(SERVICE))

    for each in ledgers:
        each.close()
    assert found == [[]] * 4


def test_many_may_open_a_new_sqlite_ledger_at_once(tmp_path: Path) -> None:
    """The switch to write-ahead logging is not covered by SQLite's busy timeout: it failed in every tenth round."""
    for round_ in range(20):
        ledgers = [Ledger(f"sqlite:///{tmp_path}/{round_}.db") for _ in range(8)]

        found = at_once(8, lambda n, ledgers=ledgers: ledgers[n].open_sends(SERVICE))  # type: ignore[misc]

        for each in ledgers:
            each.close()
        assert found == [[]] * 8


def test_threads_that_open_one_ledger_at_once_share_its_connections(url: str) -> None:
    """Opened twice, the connections of one would never be closed."""
    ledger = Ledger(url)

    found = at_once(4, lambda _: ledger.engine())

    ledger.close()
    assert {id(engine) for engine in found} == {id(found[0])}


def test_a_ledger_that_cannot_be_used_is_said_in_one_line(tmp_path: Path, checked: Post) -> None:
    """No file system error, no SQL in it; where it is and what to do."""
    blocked = tmp_path / "file"
    blocked.write_text("")

    with pytest.raises(LedgerUnavailable, match="Nothing is sent without it") as caught:
        Ledger(f"sqlite:///{blocked}/ledger.db").claim(checked(), service=SERVICE, owner="me")

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense", "sqlite://", "sqlite:///:memory:"])
def test_another_kind_of_ledger_is_refused(url: str) -> None:
    """With the variable that names it."""
    with pytest.raises(InputError, match="REELFLOW_LEDGER_URL"):
        Ledger(url).open_sends(SERVICE)


def test_a_url_with_the_password_of_a_key_is_refused() -> None:
    """There is no place in a URL where it would be hidden."""
    with pytest.raises(InputError, match="sslpassword") as refused:
        Ledger("postgresql://me@db/reelflow?sslpassword=secret")

    assert "secret" not in str(refused.value)


def test_a_read_only_ledger_is_said_in_one_line(tmp_path: Path) -> None:
    """As SQLite's own URL has it; nothing in it can be written, not even that it is read and written at once."""
    path = tmp_path / "ledger.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE one (id INTEGER)")

    with pytest.raises(LedgerUnavailable, match=r"attempt to write a readonly database.* Nothing is sent without it"):
        Ledger(f"sqlite:///file:{path}?mode=ro&uri=true").open_sends(SERVICE)


def test_a_new_ledger_waits_for_the_process_that_opens_it_too(tmp_path: Path) -> None:
    """The other one holds the file's lock; nothing fails for that."""
    path = tmp_path / "ledger.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("CREATE TABLE one (id INTEGER)")
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(0.1, other.rollback).start()
        ledger = Ledger(f"sqlite:///{path}")

        assert ledger.open_sends(SERVICE) == []
    ledger.close()


def test_a_connection_lost_before_the_commit_is_said_in_one_line(ledger: Ledger) -> None:
    with pytest.raises(LedgerUnavailable, match="Nothing is sent without it"), ledger.transaction() as connection:
        connection.connection.driver_connection.close()  # type: ignore[union-attr]


def test_a_damaged_ledger_is_said_in_one_line(ledger: Ledger) -> None:
    """Here without one of its tables."""
    with ledger.engine().begin() as connection:
        connection.execute(sa.text("DROP TABLE destinations"))

    with pytest.raises(LedgerUnavailable, match="Nothing is sent without it") as caught:
        ledger.open_sends(SERVICE)

    assert "\n" not in str(caught.value)


def test_a_ledger_from_the_future_is_not_touched(ledger_url: str, clock: Clock) -> None:
    """An older reelflow must not write what it does not understand. It says on which machine it is."""
    first = Ledger(ledger_url, clock=clock)
    with first.engine().begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    first.close()

    with pytest.raises(InputError, match="newer version of reelflow") as refused:
        Ledger(ledger_url).open_sends(SERVICE)

    assert f"Nothing was sent. Update reelflow on this machine ({platform.node()})" in str(refused.value)


@pytest.mark.parametrize("url", [
    "postgresql://me:secret@db/reelflow",
    "postgresql://me@db/reelflow?password=secret&sslmode=prefer",
    "postgresql://me:other@db/reelflow?password=other&password=secret",
])  # fmt: skip
def test_a_password_in_the_url_is_used_and_not_shown(url: str) -> None:
    """Neither as the place nor in the repr, wherever the URL has it."""
    ledger = Ledger(url)

    assert "secret" not in ledger.place + repr(ledger)
    assert "other" not in ledger.place
    assert ledger.full_url.startswith("postgresql://me:secret@db/reelflow")


def test_the_default_is_the_users_own_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless REELFLOW_LEDGER_URL says otherwise."""
    monkeypatch.setenv("REELFLOW_LEDGER_URL", "")

    assert default_url().endswith("reelflow/ledger.db")


def test_recent_sends_are_those_of_some_days_and_all_that_wait(ledger: Ledger, clock: Clock, checked: Post) -> None:
    """An old post without an outcome is listed however old it is; an old one that is out is not."""
    ids = {}
    for name in ("out", "open", "unconfirmed"):
        ids[name] = str(_claim(ledger, checked(name))[0])
        ledger.begin(ids[name], "me")
        ledger.accepted(ids[name], f"history of {name}")
    ledger.settle(ids["out"], PostState.SUCCESS, "")
    ledger.settle(ids["unconfirmed"], PostState.UNCONFIRMED, "why")
    clock.sleep(10 * 86400)
    ids["new"] = str(_claim(ledger, checked("new"))[0])

    found = [send.id for send, _ in ledger.recent_sends(ledger.now() - 7 * 86400)]

    assert found == [ids["open"], ids["unconfirmed"], ids["new"]]
    assert len(ledger.recent_sends(0)) == 4


def test_who_reads_waits_for_no_writer(ledger: Ledger, checked: Post) -> None:
    """A campaign's threads look at the ledger many times for each post: they read the last commit."""
    post = checked()
    with ledger.transaction() as connection:
        connection.execute(sa.text("UPDATE ledger SET lost_sends = lost_sends + 1"))

        lost, claimable = at_once(
            2, lambda n: ledger.claimable(post, service=SERVICE) if n else ledger.identity().lost_sends
        )

    assert (lost, claimable) == (0, post.accounts)
    assert ledger.identity().lost_sends == 1
