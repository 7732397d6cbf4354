"""What the ledger costs a publish on SQLite: every call of one, against a bare upload to the sandbox."""

import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.result import Result
from reelflow.ledger import Ledger
from reelflow.records.post_states import PostState
from reelflow.records.posts import Account, Outcome, PostRequest, Video

ROUNDS = 60
BOUND_MS = 20.0


def measure() -> list[Result]:
    """The median of 60 publishes to six accounts, from the claim to the last outcome, with every commit on disk."""
    accounts = [Account(id=str(n), platform="TikTok", name=f"@{n}") for n in range(6)]
    video = Video(
        path=Path("clip.mp4"), sha256="0" * 64, size_bytes=1, modified_ns=1, width=540, height=960, duration=3
    )
    times = []
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(f"sqlite:///{folder}/ledger.db")
        ledger.open_sends("warm")
        for n in range(ROUNDS):
            post = PostRequest(video=video, accounts=accounts, caption=str(n), scheduled_for=None, preview_second=0)
            start = time.perf_counter()
            ticket, _ = ledger.take_request("key", 1000)
            claim = ledger.claim(post, service="s", owner="o", flow_run=str(datetime.now(UTC)))
            send = claim.send_id or ""
            ledger.begin(send, "o")
            ledger.seal(send, "o")
            ledger.accepted(send, f"h{n}")
            ledger.finish_request(ticket or "")
            ledger.record_outcomes(send, [Outcome(account=a, state=PostState.SUCCESS) for a in accounts])
            ledger.outcomes(post, service="s")
            times.append((time.perf_counter() - start) * 1000)
        ledger.close()
    cost = statistics.median(times)
    return [
        Result(
            "the ledger's part of a publish to 6 accounts, SQLite",
            f"{cost:.1f} ms (slowest {max(times):.0f} ms)",
            f"below {BOUND_MS:.0f} ms",
            cost < BOUND_MS,
        )
    ]
