"""Requests to Taisly per published video with 100 posts in flight, against a look per post as the official SDK does.

Counted by the sandbox, whose posts take 4 to 15 s (`realtime`).
"""

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.result import Result
from benchmarks.sandbox import running_sandbox
from reelflow.ledger import Ledger
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.posts.requests import read_video
from reelflow.posts.sending import send_post
from reelflow.posts.watching import watch_posts
from reelflow.records.post_states import PostState
from reelflow.records.posts import PostRequest
from reelflow.sandbox.catalog import API_KEY
from reelflow.taisly import TaislyClient
from reelflow.taisly.wire import HistoryItem, Status
from reelflow.video.sample import make_sample

POSTS = 100
RIVALS_POSTS = 10
RIVALS_PAUSE = 5.0
"""Seconds between two looks of the SDK's documented example."""
BOUND = 1.2


def measure() -> list[Result]:
    """Send all posts, then follow them to their ends; once."""
    with tempfile.TemporaryDirectory() as folder:
        video = make_sample(Path(folder) / "clip.mp4", seconds=3, width=540, height=960)
        with running_sandbox("--realtime", "--requests-per-hour", "1000000") as box:
            found = _ours(box.url, Path(folder), video)
            requests = box.requests()
        with running_sandbox("--realtime", "--requests-per-hour", "1000000") as box:
            _sdk(box.url, video)
            rival = box.requests()
    ours, theirs = requests / POSTS, rival / RIVALS_POSTS
    return [
        Result(
            f"requests per video, {POSTS} posts in flight, vs a look per post",
            f"{ours:.2f} vs {theirs:.1f} ({requests} requests, {found} outcomes)",
            f"at most {BOUND}",
            ours <= BOUND and found == POSTS,
        )
    ]


def _ours(url: str, folder: Path, path: Path) -> int:
    service, ledger = f"{url}/api/private", Ledger(f"sqlite:///{folder / 'ledger.db'}")
    video = read_video(str(path))
    client = TaislyClient(API_KEY, service)
    with RateLimitedTaisly(client, ledger, api_key=API_KEY, service=service, plan="PRO") as taisly:
        account = taisly.choose_accounts(["all"])[0]
        for n in range(POSTS):
            other = video.model_copy(update={"sha256": f"{n:064}", "pictures": ()})  # or it would be a duplicate
            post = PostRequest(video=other, accounts=[account], caption=str(n), scheduled_for=None, preview_second=0)
            send_post(taisly, post)
        watch_posts(taisly, None, seconds=300)
    done = len(ledger.find(state=PostState.SUCCESS))
    ledger.close()
    return done


def _finished(item: HistoryItem) -> bool:
    return bool(item.result) and all(result.status is not Status.PENDING for result in item.result)


def _sdk(url: str, path: Path) -> None:
    """One request to post, one for each look at each post."""
    with TaislyClient(API_KEY, f"{url}/api/private") as client:
        start = datetime.now(UTC)
        open_posts = {
            client.create_post(path, ["64f1c0de00000000000000a1"], str(n)).history_id for n in range(RIVALS_POSTS)
        }
        while open_posts:
            time.sleep(RIVALS_PAUSE)
            for post in list(open_posts):
                items = client.history_between(start, datetime.now(UTC))
                if any(item.id == post and _finished(item) for item in items):
                    open_posts.remove(post)
