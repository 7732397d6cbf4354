"""What the phones can do for a post now, what comes later, and what never: pure decisions."""

from dataclasses import replace
from datetime import UTC, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from reelflow.errors import InputError
from reelflow.phones.due_parts import Next, decide, due_parts, ended_as
from reelflow.phones.form import CommentForm, EngageForm
from reelflow.phones.limits import Guardrails
from reelflow.records.engagements import EngagedPost, Engagement, EngagementState, PartResult
from reelflow.records.post_states import PostState
from reelflow.records.posts import Account, Outcome, Send
from tasks.phones.engagements import form_of

NOW = 1_800_000_000.0
HOUR = 3600.0
BOTH = EngageForm(devices=["A1"], comments=["nice"], warm_up_seconds=60, comment_on=["TikTok", "Instagram"])
URLS = {"TikTok": "https://www.tiktok.com/@m/video/1", "Instagram": "https://www.instagram.com/p/C/"}
DONE = PartResult("comment", "TikTok", (URLS["TikTok"],), "1 of 1 comment completed.", failed=False)
OUT, OPEN, FAILED, UNCONFIRMED, CLAIMED, CANCELLED = (
    PostState[name] for name in ("SUCCESS", "ACCEPTED", "FAILED", "UNCONFIRMED", "CLAIMED", "CANCELLED")
)


def _outcome(platform: str, state: PostState) -> Outcome:
    account = Account(id=platform, platform=platform)
    return Outcome(account=account, state=state, link=URLS[platform] if state is OUT else None)


def _send(hours_ago: float) -> Send:
    at = NOW - hours_ago * HOUR
    return Send(
        id="s", service="t", sha256="v", file="bread.mp4", caption="", account_ids=(), scheduled_ms=0, flow_run=None,
        owner="", lease_until=0.0, begun_at=at, sealed_at=at, history_id="h", watched_since=None, missing_since=None,
        claimed_at=at, duration=5.0, pictures=(), repeat=0,
    )  # fmt: skip


def _engagement(**changes: Any) -> Engagement:
    values = {"post": EngagedPost("t", "v", "c", 0, 0), "account_ids": (), "form": {}, "file": "bread.mp4",
              "asked_at": NOW - HOUR}  # fmt: skip
    return Engagement(**(values | changes))


def _decide(states: dict[str, PostState], *, hours_ago: float = 1, form: EngageForm = BOTH, **changes: Any) -> Any:
    never_late = changes.pop("is_never_late", False)
    found = [(_outcome(platform, state), _send(hours_ago)) for platform, state in states.items()]
    return decide(form, _engagement(**changes), found, NOW, is_never_late=never_late)


def _parts(states: dict[str, PostState], form: EngageForm = BOTH, done: list[PartResult] | None = None) -> list[str]:
    due = due_parts(form, [_outcome(platform, state) for platform, state in states.items()], done or [])
    return [f"{part.job} {part.form.platform}" for part in due.parts]


@pytest.mark.parametrize(
    ("tiktok", "instagram", "parts", "waits_for"),
    [
        (OUT, OUT, ["warm-up TikTok", "warm-up Instagram", "comment TikTok", "comment Instagram"], []),
        (OUT, OPEN, ["warm-up TikTok", "comment TikTok"], ["Instagram"]),
        (OUT, FAILED, ["warm-up TikTok", "warm-up Instagram", "comment TikTok"], []),
        (OUT, UNCONFIRMED, ["warm-up TikTok", "comment TikTok"], ["Instagram"]),
        (OPEN, FAILED, [], ["TikTok", "Instagram"]),
        (FAILED, FAILED, [], []),
    ],
)
def test_a_platform_is_waited_for_while_the_post_may_come_out_there(
    tiktok: PostState, instagram: PostState, parts: list[str], waits_for: list[str]
) -> None:
    """It does not keep the other one waiting."""
    states = {"TikTok": tiktok, "Instagram": instagram}

    due = due_parts(BOTH, [_outcome(platform, state) for platform, state in states.items()])

    assert _parts(states) == parts
    assert list(due.waits_for) == waits_for


def test_warm_ups_alone_wait_for_the_first_platform_only() -> None:
    """They need no link."""
    form = BOTH.model_copy(update={"comments": []})

    assert _parts({"TikTok": OUT, "Instagram": OPEN}, form) == ["warm-up TikTok", "warm-up Instagram"]
    assert _parts({"TikTok": OPEN, "Instagram": OPEN}, form) == []


def test_what_is_done_is_not_done_again_but_new_posts_are_commented_on() -> None:
    """A second account got the post later."""
    warm = [PartResult("warm-up", platform, (), "", failed=False) for platform in ("TikTok", "Instagram")]
    other = Outcome(account=Account(id="2", platform="TikTok"), state=OUT, link="https://www.tiktok.com/@n/video/2")

    left = due_parts(BOTH, [_outcome("TikTok", OUT), other], [DONE, *warm])

    assert _parts({"TikTok": OUT}, done=[DONE, *warm]) == []
    (part,) = left.parts
    assert isinstance(part.form, CommentForm)
    assert part.form.post_urls == [other.link]


@pytest.mark.parametrize(
    ("states", "more", "next_", "state", "reason"),
    [
        ({"TikTok": OUT}, {}, Next.START, "WAITING", ""),
        ({"TikTok": OUT}, {"due": NOW + 60}, Next.WAIT, "WAITING", ""),
        ({"TikTok": OPEN}, {"hours_ago": 30}, Next.WAIT, "WAITING", ""),
        ({"TikTok": FAILED}, {}, Next.END, "SKIPPED", "the post was not published"),
        ({"TikTok": CANCELLED}, {}, Next.END, "CANCELLED", "the post was cancelled"),
        ({"TikTok": OUT}, {"hours_ago": 13, "asked_at": 0.0}, Next.END, "SKIPPED",
         "the post was published more than 12 hours before"),
        ({"TikTok": OUT}, {"hours_ago": 13, "asked_at": NOW}, Next.START, "WAITING", ""),
        ({"TikTok": OUT}, {"hours_ago": 13, "is_never_late": True}, Next.START, "WAITING", ""),
        ({"TikTok": OUT, "Instagram": OPEN}, {"hours_ago": 13, "asked_at": 0.0, "parts": (DONE,)}, Next.END, "DONE",
         "the post was published more than 12 hours before"),
        ({}, {}, Next.WAIT, "WAITING", ""),
        ({}, {"asked_at": NOW - 13 * HOUR}, Next.END, "SKIPPED", "the post was not sent"),
        ({"TikTok": CLAIMED}, {"hours_ago": 13, "asked_at": 0.0}, Next.END, "SKIPPED", "the post was not sent"),
        ({"TikTok": UNCONFIRMED, "Instagram": FAILED}, {"asked_at": 0.0}, Next.WAIT, "WAITING", ""),
        ({"TikTok": UNCONFIRMED, "Instagram": FAILED}, {"hours_ago": 13, "asked_at": 0.0}, Next.END, "SKIPPED",
         "the post is unconfirmed"),
    ],
)  # fmt: skip
def test_what_is_to_be_done_follows_from_the_outcomes_and_the_time(
    states: dict[str, PostState], more: dict[str, Any], next_: Next, state: str, reason: str
) -> None:
    decision = _decide(states, **more)

    assert (decision.next, decision.state, decision.reason) == (next_, EngagementState[state], reason)


def test_only_what_is_too_late_is_an_alarm() -> None:
    """A post that failed has its own."""
    assert _decide({"TikTok": OUT}, hours_ago=13, asked_at=0.0).is_alarm
    assert not _decide({"TikTok": FAILED}).is_alarm


def test_a_post_without_a_link_is_not_waited_for() -> None:
    """Its reason says so."""
    form = BOTH.model_copy(update={"warm_up_seconds": 0, "comment_on": ["TikTok"]})
    without = Outcome(account=Account(id="1", platform="TikTok"), state=OUT, link=None)

    decision = decide(form, _engagement(), [(without, _send(1))], NOW)

    assert (decision.next, decision.reason) == (
        Next.END, "No comments on TikTok: Taisly returned no link to the post."
    )  # fmt: skip


def test_one_part_that_failed_is_a_failure() -> None:
    assert ended_as([]) is EngagementState.SKIPPED
    assert ended_as([DONE]) is EngagementState.DONE
    assert ended_as([DONE, replace(DONE, failed=True)]) is EngagementState.FAILED


def test_a_form_of_another_version_that_cannot_be_read_is_said() -> None:
    """With what is wrong, and what to run instead."""
    assert form_of(_engagement(form={"comments": ["nice"]})).comments == ["nice"]
    with pytest.raises(InputError, match=r"bread.mp4 cannot be read \(nonsense\). Run warm-up-accounts and"):
        form_of(_engagement(form={"nonsense": 1}))


@pytest.mark.parametrize(
    ("quiet", "now", "end"),
    [
        ((time(22), time(7)), datetime(2026, 11, 26, 23), datetime(2026, 11, 27, 7)),  # noqa: DTZ001
        ((time(22), time(7)), datetime(2026, 11, 27, 6, 59), datetime(2026, 11, 27, 7)),  # noqa: DTZ001
        ((time(22), time(7)), datetime(2026, 11, 27, 7), None),  # noqa: DTZ001
        ((time(11), time(14)), datetime(2026, 11, 27, 12), datetime(2026, 11, 27, 14)),  # noqa: DTZ001
        (None, datetime(2026, 11, 27, 12), None),  # noqa: DTZ001
    ],
)
def test_quiet_hours_end_by_the_owners_clock(quiet: Any, now: datetime, end: datetime | None) -> None:
    """The next morning, if they began the evening before."""
    zone = ZoneInfo("Pacific/Auckland")
    rails = Guardrails((), {}, zone, quiet)

    found = rails.quiet_end(now.replace(tzinfo=zone).astimezone(UTC))

    assert found == (end and end.replace(tzinfo=zone))
