"""What the phones are still to do for posts, in words: what, where, and when."""

from typing import Any

import pytest

from reelflow.phones.form import EngageForm
from reelflow.records.engagements import EngagedPost, Engagement, PartResult
from reelflow.records.post_states import PostState
from reelflow.records.posts import Account, Outcome, Send
from reelflow.time_zones import shown
from tasks.phones.waiting import waiting_phones
from tasks.phones.wording import waiting_posts

NOW = 1_800_000_000.0
HOUR = 3600.0
BOTH = EngageForm(devices=["A1"], comments=["nice", "wow"], warm_up_seconds=60, comment_on=["TikTok", "Instagram"])
URLS = {"TikTok": "https://www.tiktok.com/@m/video/1", "Instagram": "https://www.instagram.com/p/C/"}
OUT, OPEN, CANCELLED = PostState.SUCCESS, PostState.ACCEPTED, PostState.CANCELLED
WARMED = tuple(PartResult("warm-up", platform, (), "done", failed=False) for platform in URLS)
QUIET = "The phones are in quiet hours"


def _found(states: dict[str, PostState]) -> list[tuple[Outcome, Send]]:
    at = NOW - HOUR
    send = Send(
        id="s", service="t", sha256="v", file="bread.mp4", caption="", account_ids=(), scheduled_ms=0, flow_run=None,
        owner="", lease_until=0.0, begun_at=at, sealed_at=at, history_id="h", watched_since=None, missing_since=None,
        claimed_at=at, duration=5.0, pictures=(), repeat=0,
    )  # fmt: skip
    return [
        (Outcome(account=Account(id=p, platform=p), state=state, link=URLS[p] if state is OUT else None), send)
        for p, state in states.items()
    ]


def _line(states: dict[str, PostState], form: EngageForm = BOTH, **changes: Any) -> str:
    values = {"post": EngagedPost("t", "v", "c", 0, 0), "account_ids": (), "form": {}, "file": "bread.mp4",
              "host": "studio", "asked_at": NOW - HOUR}  # fmt: skip
    return waiting_phones(Engagement(**(values | changes)), form, _found(states), NOW).line


EVERYWHERE = "warm-up of 60 s on TikTok and Instagram, comments (2 texts) on TikTok and Instagram"


@pytest.mark.parametrize(
    ("states", "changes", "told"),
    [
        ({"TikTok": OPEN, "Instagram": OPEN}, {}, f"{EVERYWHERE}, once it is published"),
        ({}, {}, f"{EVERYWHERE}, once it is published"),
        ({"TikTok": OUT, "Instagram": OUT}, {}, f"{EVERYWHERE}, at the next run of finish-open-posts"),
        ({"TikTok": OUT, "Instagram": OUT}, {"lease_until": NOW + 9}, f"{EVERYWHERE}, at work now"),
        (
            {"TikTok": OUT, "Instagram": OPEN},
            {"parts": (WARMED[0], PartResult("comment", "TikTok", (URLS["TikTok"],), "done", failed=False))},
            "warm-up of 60 s on Instagram, comments (2 texts) on Instagram, once it is published on Instagram",
        ),
        (
            {"TikTok": OUT, "Instagram": OUT},
            {"parts": WARMED, "due": NOW + HOUR, "reason": QUIET},
            f"comments (2 texts) on TikTok and Instagram, not before {shown(NOW + HOUR)}: {QUIET}",
        ),
        ({"TikTok": CANCELLED, "Instagram": CANCELLED}, {}, "nothing more, since the post was cancelled"),
    ],
    ids=["scheduled", "not sent yet", "out", "at work", "one platform is open", "quiet hours", "cancelled"],
)
def test_what_is_left_is_told_with_when_it_comes(
    states: dict[str, PostState], changes: dict[str, Any], told: str
) -> None:
    """What is done is not told any more."""
    assert _line(states, **changes) == f"phones (studio): {told}"


def test_the_other_pc_is_named() -> None:
    """By the form if the part is done there, and nobody if it is not known."""
    form = BOTH.model_copy(update={"phone_pc": "attic"})

    assert _line({}, form, host="").startswith("phones (attic): ")
    assert _line({}, host="").startswith("phones: ")


def test_the_first_three_posts_are_named() -> None:
    """The others are counted."""
    assert waiting_posts(["a.mp4"]) == "1 post waiting for the phones' part: a.mp4"
    assert waiting_posts(list("abcde")) == "5 posts waiting for the phones' part: a, b, c and 2 more"
