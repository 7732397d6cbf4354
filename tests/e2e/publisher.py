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
from reelflow.metered import MeteredTaisly
from reelflow.models import Account, CheckedPost, Video
from reelflow.sending import send_post
from reelflow.taisly import TaislyClient
from reelflow.video.probe import fingerprint
from reelflow.watching import follow

SHORT = 0.05


def main() -> None:
    """Publish the list, until each post of it was settled or taken up once."""
    config = json.loads(Path(sys.argv[1]).read_text())
    accounts = {a["id"]: Account(**a) for a in config["accounts"]}
    service = config["url"] + "/api/private"
    ledger = Ledger(config["ledger"])
    if "start_at" in config:
        time.sleep(max(0.0, config["start_at"] - time.time()))
    for index, post in enumerate(config["posts"]):
        path = Path(post["file"])
        sha256, (size, modified) = fingerprint(path)
        video = Video(path=path, sha256=sha256, size_bytes=size, modified_ns=modified, width=1, height=1, duration=4)
        checked = CheckedPost(
            video=video,
            accounts=[accounts[i] for i in post["accounts"]],
            caption=post["caption"],
            scheduled_for=None,
            preview_second=0,
        )
        client = TaislyClient("taisly_sandbox", service)
        taisly = MeteredTaisly(
            client, ledger, api_key="taisly_sandbox", service=service, plan="PRO",
            sleep=lambda seconds: time.sleep(min(seconds, SHORT)),
        )  # fmt: skip
        taisly.per_hour = 1_000_000
        with taisly:
            try:
                taisly.connected()
                send_post(taisly, checked, patience=20)
                follow(taisly, None, seconds=config["follow_seconds"], first_pause=SHORT, grace=config["grace"])
            except ReelflowError as error:
                print(f"{index}: {type(error).__name__}: {error}", flush=True)
        print(f"done {index}", flush=True)


if __name__ == "__main__":
    assert os.environ.get("REELFLOW_LEASE_SECONDS")
    main()
