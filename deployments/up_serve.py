"""What ``reelflow up`` starts to serve the flows: the deployments, with the sandbox's blocks and video preselected."""

import os
import sys
from pathlib import Path
from typing import Any

from prefect import serve

from deployments.serve import HEARTBEAT, RUNS_AT_ONCE, deployments


def forms(video: Path) -> dict[str, dict[str, Any]]:
    """Filled-in forms by deployment, that work on the sandbox as they are."""
    post = {"video": str(video), "accounts": ["all"], "caption": "Sunset over the dunes #reelflow"}
    phones = {"devices": ["R58N01SANDBOX", "R58N02SANDBOX", "R58N03SANDBOX"]}
    post_url = "https://www.tiktok.com/@mara.bakes/video/7231338487075638570"
    return {
        "publish-video": {"post": post},
        "publish-and-engage": {"post": post, "engage": {**phones, "comments": ["Lovely!"], "warm_up_seconds": 60}},
        "warm-up-accounts": {"warm_up": {**phones, "duration_seconds": 60, "topics": ["baking"]}},
        "comment-on-posts": {"comments": {**phones, "post_urls": [post_url], "comments": ["Lovely!"]}},
        "follow-users": {"follows": {**phones, "users": ["mara.bakes"]}},
        "unfollow-users": {"unfollows": {**phones, "users": ["mara.bakes"]}},
        "post-from-phones": {"posts": {**phones, "captions": "Fresh bread"}},
    }


def run(block: str, video: Path) -> None:
    """Serve until a signal."""
    os.environ.update(HEARTBEAT)
    serve(*deployments(block, forms(video)), limit=RUNS_AT_ONCE)


if __name__ == "__main__":
    run(sys.argv[1], Path(sys.argv[2]))
