"""What of a plan is sent, and what is known already: by what the ledger has, whatever happened in between."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pytest
from support.clock import Clock

from reelflow.campaigns.already import Already
from reelflow.campaigns.form import CampaignForm
from reelflow.campaigns.placing import Placer
from reelflow.campaigns.posts import CheckedPlan, Draft
from reelflow.campaigns.rows import NOW, PlanRow
from reelflow.campaigns.slot_rules import read_rules
from reelflow.campaigns.slots import SlotBook
from reelflow.ledger import DuplicateFound, Ledger
from reelflow.posts.duplicates import next_repeat
from reelflow.records.post_states import PostState
from reelflow.records.posts import SENT_AGAIN, Account, Outcome, PostRequest, Video

SERVICE = "http://taisly"
HOUR, DAY = 3600.0, 86400.0
MARA = Account(id="t1", platform="TikTok", name="@mara")
BOOK = SlotBook(read_rules(["all: daily 12:00"]), ZoneInfo("UTC"))
FAILED, REFUSED, SUCCESS = PostState.FAILED, PostState.REFUSED, PostState.SUCCESS
ACCEPTED, CANCELLED, CLAIMED = PostState.ACCEPTED, PostState.CANCELLED, PostState.CLAIMED


class Posts:
    """A ledger with what became of the posts of plans."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self.ledger, self.clock = ledger, clock
        self.placer = Placer(ledger, SERVICE, BOOK, {})

    def at(self, hours: float) -> datetime:
        return datetime.fromtimestamp(self.clock.start + hours * HOUR, UTC)

    def left(self, *drafts: Draft, only: Literal["", "what failed"] = "", **form: Any) -> list[Draft]:
        """What of a plan is to be sent."""
        return self.check(*drafts, only=only, **form)[0]

    def check(self, *drafts: Draft, only: str = "", **form: Any) -> tuple[list[Draft], CheckedPlan]:
        self.clock.now += 60
        videos, found = {draft.video.sha256 for draft in drafts}, CheckedPlan()
        already = Already(
            drafts,
            self.ledger.sends_of_videos(SERVICE, videos),
            self.ledger.reservations(SERVICE, videos),
            CampaignForm(only=only or "what was not sent yet", **form),
            self.ledger.now(),
        )
        return [again for draft in drafts if (again := already.to_send(draft, found))], found

    def send(self, draft: Draft, state: PostState, *, detail: str = "", caption: str | None = None) -> PostRequest:
        """Send a draft in its slot or at its time, and let it end so."""
        (post,), _ = self.placer.place([draft], dry_run=False)
        request = post.request.model_copy(update={"caption": caption or draft.caption})
        owner = uuid.uuid4().hex
        claim = self.ledger.claim(request, service=SERVICE, owner=owner)
        assert claim.send_id, "it was sent before"
        self.ledger.begin(claim.send_id, owner)
        if state is CLAIMED:
            self.ledger.release_claim(claim.send_id, "Taisly cannot be reached", owner=owner)
        elif state is REFUSED:
            self.ledger.settle(claim.send_id, state, detail)
        else:
            self.ledger.seal(claim.send_id, owner)
            self.ledger.accepted(claim.send_id, uuid.uuid4().hex)
            if state is CANCELLED:
                self.ledger.settle(claim.send_id, state, detail)
            elif state is not ACCEPTED:
                self.ledger.record_outcomes(claim.send_id, [Outcome(account=MARA, state=state, detail=detail)])
        self.clock.now += 60
        return request


@pytest.fixture
def posts(ledger: Ledger, clock: Clock) -> Posts:
    clock.now = clock.start = datetime(2026, 7, 6, 8, tzinfo=UTC).timestamp()
    return Posts(ledger, clock)


def draft(number: int = 1, when: Any = None, *, repeat: int = 0, campaign: str = "", caption: str = "one") -> Draft:
    """What a row of one video wants."""
    video = Video(
        path=Path("a.mp4"), sha256="a" * 64, size_bytes=1, modified_ns=1, width=1, height=1, duration=9.0
    )  # fmt: skip
    row = PlanRow(number, "a.mp4", caption, accounts=(MARA.label,), when=when, campaign=campaign, repeat=repeat)
    return Draft(row, video, MARA, caption, when, repeat)


def states(found: CheckedPlan) -> list[tuple[int, PostState]]:
    return [(known.number, known.outcome.state) for known in found.known]


def test_what_was_refused_is_sent_itself_if_what_failed_is_asked_for(posts: Posts) -> None:
    """Nothing is out, so it needs no other number; days later the plan knows it."""
    posts.send(draft(), REFUSED, detail="monthly limit")
    (again,) = posts.left(draft(), only="what failed")
    posts.send(again, SUCCESS)
    posts.clock.now += 3 * DAY

    left, found = posts.check(draft())

    assert (again.repeat, left, states(found)) == (0, [], [(1, SUCCESS)])


def test_what_a_person_sent_again_since_is_known(posts: Posts) -> None:
    """With another number, by hand: neither the plan nor what failed sends it a third time."""
    posts.send(draft(), FAILED, detail="session expired")
    posts.clock.now += DAY
    posts.send(draft(when=NOW, repeat=1), SUCCESS)

    for only in ("", "what failed"):
        left, found = posts.check(draft(), only=only)
        assert (left, states(found)) == ([], [(1, SUCCESS)])


def test_a_resend_that_was_interrupted_is_resumed(posts: Posts) -> None:
    """In its slot, under its number; a plain run sends nothing that failed."""
    posts.send(draft(), FAILED, detail="session expired")
    (again,) = posts.left(draft(), only="what failed")
    interrupted = posts.send(again, CLAIMED)

    plain, found = posts.check(draft())
    (resumed,) = posts.left(draft(), only="what failed", cause="session")

    assert (plain, states(found)) == ([], [(1, FAILED)])
    assert resumed.repeat == again.repeat == SENT_AGAIN
    assert posts.send(resumed, SUCCESS).scheduled_for == interrupted.scheduled_for
    assert posts.left(draft(), only="what failed") == []


def test_a_post_that_was_never_sent_has_not_failed(posts: Posts) -> None:
    """Its run died; the next plain run sends it."""
    posts.send(draft(), CLAIMED)

    left, found = posts.check(draft(), only="what failed")

    assert (left, states(found), [skipped.number for skipped in found.skipped]) == ([], [], [1])
    assert posts.left(draft()) == [draft()]


def test_a_post_may_fail_again_and_again(posts: Posts) -> None:
    """Each time it gets another number, and the last one counts."""
    posts.send(draft(), FAILED)
    for tries in (1, 2):
        (again,) = posts.left(draft(), only="what failed")
        assert again.repeat == tries * SENT_AGAIN
        posts.send(again, FAILED)
    (again,) = posts.left(draft(), only="what failed")
    posts.send(again, SUCCESS)

    assert states(posts.check(draft(), only="what failed")[1]) == [(1, SUCCESS)]


def test_each_row_of_a_video_is_sent_again_by_what_became_of_itself(posts: Posts) -> None:
    """A row that failed is sent again although the other is scheduled, and one that is out never is."""
    first, second = draft(1, posts.at(1)), draft(2, posts.at(30), repeat=1, caption="two")
    posts.send(first, FAILED)
    posts.send(second, ACCEPTED)
    posts.clock.now = posts.at(2).timestamp()

    (again,) = posts.left(first, second, only="what failed")
    posts.send(again, SUCCESS)

    assert (again.row.number, again.when) == (1, None)
    assert states(posts.check(first, second, only="what failed")[1]) == [(1, SUCCESS), (2, ACCEPTED)]
    assert states(posts.check(first, second)[1]) == [(1, SUCCESS), (2, ACCEPTED)]


def test_only_the_row_that_failed_is_sent_again(posts: Posts) -> None:
    """The other row of the same video is out; the two do not get one number."""
    first, second = draft(1, posts.at(1)), draft(2, posts.at(30), repeat=1)
    posts.send(first, SUCCESS)
    posts.send(second, FAILED)
    posts.clock.now = posts.at(40).timestamp()

    left, found = posts.check(first, second, only="what failed")

    assert [(each.row.number, each.repeat) for each in left] == [(2, SENT_AGAIN + 1)]
    assert states(found) == [(1, SUCCESS)]


def test_a_fixed_time_may_be_changed_before_what_failed_is_sent_again(posts: Posts) -> None:
    """The row is the one of its video, since no other one failed."""
    posts.send(draft(when=posts.at(1)), FAILED)

    assert [each.when for each in posts.left(draft(when=posts.at(50)), only="what failed")] == [posts.at(50)]


def test_a_row_that_repeats_is_not_known_by_the_first_one(posts: Posts) -> None:
    """And the first one, in a plan of its own, not by the one that repeats it."""
    posts.send(draft(2, repeat=1), SUCCESS)

    assert posts.left(draft(1)) == [draft(1)]


def test_both_rows_of_a_video_are_known_under_a_campaign_id(posts: Posts) -> None:
    """Each by the slot that is kept for it, also once that has passed."""
    rows = draft(1, campaign="w48"), draft(2, campaign="w48", repeat=1)
    for row in rows:
        posts.send(row, SUCCESS)
    posts.clock.now += 5 * DAY

    assert states(posts.check(*rows)[1]) == [(1, SUCCESS), (2, SUCCESS)]
    assert posts.left(draft(campaign="w49")) == [draft(campaign="w49")]


def test_a_resend_is_of_its_own_campaign(posts: Posts) -> None:
    """What another campaign sent again since is not this one's; without a campaign ID it is the same post."""
    posts.send(draft(campaign="w47"), FAILED)
    posts.clock.now += 3 * DAY
    posts.send(draft(campaign="w48"), FAILED)
    (again,) = posts.left(draft(campaign="w47"), only="what failed")
    posts.send(again, SUCCESS)

    assert [each.row.campaign for each in posts.left(draft(campaign="w48"), only="what failed")] == ["w48"]
    assert posts.left(draft(), only="what failed") == []


@pytest.mark.parametrize("campaign", ["", "w48"])
@pytest.mark.parametrize("hours", [5, 0, None], ids=["a time", "now", "a slot"])
def test_a_caption_that_was_changed_makes_no_other_post(posts: Posts, hours: int | None, campaign: str) -> None:
    """When the post was approved, or in the plan since: days later the row is known all the same."""
    row = draft(when=NOW if hours == 0 else hours and posts.at(hours), campaign=campaign)
    posts.send(row, SUCCESS, caption="another")
    posts.clock.now += 3 * DAY

    assert states(posts.check(row)[1]) == [(1, SUCCESS)]


def test_what_was_cancelled_is_sent_again_but_has_not_failed(posts: Posts) -> None:
    """A person took it out at Taisly."""
    posts.send(draft(), CANCELLED)

    assert posts.left(draft(), only="what failed") == []
    assert posts.left(draft()) == [draft()]


def test_a_post_that_was_refused_and_got_a_slot_is_known_by_it(posts: Posts) -> None:
    """Its fixed time had passed, so it was sent in the next slot."""
    row = draft(when=posts.at(1))
    posts.send(row, REFUSED)
    posts.clock.now = posts.at(2).timestamp()
    (again,) = posts.left(row, only="what failed")
    posts.send(again, ACCEPTED)

    assert (again.when, again.repeat) == (None, 0)
    assert states(posts.check(row)[1]) == [(1, ACCEPTED)]


def test_the_number_that_a_person_is_told_to_use_is_a_small_one(posts: Posts) -> None:
    """Whatever a campaign has sent again by itself: a form takes no more than 1000."""
    posts.send(draft(), FAILED)
    posts.send(posts.left(draft(), only="what failed")[0], SUCCESS)
    (post,), _ = posts.placer.place([draft(when=posts.at(10))], dry_run=True)

    earlier = posts.ledger.duplicates(post.request, service=SERVICE)

    assert max(each.send.repeat for each in earlier) == SENT_AGAIN
    assert next_repeat(earlier) == 1


def test_a_post_is_sent_again_once_whatever_its_caption_is_by_now(posts: Posts) -> None:
    """Two runs decided it at the same time, and in one of them a person has changed the caption since."""
    posts.send(draft(), FAILED)
    (again,) = posts.left(draft(), only="what failed")
    posts.send(again, ACCEPTED)

    with pytest.raises(DuplicateFound):
        posts.send(again, ACCEPTED, caption="another")
