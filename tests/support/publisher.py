"""A process of the fault suite: publishes a list of posts, one after the other, as a run of the flow would.

Usage: publisher.py CONFIG.json. Started again after it was killed, it goes through its list once more; what was sent
must not be sent again. The pauses are cut short, everything else is as in a real run.
"""

import json
import os
import sys
import time
from pathlib import Path

from reelflow.errors import ReelflowError
from reelflow.ledger import Ledger
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.posts.sending import send_post
from reelflow.posts.watching import watch_posts
from reelflow.records.posts import Account, PostRequest, Video
from reelflow.taisly import TaislyClient
from reelflow.video.fingerprint import fingerprint

SHORT = 0.05


def main() -> None:
    """Publish the list, until each post of it was settled or taken up once."""
    config = json.loads(Path(sys.argv[1]).read_text())
    accounts = {a["id"]: Account(**a) for a in config["accounts"]}
    service = config["url"] + "/api/private"
    ledger = Ledger(config["ledger"], patience=60)
    if "start_at" in config:
        time.sleep(max(0.0, config["start_at"] - time.time()))
    print("begun", flush=True)
    for index, post in enumerate(config["posts"]):
        path = Path(post["file"])
        with path.open("rb") as file:
            video = Video(path=path, **fingerprint(file)._asdict(), width=1, height=1, duration=4)
        checked = PostRequest(
            video=video,
            accounts=[accounts[i] for i in post["accounts"]],
            caption=post["caption"],
            scheduled_for=None,
            preview_second=0,
        )
        client = TaislyClient("taisly_sandbox", service)
        taisly = RateLimitedTaisly(
            client, ledger, api_key="taisly_sandbox", service=service, plan="PRO",
            sleep=lambda seconds: time.sleep(min(seconds, SHORT)),
        )  # fmt: skip
        taisly.per_hour = 1_000_000
        with taisly:
            try:
                taisly.choose_accounts(["all"])
                send_post(taisly, checked, patience=20, grace=config["grace"])
                watch_posts(taisly, None, seconds=config["follow_seconds"], first_pause=SHORT, grace=config["grace"])
            except ReelflowError as error:
                print(f"{index}: {type(error).__name__}: {error}", flush=True)
                continue
        print(f"done {post['caption']}", flush=True)


if __name__ == "__main__":
    assert os.environ.get("REELFLOW_LEASE_SECONDS")
    main()
