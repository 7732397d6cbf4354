"""``reelflow demo``: publish a real video to an embedded sandbox, in a real Prefect server, and end."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from deployments.programs import say
from deployments.stage import BLOCK_NAME, stage
from reelflow.errors import ReelflowError


def run() -> int:
    """Publish to all accounts of the sandbox; 0 if every platform published."""
    with (
        tempfile.TemporaryDirectory(prefix="reelflow-demo-", ignore_cleanup_errors=True) as folder,
        stage(Path(folder), "--plan", "INFLUENCER") as at,
    ):
        from blocks import TaislyAccount
        from flows.publish import publish_video
        from reelflow.models import PostForm, PublishReport

        say(f"Publishing {at.video.name} to every account, with the flow publish_video …\n")
        taisly = TaislyAccount.load(BLOCK_NAME)
        post = PostForm(video=str(at.video), accounts=["all"], caption="Sunset over the dunes #reelflow")
        state = publish_video(taisly, post, return_state=True)
        say(f"\n{state.message}")
        report = state.result(raise_on_failure=False)
        if not isinstance(report, PublishReport):
            return 1
        for outcome in report.outcomes:
            say(f"  {outcome.account.label:32} {outcome.state:8} {outcome.link or outcome.detail}")
        say(
            "\nThat was a real Prefect run, with a real upload to the sandbox. To look at it in the browser and to\n"
            "start runs yourself, from a form: make up\n"
        )
    return 0 if state.is_completed() else 1


if __name__ == "__main__":
    try:
        sys.exit(run())
    except ReelflowError as error:
        print(f"reelflow: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
