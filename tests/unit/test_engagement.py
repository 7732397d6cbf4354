"""What the owner of the phones permits, and how a form becomes requests: pure decisions."""

import re
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from reelflow.errors import InputError
from reelflow.phones.engagement import (
    WARM_UP_FIELDS,
    EngagementJob,
    check_engagement,
    comment_parts,
    engagement_jobs,
    sample_forms,
    warm_up_parts,
)
from reelflow.phones.form import CommentForm, EngageForm, FollowForm, PhoneForm, PhonePostForm, UnfollowForm, WarmUpForm
from reelflow.phones.limits import PHONE_ROW, Guardrails, make_plan, read_phones
from reelflow.phones.requests import make_request
from reelflow.records.phone_states import Earlier
from reelflow.records.phones import PhoneHistory
from reelflow.records.post_states import PostState
from reelflow.records.posts import Account, Outcome
from reelflow.tikmatrix.targets import post_key
from reelflow.time_zones import read_zone

PHONES = ["A1: ada, ada.two", "B2: ben, ben.pics (Instagram)", "C3"]
URL = "https://www.tiktok.com/@x/video/{}"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def _rails(**changes: Any) -> Guardrails:
    limits = {"account_warmup": 2, "comment": 3, "follow": 3, "unfollow": 3, "post": 1}
    return Guardrails(**({"phones": read_phones(PHONES), "limits": limits, "zone": ZoneInfo("UTC")} | changes))


def _comment(**changes: Any) -> CommentForm:
    return CommentForm(**({"devices": ["A1"], "post_urls": [URL.format(1)], "comments": ["nice"]} | changes))


def _plan(form: PhoneForm, history: PhoneHistory | None = None, **rails: Any) -> Any:
    guardrails = _rails(**rails)
    return make_plan(make_request(form, guardrails), guardrails, history or PhoneHistory(), NOON)


def _sent(plan: Any) -> set[tuple[str, str]]:
    return {(a.name, text) for part in plan.parts for a in part.actors for _, text in part.targets or (("", ""),)}


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (_comment(devices=["Z9"]), "Z9 is not among the phones of the host block"),
        (_comment(devices=[], usernames=["eve"]), "eve is not among the usernames of the host block"),
        (_comment(devices=[], usernames=["ada.twoo"]), "Did you mean ada.two?"),
        (_comment(devices=[]), "No phones are chosen: choose 'Phones' or 'Usernames'."),
        (_comment(usernames=["ada"]), "Both are chosen: choose 'Phones' or 'Usernames'."),
        (_comment(devices=["all", "A1"]), "'all' means everything that the host block lists"),
        (_comment(devices=[], usernames=["ada", "All"]), "Remove 'all', or remove the other rows"),
        (_comment(devices=[], usernames=["ben.pics"]), "ben.pics is an account on Instagram"),
        (_comment(platform="Instagram"), "is a post on TikTok, but this run is for Instagram"),
        (_comment(platform="Instagram", devices=["A1"], post_urls=["https://www.instagram.com/reel/C/"]),
         "A1 has no Instagram account"),
        (_comment(post_urls=["https://example.com/1"]), "is not the URL of a post on TikTok"),
        (_comment(post_urls=["  "]), "Add at least one post URL"),
        (_comment(comments=["   ", "\n"]), "Add at least one comment: all rows are empty"),
        (_comment(platform="Instagram", devices=["B2"], post_urls=["https://www.instagram.com/p/C/"], image_path="x"),
         "work on TikTok only"),
        (_comment(devices=["C3"], every_account=True), "lists no usernames for the phone C3"),
        (_comment(devices=["all"], post_urls=[URL.format(n) for n in range(40)]),
         "make 120 tasks, more than the 'Task limit' of 100"),
        (WarmUpForm(devices=["A1"], min_seconds=40), "The minimum view (40 s) is longer than the maximum (30 s)"),
        (WarmUpForm(devices=["A1"], comment_percent=5), "there are no comment texts"),
        (FollowForm(devices=["A1"], users=["two words"]), "'two words' is not a username"),
        (FollowForm(devices=["A1"], users=[" "]), "Add at least one user"),
        (PhonePostForm(devices=["A1"], material_source="local folder"), "needs a folder"),
        (PhonePostForm(devices=["A1"], post_way="use sound"), "needs the name of the sound"),
        (PhonePostForm(devices=["A1"], added_sound="custom"), "needs a sound keyword"),
        (PhonePostForm(devices=["B2"], platform="Instagram", add_product_link=True), "work on TikTok only"),
        (PhonePostForm(devices=["A1"], placement="story"), "works on Instagram only"),
        (PhonePostForm(devices=["A1"], material_tags=["a,b"]), "contains a comma"),
        (PhonePostForm(devices=["A1"], material_files=["one.mp4"]), "not an absolute path"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_said_before_anything_is_sent(form: PhoneForm, words: str) -> None:
    """Each with what is wrong and where."""
    with pytest.raises(InputError) as caught:
        make_request(form, _rails())

    assert words in str(caught.value)


def test_all_usernames_of_a_platform_that_no_phone_has_is_said() -> None:
    with pytest.raises(InputError, match="lists no Instagram accounts"):
        make_request(WarmUpForm(platform="Instagram", usernames=["all"]), _rails(phones=read_phones(["A1: ada"])))


def test_nothing_is_touched_without_a_list_of_phones() -> None:
    """An empty list is not a permission for everything."""
    with pytest.raises(InputError, match="lists no phones"):
        make_request(_comment(), _rails(phones=()))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("two words: ada", "Row 2, 'two words: ada', cannot be read. Write it like this: SERIAL: username"),
        ("A2 ada.daily", "Write a colon and a space after the serial: A2: ada.daily."),
        ("A2:ada, ben (Instagram)", "after the serial: A2: ada, ben (Instagram)."),
        ("10.0.0.7:5555:ada", "after the serial: 10.0.0.7:5555: ada."),
        ("10.0.0.7:5555 ada", "after the serial: 10.0.0.7:5555: ada."),
        (": ada", "A serial has no spaces."),
        ("A2: a b", "Row 2, 'A2: a b': the account 'a b' cannot be read."),
        ("A2: ada (Myspace)", "the account 'ada (Myspace)' cannot be read."),
        ("A1: ben", "Row 2, 'A1: ben': the phone A1 is listed twice, first in row 1. List it once"),
    ],
)
def test_a_phone_that_cannot_be_read_is_said(line: str, words: str) -> None:
    """With its row, and how to write it."""
    with pytest.raises(InputError, match=re.escape(words)):
        read_phones(["A1: ada", line])


@pytest.mark.parametrize("row", ["A1", "A1:", "A1: ada, @ben (Instagram)", "10.0.0.7:5555: ada", "10.0.0.7:5555", ""])
def test_the_blocks_schema_takes_each_row_that_can_be_read(row: str) -> None:
    """A form that checks the pattern refuses no good row."""
    read_phones([row])
    assert re.search(PHONE_ROW, row)


@pytest.mark.parametrize("row", ["A1 ada", "A1:ada", "two words: ada"])
def test_the_blocks_schema_refuses_a_row_without_its_colon(row: str) -> None:
    assert re.search(PHONE_ROW, row) is None


def test_phones_are_read_with_their_accounts() -> None:
    """The serial may have colons, as a phone over the network has."""
    found = read_phones(["192.168.0.7:5555: ada, @ben (instagram)", "192.168.0.8:5555", "  "])

    assert [(p.serial, [a.key for a in p.accounts]) for p in found] == [
        ("192.168.0.7:5555", ["TikTok ada", "Instagram ben"]),
        ("192.168.0.8:5555", []),
    ]
    with pytest.raises(InputError, match="Europe/Berlin"):
        read_zone("Berlin")


@pytest.mark.parametrize(
    ("url", "platform", "key"),
    [
        ("https://www.tiktok.com/@a.b/video/72?is=1", "TikTok", "TikTok 72"),
        ("https://vm.tiktok.com/ZMabc/", "TikTok", "TikTok ZMabc"),
        ("https://www.instagram.com/p/Cx-_1/", "Instagram", "Instagram Cx-_1"),
        ("https://www.instagram.com/reel/Cx-_1", "Instagram", "Instagram Cx-_1"),
    ],
)
def test_a_post_is_known_by_its_number_whatever_its_address(url: str, platform: Any, key: str) -> None:
    """A second comment must not slip through with another spelling."""
    assert post_key(url, platform) == key


def test_every_target_is_for_every_actor_in_one_request() -> None:
    """3 posts on 2 phones are 6 tasks of one request; the same post given twice is one."""
    urls = [URL.format(n) for n in (1, 2, 3)]

    plan = _plan(_comment(devices=["A1", "C3"], post_urls=[*urls, urls[0] + "?lang=de"]))

    (part,) = plan.parts
    assert (part.task_count, plan.task_count, plan.left_out) == (6, 6, ())
    assert [text for _, text in part.targets] == urls


def test_all_and_every_account_name_only_what_is_listed_for_the_platform() -> None:
    """A phone without listed accounts stands for itself; every account is asked for by name."""
    phones = _plan(WarmUpForm(devices=["all"]))
    accounts = _plan(WarmUpForm(usernames=["all"]))
    every = _plan(WarmUpForm(devices=["A1"], every_account=True))

    assert _sent(phones) == {("A1", ""), ("B2", ""), ("C3", "")}
    assert _sent(accounts) == {("ada", ""), ("ada.two", ""), ("ben", "")}
    assert _sent(every) == {("ada", ""), ("ada.two", "")}


def test_a_daily_limit_leaves_the_rest_out_and_says_so() -> None:
    """The first targets are kept; what the account did today counts."""
    urls = [URL.format(n) for n in (1, 2, 3, 4)]

    plan = _plan(_comment(devices=[], usernames=["ada"], post_urls=urls), PhoneHistory(today={"TikTok ada": 1}))

    assert _sent(plan) == {("ada", urls[0]), ("ada", urls[1])}
    assert plan.left_out == ("2 comments skipped (daily limit of 3 comments for each account): ada (2)",)


def test_a_phone_counts_for_each_account_that_may_be_logged_in() -> None:
    """Which of two it is cannot be known, so neither may go over its limit."""
    plan = _plan(WarmUpForm(devices=["A1"]), PhoneHistory(today={"TikTok ada.two": 2}))

    assert plan.parts == ()
    assert "daily limit of 2 warm-ups" in plan.left_out[0]


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (Earlier.DONE, "commented on this post before"),
        (Earlier.UNKNOWN, "may have commented on this post before"),
        (Earlier.REQUESTED, "already requested a comment on this post"),
    ],
)
def test_no_account_comments_twice_on_a_post(known: Earlier, words: str) -> None:
    """It says what is known. Actors with different targets go in different requests."""
    urls = [URL.format(1), URL.format(2)]
    history = PhoneHistory(done={("TikTok ada", "TikTok 1"): known})

    plan = _plan(_comment(devices=[], usernames=["ada", "ben"], post_urls=urls), history)

    assert _sent(plan) == {("ada", urls[1]), ("ben", urls[0]), ("ben", urls[1])}
    assert [part.task_count for part in plan.parts] == [2, 1]
    assert plan.left_out == (f"1 comment skipped ({words}): ada: {urls[0]}",)


def test_only_whom_reelflow_followed_is_unfollowed() -> None:
    """Unless the form says otherwise."""
    history = PhoneHistory(followed=frozenset({("TikTok ada", "old.friend")}))
    form = {"usernames": ["ada"], "users": ["@Old.Friend", "stranger"]}

    plan = _plan(UnfollowForm(**form), history)
    all_of_them = _plan(UnfollowForm(**form, only_followed_here=False), history)

    assert _sent(plan) == {("ada", "Old.Friend")}
    assert "did not follow this user through reelflow" in plan.left_out[0]
    assert _sent(all_of_them) == {("ada", "Old.Friend"), ("ada", "stranger")}


@pytest.mark.parametrize(
    ("quiet", "start_at", "until"),
    [
        ((time(22), time(7)), "", None),
        ((time(11), time(14)), "", NOON + timedelta(hours=2)),
        ((time(22), time(7)), "07:00", None),
    ],
)
def test_nothing_is_begun_in_quiet_hours(quiet: tuple[time, time], start_at: str, until: datetime | None) -> None:
    """By the owner's clock; the plan says until when."""
    plan = _plan(WarmUpForm(devices=["A1"], start_at=start_at), quiet=quiet)

    assert bool(plan.parts) is (until is None)
    assert plan.quiet_until == (until and until.timestamp())
    assert until is None or "quiet hours from 11:00 to 14:00, UTC" in plan.left_out[0]


@pytest.mark.parametrize("start_at", ["23:30", "06:59"])
def test_a_time_to_start_at_in_quiet_hours_is_refused(start_at: str) -> None:
    """Nothing would ever be done then; over midnight too."""
    with pytest.raises(InputError, match=f"'Start at' {start_at} is in the quiet hours of the host block .from 22:00"):
        _plan(WarmUpForm(devices=["A1"], start_at=start_at), quiet=(time(22), time(7)))


def test_days_are_those_of_the_owners_zone() -> None:
    """At noon UTC it is already tomorrow in Auckland, and its day began at 11 UTC."""
    start = _rails(zone=ZoneInfo("Pacific/Auckland")).day_start(NOON)

    assert start.astimezone(UTC) == datetime(2026, 11, 22, 11, tzinfo=UTC)


def test_what_the_same_run_has_asked_for_is_not_planned_again() -> None:
    """A run that is retried goes on where it was."""
    plan = _plan(WarmUpForm(usernames=["ada", "ben"]), PhoneHistory(by_this_run=frozenset({("TikTok ada", "")})))

    assert _sent(plan) == {("ben", "")}


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (EngageForm(), "Nothing for the phones to do"),
        (EngageForm(comments=["  ", "\n"]), "Nothing for the phones to do"),
        (EngageForm(warm_up_seconds=9), "at least 10 seconds"),
        (EngageForm(comments=["nice"], comment_on=[]), "Choose at least one platform in 'Comment on'"),
        (EngageForm(comments=["nice"], comment_on=["Instagram"], image_path="x"), "work on TikTok only"),
    ],
)
def test_what_the_phones_cannot_do_for_a_post_is_said(form: EngageForm, words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_engagement(form)


@pytest.mark.parametrize(
    ("form", "jobs"),
    [
        (EngageForm(warm_up_seconds=60, comments=["nice"]), [EngagementJob.WARM_UP, EngagementJob.COMMENT]),
        (EngageForm(warm_up_seconds=60, comments=["  "]), [EngagementJob.WARM_UP]),
        (EngageForm(comments=["nice"]), [EngagementJob.COMMENT]),
    ],
)
def test_empty_rows_of_comments_ask_for_no_comments(form: EngageForm, jobs: list[EngagementJob]) -> None:
    """A phone PC need not have a deployment for what it is not asked to do."""
    assert engagement_jobs(form) == jobs


TIKTOK = Account(id="a1", platform="TikTok", name="@mara")
INSTAGRAM = Account(id="b1", platform="Instagram", name="mara")


@pytest.mark.parametrize(
    ("outcome", "why"),
    [
        ({"account": INSTAGRAM, "state": PostState.SUCCESS, "link": "https://www.instagram.com/p/C/"},
         "the video was not posted there"),
        ({"state": PostState.SUCCESS, "link": None}, "Taisly returned no link to the post"),
        ({"state": PostState.SUCCESS, "link": "https://www.tiktok.com/@mara"}, "Taisly returned no link to the post"),
        ({"state": PostState.PENDING}, "the post has no outcome there yet"),
        ({"state": PostState.FAILED}, "the post was not published there (failed)"),
    ],
)  # fmt: skip
def test_a_post_that_cannot_be_commented_on_is_skipped_and_says_why(outcome: dict[str, Any], why: str) -> None:
    parts, skipped = comment_parts(EngageForm(comments=["nice"]), [Outcome(**({"account": TIKTOK} | outcome))])

    assert parts == []
    assert skipped == [f"No comments on TikTok: {why}."]


def test_comments_go_to_what_was_published_and_nowhere_without_texts() -> None:
    published = [Outcome(account=TIKTOK, state=PostState.SUCCESS, link=URL.format(1))]

    (part,), skipped = comment_parts(EngageForm(comments=["nice"]), published)

    assert isinstance(part.form, CommentForm)
    assert (part.form.post_urls, part.form.comments, skipped) == ([URL.format(1)], ["nice"], [])
    assert comment_parts(EngageForm(warm_up_seconds=60), published) == ([], [])


def test_every_field_of_both_forms_is_offered_and_reaches_the_phones() -> None:
    """Under the same name, or with "warm_up_" before it; one that is added to a script is not forgotten here."""
    of_the_post = {"post_urls", "platform", "dry_run", "max_lateness_minutes"}
    own = {"comment_on", "phone_pc", "max_lateness_hours"}
    form = EngageForm(
        devices=["A1"], comments=["nice"], comment_order="sequential", insert_emoji=True, image_path="C:\\a.png",
        every_account=True, most_tasks=7, retries=2, watch_minutes=5, start_at="12:30", warm_up_seconds=60,
        warm_up_topics=["bread"], warm_up_min_seconds=5, warm_up_max_seconds=6, warm_up_like_percent=1,
        warm_up_follow_percent=2, warm_up_collect_percent=3, warm_up_comment_percent=4, warm_up_comments=["yum"],
        warm_up_comment_order="sequential", warm_up_insert_emoji=True, warm_up_write_with_chatgpt=True,
    )  # fmt: skip
    published = [Outcome(account=TIKTOK, state=PostState.SUCCESS, link=URL.format(1))]

    (comment,), _ = comment_parts(form, published)
    (warm_up,) = warm_up_parts(form, dry_run=False)

    of_comments = set(CommentForm.model_fields) - of_the_post
    of_warm_ups = set(WARM_UP_FIELDS.values())
    assert set(EngageForm.model_fields) == of_comments | of_warm_ups | own
    assert set(WarmUpForm.model_fields) - of_the_post == set(PhoneForm.model_fields) - of_the_post | set(WARM_UP_FIELDS)
    assert comment.form.model_dump(include=of_comments) == form.model_dump(include=of_comments)
    assert warm_up.form.model_dump(include=set(WARM_UP_FIELDS)) == {
        name: getattr(form, field) for name, field in WARM_UP_FIELDS.items()
    }
    changed = {name for name, field in EngageForm.model_fields.items() if getattr(form, name) != field.default}
    assert changed == set(EngageForm.model_fields) - {"usernames", "comment_on", "phone_pc", "max_lateness_hours"}


def test_an_image_goes_with_comments_on_tiktok_only() -> None:
    form = EngageForm(comments=["nice"], comment_on=["TikTok", "Instagram"], image_path="C:\\a.png", devices=["A1"])

    images = {sample.platform: sample.image_path for sample in sample_forms(form) if isinstance(sample, CommentForm)}

    assert images == {"TikTok": "C:\\a.png", "Instagram": ""}


def test_the_parts_are_checked_before_the_video_is_published() -> None:
    """The task limit, and what a warm-up cannot have, too."""
    limited = EngageForm(usernames=["all"], comments=["nice"], most_tasks=1)
    contradicting = EngageForm(usernames=["ada"], warm_up_seconds=60, warm_up_comment_percent=5)

    for form, words in ((limited, "more than the 'Task limit' of 1"), (contradicting, "there are no comment texts")):
        with pytest.raises(InputError, match=words):
            [make_request(sample, _rails()) for sample in sample_forms(form)]


def test_parameters_of_before_are_taken_with_the_same_meaning() -> None:
    """Saved with a deployment, or copied from an earlier run: all fields that the form had, folded or not."""
    before = {
        "devices": ["A1"], "usernames": [], "comments": ["nice"], "comment_on": ["TikTok"],
        "comment_order": "sequential", "warm_up_seconds": 60, "warm_up_topics": ["bread"], "phone_pc": "attic",
        "most_tasks": 7, "watch_minutes": 5,
    }  # fmt: skip
    folded = {"comment_order", "warm_up_topics", "phone_pc", "most_tasks", "watch_minutes"}
    as_sent = {name: value for name, value in before.items() if name not in folded} | {
        "advanced": {name: before[name] for name in folded}
    }

    form = EngageForm.model_validate(before)

    assert form.model_dump(include=set(before)) == before
    assert EngageForm.model_validate(as_sent) == form
    assert form == EngageForm(**before)
