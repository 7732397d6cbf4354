"""What ``reelflow up`` starts to serve the flows: the deployments, with the sandbox's block and video preselected."""

import sys
from pathlib import Path

from prefect import serve

from blocks import TaislyAccount
from deployments.serve import RUNS_AT_ONCE, deployments
from reelflow.models import PostForm


def run(block: str, video: Path) -> None:
    """Serve until a signal."""
    post = PostForm(video=str(video), accounts=["all"], caption="Sunset over the dunes #reelflow")
    taisly = {"taisly": TaislyAccount.load(block)}
    defaults = {
        "publish-video": {**taisly, "post": post.model_dump(exclude_none=True)},
        "finish-open-posts": taisly,
        "cancel-scheduled-post": taisly,
    }
    serve(*deployments(defaults), limit=RUNS_AT_ONCE)


if __name__ == "__main__":
    run(sys.argv[1], Path(sys.argv[2]))
