"""The flow publish_video against a real Prefect server and the sandbox over HTTP."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, LogFilter, LogFilterFlowRunId

from blocks import TaislyAccount
from flows.publish import publish_video
from reelflow.models import PostForm, PublishFailed, PublishReport, State

pytestmark = pytest.mark.usefixtures("server")
Clip = Callable[[str], Path]


@pytest.fixture
def taisly(server: str, sandbox: Any) -> TaislyAccount:
    return TaislyAccount(api_key="taisly_sandbox", base_url=sandbox.taisly_url, plan="PRO", first_look_seconds=0.01)


def _publish(taisly: TaislyAccount, video: Path | str, **form: Any) -> Any:
    return publish_video(taisly, PostForm(video=str(video), **({"accounts": ["all"]} | form)), return_state=True)


def _logs(state: Any) -> str:
    with get_client(sync_client=True) as client:
        logs = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[state.state_details.flow_run_id])))
    return "\n".join(log.message for log in logs)


def _artifacts(state: Any) -> dict[str, Any]:
    by_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[state.state_details.flow_run_id]))
    with get_client(sync_client=True) as client:
        return {artifact.type: artifact for artifact in client.read_artifacts(artifact_filter=by_run)}


def test_a_video_is_published_to_every_account(taisly: TaislyAccount, sandbox: Any, clip: Clip) -> None:
    """One post, six outcomes, one line that says so, and a report with picture, table and links."""
    state = _publish(taisly, clip("good.mp4"), caption="Fresh | *bread* <b>")

    (post,) = sandbox.posts
    report, artifacts = state.result(), _artifacts(state)

    assert (state.is_completed(), state.message) == (True, "Published to 6 of 6 accounts.")
    assert isinstance(report, PublishReport)
    assert post["caption"] == "Fresh | *bread* <b>"
    assert post["sha256"] == report.post.video.sha256
    assert sandbox.asked("POST /api/private/post") == 1
    assert artifacts["progress"].data == 100
    assert "data:image/jpeg;base64," in artifacts["markdown"].data
    assert r"Fresh \| \*bread\* \<b\>" in artifacts["markdown"].data
    assert artifacts["markdown"].data.count("](https://") == 6


def test_runs_say_in_their_names_what_they_are(taisly: TaislyAccount, sandbox: Any, clip: Clip) -> None:
    """In the list of runs one sees video and accounts, not an animal."""
    state = _publish(taisly, clip("small.mp4"), accounts=["x", "Instagram"])

    with get_client(sync_client=True) as client:
        run = client.read_flow_run(state.state_details.flow_run_id)

    assert run.name == "small.mp4 to x, Instagram"


def test_a_platform_that_fails_fails_the_run_and_says_why(taisly: TaislyAccount, sandbox: Any, clip: Clip) -> None:
    """The others are out, and the report has them."""
    sandbox.fail_next(platform="Instagram", reason="Session expired")

    state = _publish(taisly, clip("small.mp4"), accounts=["x", "Instagram"])

    assert state.is_failed()
    assert (
        state.message == "Failed at Instagram mara.bakes: Session expired. Published to 1 of 2 accounts: X @marabakes."
    )
    with pytest.raises(PublishFailed) as caught:
        state.result()
    assert caught.value.report is not None
    assert [o.state for o in caught.value.report.outcomes] == [State.SUCCESS, State.FAILED]


def test_a_dry_run_sends_nothing_and_says_what_it_would(taisly: TaislyAccount, sandbox: Any, clip: Clip) -> None:
    """It checks everything, the accounts at Taisly too."""
    state = _publish(taisly, clip("good.mp4"), accounts=["x"], caption="Hi", dry_run=True)

    assert (state.name, state.is_completed()) == ("Dry run", True)
    assert "nothing was sent" in state.message
    assert "good.mp4" in state.message
    assert "X @marabakes" in state.message
    assert sandbox.posts == []
    assert sandbox.asked("POST /api/private/post") == 0
    assert "nothing was sent" in _artifacts(state)["markdown"].data


def test_a_scheduled_post_is_left_to_taisly(taisly: TaislyAccount, sandbox: Any, clip: Clip) -> None:
    """Sent with its time in milliseconds; still open when the watch ends, and not failed."""
    later = datetime.now(UTC) + timedelta(hours=3)

    state = _publish(taisly, clip("small.mp4"), accounts=["x"], scheduled_for=later, watch_minutes=0)

    assert (state.name, state.is_completed()) == ("Still open", True)
    assert state.message == f"Scheduled for {later:%Y-%m-%d %H:%M} UTC at 1 account."
    assert sandbox.posts[0]["scheduled"] == pytest.approx(later.timestamp() * 1000, abs=1)


BAD = [
    ({"video": "nope.mp4"}, "no such file"),
    ({"video": "."}, "a folder"),
    ({"video": "clip:empty.mp4"}, "an empty file"),
    ({"video": "clip:list.mp4"}, "not a video file"),
    ({"video": "clip:landscape.mp4"}, "9:16"),
    ({"accounts": ["MySpace"]}, "Connected are: TikTok"),
    ({"accounts": ["TikTok"]}, "fits 2 accounts"),
    ({"caption": "x" * 101}, "101 characters"),
    ({"scheduled_for": datetime(2020, 1, 1, tzinfo=UTC)}, "in the past"),
    ({"scheduled_for": datetime(2099, 1, 1)}, "no time zone"),  # noqa: DTZ001 - what is refused
    ({"preview_second": 60}, "the video ends at"),
    ({"key": "taisly_wrong"}, "Check the key in the block"),
    ({"key": "taisly_free"}, "FREE"),
    ({"key": "  "}, "API key is empty"),
    ({"url": "http://127.0.0.1:1/api/private"}, "connection refused"),
    ({"url": "http://taisly.example/api"}, "unencrypted"),
    ({"url": "taisly"}, "not a web address"),
]


@pytest.mark.parametrize(("change", "words"), BAD, ids=[str(words) for _, words in BAD])
def test_bad_input_is_one_clear_line_and_sends_nothing(
    taisly: TaislyAccount, sandbox: Any, clip: Clip, change: dict[str, Any], words: str
) -> None:
    """As the run's state; no traceback in its logs; Taisly has no post."""
    video = change.pop("video", "clip:small.mp4") if "video" in change else "clip:small.mp4"
    video = clip(video.removeprefix("clip:")) if video.startswith("clip:") else video
    form = {k: v for k, v in change.items() if k not in ("key", "url", "video")}
    block = TaislyAccount(
        api_key=change.get("key", "taisly_sandbox"), base_url=change.get("url", sandbox.taisly_url), plan="PRO"
    )

    state = _publish(block, video, **({"accounts": ["x"]} | form))

    assert state.is_failed()
    assert words in state.message
    assert "\n" not in state.message
    assert "Traceback" not in _logs(state)
    assert "NoneType" not in _logs(state)
    assert sandbox.asked("POST /api/private/post") == 0


def test_a_lost_answer_is_not_called_a_failure_and_not_repeated(
    taisly: TaislyAccount, sandbox: Any, clip: Clip
) -> None:
    """The post may be out: the run says so, and sends once."""
    sandbox.fault("drop_after", "POST", "/api/private/post")

    state = _publish(taisly, clip("small.mp4"), accounts=["x"])

    assert state.is_failed()
    assert "may be out all the same" in state.message
    assert sandbox.asked("POST /api/private/post") == 1


def test_the_key_appears_nowhere_in_a_run(taisly: TaislyAccount, sandbox: Any, clip: Clip) -> None:
    """Not in parameters, logs, artifacts or the state."""
    state = _publish(taisly, clip("small.mp4"), accounts=["x"])
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(state.state_details.flow_run_id)

    everything = _logs(state) + run.model_dump_json() + "".join(str(a.data) for a in _artifacts(state).values())

    assert "taisly_sandbox" not in everything
