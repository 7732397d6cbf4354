"""What the ledger costs a publish on SQLite: every call of one, against bare commits with Python's own sqlite3."""

import random
import sqlite3
import statistics
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.result import Result
from reelflow.ledger import Ledger
from reelflow.records.post_states import PostState
from reelflow.records.posts import Account, Outcome, PostRequest, Video
from reelflow.video.pictures import PICTURES

ROUNDS = 60
COMMITS = 8
"""Transactions of one publish; the rival makes as many, each with one row."""
BOUND = 15.0


def measure() -> list[Result]:
    """The medians of 60 rounds in turn, with every commit on disk: a publish to six accounts, and the bare commits."""
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder, closing(_bare(Path(folder) / "bare.db")) as bare:
        ledger = Ledger(f"sqlite:///{folder}/ledger.db")
        ledger.open_sends("warm")
        for number in range(ROUNDS):
            start = time.perf_counter()
            _publish(ledger, number)
            between = time.perf_counter()
            for _ in range(COMMITS):
                with bare:
                    bare.execute("INSERT INTO sends VALUES (?, ?)", (str(number), "CLAIMED"))
            ours.append((between - start) * 1000)
            theirs.append((time.perf_counter() - between) * 1000)
        ledger.close()
    mine, others = statistics.median(ours), statistics.median(theirs)
    return [
        Result(
            "the ledger's part of a publish to 6 accounts, SQLite, vs bare commits",
            f"{mine / others:.1f} times their time ({mine:.1f} ms vs {others:.1f} ms)",
            f"at most {BOUND:g} times",
            mine <= BOUND * others,
        )
    ]


def _bare(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE sends (id TEXT, state TEXT)")
    return connection


def _publish(ledger: Ledger, number: int) -> None:
    """Every call to the ledger that a publish makes. All videos have one length, so each is compared with all."""
    accounts = [Account(id=str(n), platform="TikTok", name=f"@{n}") for n in range(6)]
    pictures = tuple(random.Random(number).getrandbits(256) for _ in range(PICTURES))  # noqa: S311 - not secrets
    video = Video(
        path=Path("clip.mp4"), sha256=f"{number:064}", size_bytes=1, modified_ns=1, width=540, height=960, duration=15,
        pictures=pictures,
    )  # fmt: skip
    post = PostRequest(video=video, accounts=accounts, caption=str(number), scheduled_for=None, preview_second=0)
    ticket = ledger.take_request("key", "publish", lambda watched: 1000).ticket
    send = ledger.claim(post, service="s", owner="o", flow_run=str(datetime.now(UTC))).send_id or ""
    ledger.begin(send, "o")
    ledger.seal(send, "o")
    ledger.accepted(send, f"h{number}")
    ledger.finish_request(ticket or "")
    ledger.record_outcomes(send, [Outcome(account=a, state=PostState.SUCCESS) for a in accounts])
    ledger.outcomes(post, service="s")
