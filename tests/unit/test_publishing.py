from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from reelflow.errors import InputError
from reelflow.posts.accounts import account_names, check_caption, choose_accounts
from reelflow.posts.outcomes import outcomes_of
from reelflow.posts.report import PublishReport, Unanswered, describe, summarize
from reelflow.posts.schedule import publishing_time
from reelflow.records.post_states import PostState
from reelflow.records.posts import Account, Outcome, PostRequest, Video
from reelflow.taisly.wire import HistoryItem
from reelflow.time_zones import shown, use_zone

NOW = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
ONE = Account(id="a1", platform="TikTok", name="@mara.bakes")
TWO = Account(id="a2", platform="TikTok", name="@mara.two")
INSTA = Account(id="b1", platform="Instagram", name="mara.bakes")
X = Account(id="d1", platform="X", name="@marabakes")
TUBE = Account(id="c1", platform="YouTube", name="Mara Bakes")
CONNECTED = [ONE, TWO, INSTA, TUBE, X]
IDS = {account.id for account in CONNECTED}


def make_post(**changes: Any) -> PostRequest:
    video = Video(
        path=Path("/v/bread.mp4"), sha256="0" * 64, size_bytes=2_000_000, modified_ns=1, width=1080, height=1920,
        duration=12.5,
    )  # fmt: skip
    values = {"video": video, "accounts": [ONE, X], "caption": "", "scheduled_for": None, "preview_second": 0}
    return PostRequest(**(values | changes))


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        (["a1"], [ONE]),
        (["@mara.bakes", "x"], None),
        (["tiktok @mara.bakes"], [ONE]),
        (["TikTok: mara.two"], [TWO]),
        (["mara.two"], [TWO]),
        (["YOUTUBE", "instagram"], [TUBE, INSTA]),
        (["X", "d1", "@marabakes"], [X]),
        (["Mara Bakes"], [TUBE]),
        (["all"], CONNECTED),
        (["ALL", "all"], CONNECTED),
        (["x", "ALL"], None),
        (["all, x"], None),
        (["TikTok @mara.bakes (id a1)"], [ONE]),
        (["X, instagram", " "], [X, INSTA]),
        (["tiktok"], None),
        (["facebook"], None),
        (["a"], None),
        (["", "  "], None),
        ([], None),
    ],
    ids=str,
)
def test_an_account_is_named_as_people_name_it(wanted: list[str], chosen: list[Account] | None) -> None:
    """By id, name, platform or both; what is unknown or fits two is refused with what is connected."""
    if chosen is not None:
        assert choose_accounts(wanted, CONNECTED) == chosen
        return
    with pytest.raises(InputError) as caught:
        choose_accounts(wanted, CONNECTED)
    assert "TikTok @mara.bakes" in str(caught.value)


def test_a_name_that_is_nearly_one_is_asked_about() -> None:
    """As for options and time zones."""
    with pytest.raises(InputError, match=r"matches 'tiktok mara\.bakse'\. Did you mean TikTok @mara\.bakes\?"):
        choose_accounts(["tiktok mara.bakse"], CONNECTED)
    with pytest.raises(InputError, match=r"matches 'YuoTube'\. Did you mean YouTube\?"):
        choose_accounts(["YuoTube"], CONNECTED)


def test_all_beside_one_account_is_refused() -> None:
    """A form whose default is 'all' would else publish everywhere, to a person who added the one that is meant."""
    with pytest.raises(InputError, match="Remove 'all' to post only to YouTube Mara Bakes, or remove the other names"):
        choose_accounts(["all", "YouTube Mara Bakes"], CONNECTED)


def test_each_account_is_listed_under_a_name_that_chooses_it() -> None:
    """With its ID only where the name alone is that of several, as at a platform that lets two share one."""
    twin = Account(id="a9", platform="X", name="@marabakes")
    connected = [*CONNECTED, twin]

    names = account_names(connected)

    assert names[0] == "TikTok @mara.bakes"
    assert names[-1] == "X @marabakes (id a9)"
    assert [choose_accounts([name], connected) for name in names] == [[account] for account in connected]


def test_no_connected_account_is_said() -> None:
    """Before anything about names."""
    with pytest.raises(InputError, match="No accounts are connected"):
        choose_accounts(["all"], [])


@pytest.mark.parametrize(
    ("length", "accounts", "ok"),
    [(100, [X], True), (101, [X], False), (101, [ONE, X], False), (2200, [ONE], True), (2201, [ONE], False)],
)
def test_a_caption_is_checked_for_each_platform_and_never_cut(length: int, accounts: list, ok: bool) -> None:
    """X takes 100 characters, the others 2200."""
    if ok:
        check_caption("é" * length, accounts)
    else:
        with pytest.raises(InputError, match=str(length)):
            check_caption("é" * length, accounts)


@pytest.mark.parametrize(
    ("when", "zone", "expected"),
    [
        (None, "", None),
        (datetime(2026, 7, 1, 15, tzinfo=UTC), "", datetime(2026, 7, 1, 15, tzinfo=UTC)),
        (datetime(2026, 7, 1, 15), "Europe/Berlin", datetime(2026, 7, 1, 13, tzinfo=UTC)),  # noqa: DTZ001
        (datetime(2026, 12, 1, 15), "America/New_York", datetime(2026, 12, 1, 20, tzinfo=UTC)),  # noqa: DTZ001
        (datetime(2026, 7, 1, 15, tzinfo=timezone(timedelta(hours=2))), "Asia/Tokyo",
         datetime(2026, 7, 1, 13, tzinfo=UTC)),
    ],
)  # fmt: skip
def test_a_time_without_a_zone_is_one_of_the_named_zone(
    when: datetime | None, zone: str | None, expected: datetime | None
) -> None:
    """Summer and winter; a time with a zone keeps its own."""
    assert publishing_time(when, zone, NOW) == expected


def test_a_time_without_any_zone_is_one_of_the_zone_in_which_times_are_shown() -> None:
    use_zone("Asia/Tokyo")
    try:
        assert publishing_time(datetime(2026, 7, 2, 15), "", NOW) == datetime(2026, 7, 2, 6, tzinfo=UTC)  # noqa: DTZ001
    finally:
        use_zone(None)


@pytest.mark.parametrize(
    ("when", "zone", "words"),
    [
        (datetime(2026, 7, 1, 15), "Mars/Olympus", "Unknown time zone 'Mars/Olympus'"),  # noqa: DTZ001
        (datetime(2026, 7, 1, 15), "../etc/passwd", "Unknown time zone"),  # noqa: DTZ001
        (datetime(2027, 3, 28, 2, 30), "Europe/Berlin", "does not exist"),  # noqa: DTZ001
        (NOW, "", "less than a minute in the past"),
        (NOW - timedelta(minutes=1), "", "1 minute in the past"),
        (NOW - timedelta(hours=3), "", "3 hours in the past"),
        (datetime(2026, 7, 1, 13, 59), "Europe/Berlin", "1 minute in the past"),  # noqa: DTZ001
    ],
)
def test_a_time_that_cannot_be_meant_is_refused(when: datetime, zone: str | None, words: str) -> None:
    """In a wrong zone, an hour that the clocks skip, the past."""
    with pytest.raises(InputError, match=words):
        publishing_time(when, zone, NOW)


def _item(*results: dict) -> HistoryItem:
    return HistoryItem.model_validate({"id": "h", "result": list(results)})


def test_outcomes_are_told_apart_by_account_id() -> None:
    """Two accounts of one platform, in another order than asked."""
    item = _item(
        {"platform": "TikTok", "platformId": "a2", "status": "FAILED", "error": "banned"},
        {"platform": "TikTok", "platformId": "a1", "status": "SUCCESS", "url": "https://t/1"},
    )

    one, two = outcomes_of([ONE, TWO], item, connected=IDS)

    assert (one.state, one.link) == (PostState.SUCCESS, "https://t/1")
    assert (two.state, two.detail) == (PostState.FAILED, "banned")


def test_outcomes_without_ids_go_by_platform_in_order() -> None:
    """What clients in the wild get."""
    item = _item({"identifier": "x", "status": "SUCCESS"}, {"identifier": "TikTok", "status": "PENDING"})

    assert [o.state for o in outcomes_of([ONE, X], item, connected=IDS)] == [PostState.PENDING, PostState.SUCCESS]


def test_another_accounts_result_is_not_taken_for_ours() -> None:
    """The id of another connected account is that one's outcome; an id of something else says nothing."""
    other, unknown = (
        _item({"platform": "TikTok", "platformId": platform_id, "status": "SUCCESS"}) for platform_id in (TWO.id, "zz")
    )

    assert [o.state for o in outcomes_of([ONE], other, connected=IDS)] == [PostState.PENDING]
    assert [o.state for o in outcomes_of([ONE], unknown, connected=IDS)] == [PostState.SUCCESS]


def test_a_status_nobody_documented_is_not_an_outcome() -> None:
    """It stays open, and is shown."""
    (outcome,) = outcomes_of([ONE], _item({"platform": "TikTok", "status": "REVIEW"}), connected=IDS)

    assert (outcome.state, outcome.detail) == (PostState.PENDING, "Taisly reports the status 'REVIEW'")
    assert outcomes_of([ONE], None, connected=IDS)[0].state is PostState.PENDING


def test_a_dry_run_says_exactly_what_would_be_sent() -> None:
    """File, caption, preview, accounts, time."""
    words = describe(make_post(caption="Hi", scheduled_for=NOW, preview_second=2))

    for part in ("bread.mp4", "1080x1920", "12.5 s", "2.0 MB", "'Hi'", "at 2 s", "TikTok @mara.bakes", "X @marabakes",
                 shown(NOW)):  # fmt: skip
        assert part in words


@pytest.mark.parametrize(
    ("states", "words"),
    [
        ([PostState.SUCCESS, PostState.SUCCESS], "Published to 2 of 2 accounts: TikTok @mara.bakes, X @marabakes."),
        ([PostState.SUCCESS, PostState.FAILED], "Failed on X @marabakes: why. "
         "Published to 1 of 2 accounts: TikTok @mara.bakes."),
        ([PostState.SUCCESS, PostState.PENDING], "Published to 1 of 2 accounts: TikTok @mara.bakes. "
         "No outcome yet from X @marabakes."),
    ],
)  # fmt: skip
def test_what_became_of_a_post_fits_in_one_line(states: list[PostState], words: str) -> None:
    """Failures first: they are what a person must act on."""
    found = [Outcome(account=a, state=s, detail="why") for a, s in zip((ONE, X), states, strict=True)]
    report = PublishReport(request=make_post(), outcomes=found)

    assert summarize(report) == words


@pytest.mark.parametrize(
    ("until", "look"),
    [
        (NOW, f"looked for in Taisly's history until {shown(NOW)}"),
        (None, "still looked for in Taisly's history"),
    ],
)
def test_what_taisly_has_not_confirmed_is_not_called_on_its_way(until: datetime | None, look: str) -> None:
    """A scheduled one neither: it is not certain that Taisly has it."""
    report = PublishReport(
        request=make_post(scheduled_for=NOW + timedelta(hours=5)),
        outcomes=[Outcome(account=a, state=PostState.PENDING) for a in (ONE, X)],
        unanswered=[Unanswered(send_id="e8", accounts=[ONE], until=until)],
    )

    assert summarize(report) == (
        f"Taisly has not confirmed the post to TikTok @mara.bakes; it is {look} (send ID e8). "
        f"Scheduled for {shown(NOW + timedelta(hours=5))} at X @marabakes."
    )


def test_a_scheduled_post_is_not_called_late() -> None:
    """No outcome before its time is as it should be."""
    post = make_post(scheduled_for=NOW + timedelta(hours=5))
    report = PublishReport(request=post, outcomes=[Outcome(account=ONE, state=PostState.PENDING)])

    assert summarize(report) == f"Scheduled for {shown(NOW + timedelta(hours=5))} at 1 account."
    assert summarize(report.model_copy(update={"is_due": True})) == "No outcome yet from TikTok @mara.bakes."
