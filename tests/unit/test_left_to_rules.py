"""A post and Taisly's repost rules: refused where it would arrive twice, or left to the rule, as a person chooses."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.campaigns import Campaign, row
from support.clock import Clock

from reelflow.campaigns.by_rules import look_at_rules_again, without_copied
from reelflow.campaigns.posts import CheckedPlan
from reelflow.errors import DuplicatePost, NothingSent
from reelflow.ledger import Ledger
from reelflow.posts.form import LEAVE, REFUSE
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.posts.reposts import CopiedBefore, Split, check_rules_of_now, split_by_rules
from reelflow.posts.sending import send_post
from reelflow.posts.watching import watch_posts
from reelflow.records.posts import Account, PostRequest
from reelflow.sandbox.catalog import ACCOUNTS

Videos = Callable[[int], Path]
Post = Callable[..., PostRequest]
ALL = [Account(id=name, platform=name.upper()) for name in "abcde"]
TIKTOK, _, INSTAGRAM, YOUTUBE, X, _ = (
    Account(id=a["id"], platform=a["platform"], name=a["displayName"]) for a in ACCOUNTS
)


def pairs(text: str) -> list[tuple[str, str]]:
    """From "ab bc": a is copied to b, and b to c."""
    return [(each[0], each[1]) for each in text.split()]


def accounts(names: str) -> list[Account]:
    return [next(account for account in ALL if account.id == name) for name in names]


@pytest.mark.parametrize(
    ("posted", "copied", "sent", "left"),
    [
        ("ab", "ab", "a", "b<a"),
        ("ba", "ab", "a", "b<a"),
        ("abc", "ab ac", "a", "b<a c<a"),
        ("ab", "", "ab", ""),
        ("a", "ab", "a", ""),
        ("bc", "ab", "bc", ""),
        ("ab", "ab ba", "a", "b<a"),
        ("abd", "ab cd", "ad", "b<a"),
    ],
    ids=["a rule", "the other order", "two targets", "no rule", "only the source", "not the source", "both ways",
         "a rule of another account"],
)  # fmt: skip
def test_what_a_rule_copies_anyway_is_left_to_it(posted: str, copied: str, sent: str, left: str) -> None:
    """The source is sent to, and each account is reached once."""
    found = split_by_rules(accounts(posted), pairs(copied), LEAVE, connected=ALL)

    assert ("".join(a.id for a in found.accounts), found.reason) == (sent, "")
    assert " ".join(f"{each.account.id}<{each.source.id}" for each in found.left) == left


@pytest.mark.parametrize(
    ("posted", "copied", "choice", "words"),
    [
        ("ab", "ab", REFUSE, "twice to B: a repost rule copies every post from A there. Remove B from 'Accounts'"),
        ("ac", "ab bc", REFUSE, "twice to C: a repost rule copies every post from A there"),
        ("ac", "ab bc", LEAVE, "C is at the end of a chain of repost rules"),
        ("abc", "ab bc", LEAVE, "C is at the end of a chain of repost rules"),
        ("ac", "ab cb", REFUSE, "twice to B: repost rules copy every post from A and from C there"),
        ("ac", "ab cb", LEAVE, "twice to B: repost rules copy every post from A and from C there"),
        ("abc", "ab cb", LEAVE, "twice to B: repost rules copy every post from A and from C there"),
        ("a", "ab ab", REFUSE, "twice to B: repost rules copy every post from A and from A there. Pause one of the"),
    ],
    ids=["a rule", "a chain", "a chain is not relied on", "nor one whose middle is posted to", "two sources",
         "two sources left", "two sources and the target", "the same rule twice"],
)  # fmt: skip
def test_what_would_arrive_twice_or_perhaps_never_is_refused(posted: str, copied: str, choice: Any, words: str) -> None:
    """With the account, the way and what to do."""
    found = split_by_rules(accounts(posted), pairs(copied), choice, connected=ALL)

    assert words in found.reason


def _copies(sandbox: Any, source: Account, target: Account) -> str:
    with sandbox.taisly() as client:
        client.add_repost(source.id, [target.id])
        return client.reposts()[-1].id


def _publish(taisly: RateLimitedTaisly, post: PostRequest) -> None:
    send_post(taisly, post)
    watch_posts(taisly, None, seconds=900)


def _reason(taisly: RateLimitedTaisly, post: PostRequest) -> str:
    return CopiedBefore(taisly, taisly.connected_accounts()).reason(post)


@pytest.mark.parametrize("caption", ["one", "another caption"])
def test_a_later_post_to_where_a_rule_has_copied_it_is_refused(
    sandbox: Any, taisly: RateLimitedTaisly, checked: Post, caption: str
) -> None:
    """It was sent only to the first account; whether the copy is out yet makes no difference."""
    _copies(sandbox, TIKTOK, X)
    first = checked(accounts=[TIKTOK])
    _publish(taisly, first)
    second = first.model_copy(update={"accounts": [X], "caption": caption})

    found = _reason(taisly, second)

    assert found.startswith("X @marabakes may have it already: a repost rule copies every post from TikTok @mara.bakes")
    assert found.endswith("and it was published. Check X @marabakes.")
    assert _reason(taisly, second.model_copy(update={"repeat": 1})) == ""
    assert _reason(taisly, checked("another video", accounts=[X])) == ""
    assert _reason(taisly, first.model_copy(update={"accounts": [YOUTUBE]})) == ""


@pytest.mark.parametrize("copied", [True, False])
def test_after_a_rule_was_paused_the_history_tells_whether_it_copied_the_post(
    sandbox: Any, taisly: RateLimitedTaisly, checked: Post, clock: Clock, copied: bool
) -> None:
    """One request, and only where a paused rule leads to the account; a copy is a post of its own there."""
    rule, post = _copies(sandbox, TIKTOK, X), checked(accounts=[TIKTOK])
    with sandbox.taisly() as client:
        client.pause_repost(rule, paused=not copied)
        _publish(taisly, post)
        client.pause_repost(rule, paused=True)
    taisly.copied_accounts()
    clock.sleep(700)
    sandbox.set_clock(clock.passed)
    assert taisly.copied_accounts() == []
    reads = sandbox.requests("GET /api/private/post/history")

    found = _reason(taisly, post.model_copy(update={"accounts": [X]}))

    assert bool(found) is copied
    assert not found or found.startswith("X @marabakes has it already, as Taisly's history shows")
    assert sandbox.requests("GET /api/private/post/history") == reads + 1
    assert _reason(taisly, post.model_copy(update={"accounts": [YOUTUBE]})) == ""
    assert sandbox.requests("GET /api/private/post/history") == reads + 1


def test_a_row_is_left_to_the_rule_if_the_form_says_so(taisly: RateLimitedTaisly, videos: Videos, sandbox: Any) -> None:
    """It is sent to the first account, takes no slot of the other one, and the report says what to check there."""
    _copies(sandbox, INSTAGRAM, YOUTUBE)
    campaign = Campaign(taisly, row(1, videos(1), accounts=("YouTube", "Instagram")), copied_by_rule=LEAVE)

    checked = campaign.check()
    campaign.send(checked)

    assert (checked.problems, [d.account for d in checked.drafts]) == ([], [INSTAGRAM])
    (skipped,) = checked.skipped
    assert (skipped.accounts, skipped.is_failure) == ((YOUTUBE,), False)
    assert skipped.reason.startswith("Not sent to YouTube Mara Bakes: a repost rule copies it there once")
    assert [post["platforms"] for post in sandbox.posts] == [[INSTAGRAM.id]]
    again = campaign.check()
    assert (again.problems, again.drafts, len(again.known)) == ([], [], 1)


def test_a_row_that_was_sent_before_there_was_a_rule_is_not_wrong(
    taisly: RateLimitedTaisly, videos: Videos, sandbox: Any, clock: Clock
) -> None:
    """Nothing of it is sent any more."""
    campaign = Campaign(taisly, row(1, videos(1), accounts=("YouTube", "Instagram")))
    campaign.send()
    _copies(sandbox, INSTAGRAM, YOUTUBE)
    clock.sleep(700)

    checked = campaign.check()

    assert (checked.problems, len(checked.known)) == ([], 2)


def test_a_row_for_where_a_rule_has_copied_another_row_is_named(
    taisly: RateLimitedTaisly, videos: Videos, sandbox: Any
) -> None:
    """The first was sent to the source only; the later one says so, and what to do about it."""
    _copies(sandbox, INSTAGRAM, YOUTUBE)
    Campaign(taisly, row(1, videos(1), accounts=("Instagram",))).send()

    checked = Campaign(taisly, row(1, videos(1), accounts=("YouTube",)), row(2, videos(2))).check()

    (problem,) = checked.problems
    assert (problem.number, problem.code) == (1, "repost_rule")
    assert problem.sentence.startswith("YouTube Mara Bakes may have it already: a repost rule copies every post from")
    assert problem.sentence.endswith("put 1 into its column 'repeat'.")


@pytest.mark.parametrize("choice", [REFUSE, LEAVE])
@pytest.mark.parametrize("names", [("Instagram", "YouTube"), ("YouTube", "Instagram")], ids=["source first", "last"])
def test_two_rows_with_one_video_are_as_one_row(
    taisly: RateLimitedTaisly, videos: Videos, sandbox: Any, names: tuple[str, str], choice: Any
) -> None:
    """The rule would copy the one to the account of the other; on purpose, that is sent all the same."""
    _copies(sandbox, INSTAGRAM, YOUTUBE)
    rows = [row(number, videos(1), accounts=(name,), caption="c") for number, name in enumerate(names, 1)]

    checked = Campaign(taisly, *rows, copied_by_rule=choice).check()
    on_purpose = Campaign(taisly, *(replace(each, repeat=1) for each in rows), copied_by_rule=choice).check()

    if choice == REFUSE:
        assert [(problem.number, problem.code) for problem in checked.problems] == [(2, "repost_rule")]
        assert checked.problems[0].sentence.endswith("Row 1 has the same video.")
    else:
        assert [draft.account for draft in checked.drafts] == [INSTAGRAM]
        assert [skipped.accounts for skipped in checked.skipped] == [(YOUTUBE,)]
    assert (on_purpose.problems, len(on_purpose.drafts)) == ([], 2)


def test_the_rules_are_asked_once_for_two_accounts_however_many_rows_have_one_video(
    taisly: RateLimitedTaisly, videos: Videos
) -> None:
    """A plan of a thousand rows has half a million pairs of them."""
    rows = [row(n, videos(1), accounts=("Instagram",) if n % 2 else ("YouTube",)) for n in range(1, 21)]
    drafts = Campaign(taisly, *rows).check().drafts
    asked: list[tuple[str, ...]] = []

    def split(accounts: Sequence[Account]) -> Split:
        asked.append(tuple(account.id for account in accounts))
        return Split(list(accounts))

    kept, _ = without_copied(drafts, drafts, split, CheckedPlan())

    assert len(kept) == len(drafts) == 20
    assert len(asked) == len(rows) + 2


@pytest.mark.parametrize(("choice", "sent"), [(REFUSE, []), (LEAVE, [INSTAGRAM])])
def test_a_rule_that_is_made_while_a_campaign_waits_for_approval_counts(
    taisly: RateLimitedTaisly, videos: Videos, sandbox: Any, clock: Clock, choice: Any, sent: list[Account]
) -> None:
    """The rules are looked at again before anything is sent, with no request if that was minutes ago."""
    campaign = Campaign(taisly, row(1, videos(1), accounts=("Instagram", "YouTube")), copied_by_rule=choice)
    checked, reads = campaign.check(), sandbox.requests("GET /api/private/reposts")
    look_at_rules_again(taisly, campaign.form, checked)
    assert sandbox.requests("GET /api/private/reposts") == reads
    _copies(sandbox, INSTAGRAM, YOUTUBE)
    clock.sleep(3600)

    look_at_rules_again(taisly, campaign.form, checked)

    assert [draft.account for draft in checked.right_drafts()] == sent
    assert [problem.code for problem in checked.problems] == (["repost_rule"] if choice == REFUSE else [])


def test_rules_that_cannot_be_read_before_sending_send_nothing(
    taisly: RateLimitedTaisly, videos: Videos, sandbox: Any, clock: Clock
) -> None:
    """It is only a read, so the step may be repeated."""
    campaign = Campaign(taisly, row(1, videos(1)))
    checked = campaign.check()
    clock.sleep(3600)
    sandbox.order_fault("status_before", "GET", "*/reposts", status=502)

    with pytest.raises(NothingSent, match="repost rules cannot be read"):
        look_at_rules_again(taisly, campaign.form, checked)


@pytest.mark.parametrize(("fault", "status"), [("status_before", 403), ("status_before", 404), ("garbage_after", 0)])
def test_rules_that_cannot_be_read_are_those_that_were_read_last(
    taisly: RateLimitedTaisly, sandbox: Any, clock: Clock, fault: str, status: int
) -> None:
    """The page of a proxy, or an answer that cannot be understood, is no word of Taisly's that there are none."""
    _copies(sandbox, TIKTOK, X)
    answer = {"status": status} if status else {}
    sandbox.order_fault(fault, "GET", "*/reposts", **answer)
    with pytest.raises(NothingSent, match="repost rules cannot be read"):
        taisly.copied_accounts()
    assert taisly.copied_accounts() == [(TIKTOK.id, X.id)]
    clock.sleep(700)
    sandbox.order_fault(fault, "GET", "*/reposts", **answer)

    assert taisly.copied_accounts() == [(TIKTOK.id, X.id)]


def test_a_rule_that_is_made_while_a_post_waits_for_its_upload_counts(
    taisly: RateLimitedTaisly, sandbox: Any, checked: Post, clock: Clock
) -> None:
    """Nothing has left yet: neither the post to both accounts, nor one to where the rule copies an earlier one."""
    check = partial(check_rules_of_now, taisly)
    taisly.copied_accounts()
    _publish(taisly, checked(accounts=[TIKTOK]))
    _copies(sandbox, TIKTOK, X)
    posts = len(sandbox.posts)
    clock.sleep(700)

    with pytest.raises(DuplicatePost, match="twice to X @marabakes"):
        send_post(taisly, checked("both", accounts=[TIKTOK, X]), before_upload=check)
    with pytest.raises(DuplicatePost, match="X @marabakes may have it already"):
        send_post(taisly, checked(accounts=[X]), before_upload=check)
    send_post(taisly, checked("again", accounts=[YOUTUBE]), before_upload=check)

    assert len(sandbox.posts) == posts + 1


def test_a_campaign_that_sends_for_hours_notices_a_rule_that_is_made_meanwhile(
    taisly: RateLimitedTaisly, videos: Videos, sandbox: Any, clock: Clock
) -> None:
    """Only the posts that it concerns are not sent."""
    rows = (row(1, videos(1), accounts=("Instagram", "YouTube")), row(2, videos(2), accounts=("Instagram",)))
    campaign = Campaign(taisly, *rows)
    checked = campaign.check()
    _copies(sandbox, INSTAGRAM, YOUTUBE)
    clock.sleep(700)

    first, second = campaign.send(checked)

    assert "twice to YouTube Mara Bakes" in first.failure
    assert (second.failure, len(sandbox.posts)) == ("", 1)


def test_what_paused_rules_would_copy_is_remembered_beside_what_active_ones_do(ledger: Ledger) -> None:
    """Only the active ones count for a post that goes to both accounts."""
    ledger.remember_copies("k", [("a", "b")], [("c", "d")])

    assert ledger.known_copies("k", 60) == [("a", "b")]
    assert ledger.known_paused_copies("k") == [("c", "d")]
    ledger.forget_copies("k")
    assert ledger.known_copies("k", float("inf")) is None
