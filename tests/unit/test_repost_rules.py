"""Taisly's repost rules made those of a list: against the sandbox, with lost answers and refusals."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from support.clock import Clock

from reelflow.errors import InputError, NothingSent, OutcomeUnknown, Refused
from reelflow.ledger import Ledger
from reelflow.posts.form import RepostRulesForm, RuleRow
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.posts.repost_rules import RulePlan, apply_rules, check_rules
from reelflow.posts.rules_report import report_of
from reelflow.posts.sending import send_post
from reelflow.posts.watching import watch_posts
from reelflow.sandbox.catalog import ACCOUNTS, API_KEY
from reelflow.taisly import TaislyClient

TIKTOK, BEHIND, INSTAGRAM, YOUTUBE, X, FACEBOOK = (account["id"] for account in ACCOUNTS)
ADD, PAUSE, REMOVE = (f"/api/private/repost/{name}" for name in ("add", "pause", "delete"))
CHANGES = (ADD, PAUSE, REMOVE)


def form(*rules: str, **more: Any) -> RepostRulesForm:
    return RepostRulesForm(rules=list(rules), **more)


def apply(taisly: Any, *rules: str, **more: Any) -> Any:
    plan = check_rules(taisly, form(*rules, **more))
    apply_rules(taisly, plan)
    return plan


def there_is(sandbox: Any, source: str, targets: list[str], *, paused: bool = False) -> None:
    """A rule that was made in Taisly itself."""
    rule = {"_id": sandbox.world.new_id(), "from": source, "to": targets, "isPaused": paused}
    sandbox.world.data.repost_rules.append(rule)


def rules_at(sandbox: Any) -> set[tuple[str, str, bool]]:
    """What the sandbox's rules copy, each as (from, to, paused); nothing may be there twice."""
    found = [(r["from"], t, r["isPaused"]) for r in sandbox.world.data.repost_rules for t in r["to"]]
    assert len({pair[:2] for pair in found}) == len(found)
    return set(found)


def changes(sandbox: Any) -> int:
    return sum(sandbox.requests(f"POST {path}") for path in CHANGES)


def test_rules_become_those_of_the_list_and_a_second_time_nothing_changes(sandbox: Any, taisly: Any) -> None:
    """Added, paused and removed; then two reads to check, one more to carry out, and no change."""
    there_is(sandbox, X, [FACEBOOK])
    there_is(sandbox, INSTAGRAM, [YOUTUBE])
    wanted = ["TikTok @mara.bakes -> Instagram, X", "Instagram -> YouTube (paused)", "X ->"]

    first, made = apply(taisly, *wanted), changes(sandbox)
    second = apply(taisly, *wanted)

    assert rules_at(sandbox) == {(TIKTOK, INSTAGRAM, False), (TIKTOK, X, False), (INSTAGRAM, YOUTUBE, True)}
    assert (len(first.done), made, second.done, changes(sandbox)) == (3, 3, [], 3)
    assert report_of(second, dry_run=False).summary == (
        "The repost rules already match the list. Nothing had to be changed."
    )


def test_a_check_changes_nothing_and_says_what_it_would(sandbox: Any, taisly: Any) -> None:
    """What changes, what it means for posts, and which rules stay although the list does not name them."""
    there_is(sandbox, TIKTOK, [INSTAGRAM, X])
    there_is(sandbox, FACEBOOK, [YOUTUBE])

    report = report_of(check_rules(taisly, form("TikTok @mara.bakes -> Instagram", "X -> YouTube")), dry_run=True)

    assert changes(sandbox) == 0
    assert report.summary == (
        "Dry run: nothing was changed. Would make 4 changes: Pause TikTok @mara.bakes → Instagram mara.bakes, X "
        "@marabakes; Add TikTok @mara.bakes → Instagram mara.bakes; Remove TikTok @mara.bakes → Instagram mara.bakes, "
        "X @marabakes; Add X @marabakes → YouTube Mara Bakes."
    )
    assert [(line.source, line.before, line.after) for line in report.lines] == [
        ("Facebook Mara Bakes", ["YouTube Mara Bakes"], ["YouTube Mara Bakes"]),
        ("TikTok @mara.bakes", ["Instagram mara.bakes", "X @marabakes"], ["Instagram mara.bakes"]),
        ("X @marabakes", [], ["YouTube Mara Bakes"]),
    ]
    assert report.notes == [
        "Every post to X @marabakes, whoever publishes it, is then posted to YouTube Mara Bakes, too",
        "TikTok @mara.bakes → Instagram mara.bakes replaces a larger rule: a post published between the "
        "two changes is not copied",
        "Not in the list, so it stays: Facebook Mara Bakes → YouTube Mara Bakes",
    ]


def test_a_rule_that_will_be_paused_is_called_so_before_it_is_added(taisly: Any) -> None:
    """In the sentence of the check, too: whoever reads only that does not expect its posts to be copied."""
    wanted = form("TikTok @mara.bakes -> Instagram, X, Facebook", "Instagram -> YouTube (paused)")

    report = report_of(check_rules(taisly, wanted), dry_run=True)

    added = [
        "Add TikTok @mara.bakes → Instagram mara.bakes, X @marabakes, Facebook Mara Bakes",
        "Add Instagram mara.bakes → YouTube Mara Bakes (paused)",
    ]
    assert sorted(report.left, reverse=True) == added
    assert "; ".join(report.left) in report.summary
    assert report.notes[0].endswith("is then posted to Instagram mara.bakes, X @marabakes and Facebook Mara Bakes, too")


def test_a_rule_without_its_arrow_is_quoted() -> None:
    """With what is missing, and how a rule is written."""
    with pytest.raises(ValidationError, match=r'"TikTok @a > X" has no arrow "->".* such as "TikTok @a -> X @b'):
        form("TikTok @a > X")


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        (["TikTok @mara.bakes -> Instagram", "X -> Threads @mara"], "Rule 2: No connected account matches 'Threads"),
        (["all -> X"], "Rule 1: 'From' takes one account, and 'all' names 6."),
        (["TikTok -> X"], "Rule 1: 'TikTok' matches 2 accounts"),
        (["X -> X"], "Rule 1: X @marabakes cannot be copied to itself."),
        (["X -> Facebook", "X -> Facebook (paused)"], "Rule 2: X @marabakes → Facebook Mara Bakes is paused in"),
        (["X -> Facebook", "Facebook -> YouTube", "YouTube -> X (paused)"],
         "in a circle: YouTube Mara Bakes → X @marabakes → Facebook Mara Bakes → YouTube Mara Bakes"),
    ],
    ids=["gone", "from all", "two accounts", "itself", "two states", "circle of three"],
)  # fmt: skip
def test_what_is_wrong_with_the_list_is_said_before_anything_is_changed(
    sandbox: Any, taisly: Any, rules: list[str], words: str
) -> None:
    """In one sentence that names the row; the rules stay as they are."""
    there_is(sandbox, TIKTOK, [BEHIND])

    with pytest.raises(InputError, match=words) as caught:
        check_rules(taisly, form(*rules, dry_run=False))

    assert "Nothing was changed." in str(caught.value)
    assert (rules_at(sandbox), changes(sandbox)) == ({(TIKTOK, BEHIND, False)}, 0)


def test_a_circle_through_a_rule_that_is_not_in_the_list_is_named(sandbox: Any, taisly: Any) -> None:
    """Also where that one is paused, since it could be resumed at any time."""
    there_is(sandbox, YOUTUBE, [X], paused=True)

    with pytest.raises(InputError, match="circle: YouTube Mara Bakes → X @marabakes → YouTube Mara Bakes"):
        check_rules(taisly, form("X -> YouTube"))

    assert apply(taisly, "X -> YouTube", remove_others=True).done[0].kind == "remove"
    assert rules_at(sandbox) == {(X, YOUTUBE, False)}


@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "status_after", "garbage_after"])
@pytest.mark.parametrize("path", CHANGES)
def test_a_change_whose_answer_was_lost_is_not_made_twice(sandbox: Any, taisly: Any, path: str, fault: str) -> None:
    """The rules are read before anything is repeated."""
    there_is(sandbox, X, [FACEBOOK])
    there_is(sandbox, INSTAGRAM, [YOUTUBE])
    sandbox.order_fault(fault, "POST", path)

    plan = apply(taisly, "TikTok @mara.bakes -> Instagram, X", "Instagram -> YouTube (paused)", "X ->")

    assert rules_at(sandbox) == {(TIKTOK, INSTAGRAM, False), (TIKTOK, X, False), (INSTAGRAM, YOUTUBE, True)}
    assert len(plan.done) == 3
    assert len(sandbox.world.data.repost_rules) == 2


def test_whichever_change_fails_starting_again_finishes(sandbox: Any, taisly: Any) -> None:
    """Stopped before each change in turn, nothing that is wanted is lost, and nothing is there twice."""
    wanted = ["TikTok @mara.bakes -> Instagram, YouTube", "YouTube -> Facebook (paused)"]
    end = {(TIKTOK, INSTAGRAM, False), (TIKTOK, YOUTUBE, False), (YOUTUBE, FACEBOOK, True)}
    for passing in range(7):
        sandbox.reset()
        there_is(sandbox, TIKTOK, [INSTAGRAM, X])
        sandbox.order_fault("status_before", "POST", "/api/private/repost/*", status=429, seconds=1, after=passing)

        plan = check_rules(taisly, form(*wanted))
        if passing < 6:
            with pytest.raises(NothingSent):
                apply_rules(taisly, plan)
            covered = {pair[:2] for pair in rules_at_once(sandbox)}
            assert (TIKTOK, INSTAGRAM) in covered
            assert len(plan.done) == passing
        taisly.sleep(60)
        apply_rules(taisly, plan)

        assert rules_at(sandbox) == end


def rules_at_once(sandbox: Any) -> list[tuple[str, str, bool]]:
    """What active and paused rules copy at a moment between two changes; no copy is made twice."""
    found = [(r["from"], t, r["isPaused"]) for r in sandbox.world.data.repost_rules for t in r["to"]]
    active = [pair for pair in found if not pair[2]]
    assert len(set(active)) == len(active)
    return found


def test_a_refused_change_loses_no_rule(sandbox: Any, taisly: Any) -> None:
    """What was paused for it is resumed; the report says what was done and what was not."""
    there_is(sandbox, TIKTOK, [INSTAGRAM, X])
    plan = check_rules(taisly, form("TikTok @mara.bakes -> Instagram"))
    sandbox.order_fault("status_before", "POST", ADD, status=403)

    with pytest.raises(Refused):
        apply_rules(taisly, plan)

    assert rules_at(sandbox) == {(TIKTOK, INSTAGRAM, False), (TIKTOK, X, False)}
    report = report_of(plan, dry_run=False, failure="Refused.")
    assert [words.split()[0] for words in report.done] == ["Paused", "Resumed"]
    assert [words.split()[0] for words in report.left] == ["Pause", "Add", "Remove"]


def test_answers_that_are_lost_again_and_again_end_the_run(sandbox: Any, taisly: Any) -> None:
    """With what is known of the outcome, and no endless repeating."""
    sandbox.order_fault("drop_before", "POST", ADD, times=None)
    plan = check_rules(taisly, form("X -> Facebook"))

    with pytest.raises(OutcomeUnknown):
        apply_rules(taisly, plan)

    assert sandbox.requests(f"POST {ADD}") == 4


def test_what_leads_to_an_account_that_is_gone_is_named_and_can_be_removed(sandbox: Any, taisly: Any) -> None:
    """By its ID, which is all that is known of it; the rest of the rule stays."""
    there_is(sandbox, TIKTOK, [INSTAGRAM, "7"])
    there_is(sandbox, "8", [X])

    report = report_of(check_rules(taisly, form()), dry_run=True)
    apply(taisly, remove_gone=True)

    assert report.summary == "Dry run: nothing was changed. Taisly copies the posts of 2 accounts."
    assert report.notes == [
        "A rule names a disconnected account: TikTok @mara.bakes → Instagram mara.bakes, an account that is no longer "
        "connected (id 7). Connect it again in Taisly, or turn on 'Remove rules of disconnected accounts'",
        "A rule names a disconnected account: an account that is no longer connected (id 8) → X @marabakes. Connect it "
        "again in Taisly, or turn on 'Remove rules of disconnected accounts'",
    ]
    assert rules_at(sandbox) == {(TIKTOK, INSTAGRAM, False)}


def test_rules_that_change_meanwhile_are_respected(sandbox: Any, taisly: Any) -> None:
    """Somebody adds one in Taisly between the check and the change: it stays, or closes a circle, which is refused."""
    plan = check_rules(taisly, form("X -> Facebook"))
    other = check_rules(taisly, form("YouTube -> Instagram"))
    there_is(sandbox, TIKTOK, [INSTAGRAM])
    apply_rules(taisly, plan)
    there_is(sandbox, INSTAGRAM, [YOUTUBE])

    with pytest.raises(InputError, match="in a circle"):
        apply_rules(taisly, other)

    assert rules_at(sandbox) == {(X, FACEBOOK, False), (TIKTOK, INSTAGRAM, False), (INSTAGRAM, YOUTUBE, False)}


@pytest.mark.parametrize("accounts", [[(TIKTOK, X)], [(TIKTOK,), (X,)]], ids=["one post", "two posts"])
def test_a_rule_that_would_double_a_scheduled_post_is_refused(
    sandbox: Any, taisly: Any, checked: Any, accounts: list[tuple[str, ...]]
) -> None:
    """When it was scheduled there was no rule. Paused, or from another account, the rule is no danger."""
    by_id = {account.id: account for account in taisly.connected_accounts()}
    later = datetime.now(UTC) + timedelta(days=3)
    for some in accounts:
        send_post(taisly, checked(accounts=[by_id[each] for each in some], scheduled_for=later))

    with pytest.raises(InputError, match=r"small.mp4 would be posted twice to X @marabakes: it is published to TikTok"):
        check_rules(taisly, form("TikTok @mara.bakes -> X"))

    assert len(apply(taisly, "TikTok @mara.bakes -> X (paused)", "TikTok @mara.bakes -> Facebook").done) == 3
    with pytest.raises(InputError, match=r"Nothing was changed\."):
        check_rules(taisly, form("TikTok @mara.bakes -> X, Facebook"))


@pytest.mark.parametrize(
    ("there", "rules"),
    [((TIKTOK, YOUTUBE), ["YouTube -> X"]), ((), ["TikTok @mara.bakes -> YouTube", "Facebook -> YouTube"])],
    ids=["a chain", "two ways"],
)
def test_rules_that_would_double_a_scheduled_post_together_are_refused(
    sandbox: Any, taisly: Any, checked: Any, there: tuple[str, str], rules: list[str]
) -> None:
    """As posts are checked: with a rule that there was before, or with another new one. Not once the post is out."""
    by_id = {account.id: account for account in taisly.connected_accounts()}
    goes_to = [by_id[each] for each in ((TIKTOK, X) if there else (TIKTOK, FACEBOOK))]
    if there:
        there_is(sandbox, there[0], [there[1]])
    send_post(taisly, checked(accounts=goes_to, scheduled_for=datetime.now(UTC) + timedelta(days=3)))

    with pytest.raises(InputError, match=r"small.mp4 would be posted twice to (X|YouTube)"):
        check_rules(taisly, form(*rules))

    check_rules(taisly, form(f"{rules[0]} (paused)", *rules[1:]))


def test_a_post_that_is_out_is_not_copied_by_a_new_rule(sandbox: Any, taisly: Any, checked: Any) -> None:
    """Only what is still to be published is doubled."""
    by_id = {account.id: account for account in taisly.connected_accounts()}
    send_post(taisly, checked(accounts=[by_id[TIKTOK]]))
    watch_posts(taisly, None, seconds=900)
    later = datetime.now(UTC) + timedelta(days=3)
    send_post(taisly, checked(accounts=[by_id[X]], scheduled_for=later))

    check_rules(taisly, form("TikTok @mara.bakes -> X"))
    with pytest.raises(InputError, match="posted twice to TikTok"):
        check_rules(taisly, form("X -> TikTok @mara.bakes"))


def test_a_rule_that_arrives_late_is_not_added_again(sandbox: Any, taisly: Any, clock: Clock) -> None:
    """The answer was lost, and Taisly carried the request out half a minute later."""
    sandbox.order_fault("drop_before", "POST", ADD)
    plan, waited = check_rules(taisly, form("X -> Facebook")), 0.0

    def arrive(seconds: float) -> None:
        nonlocal waited
        waited += seconds
        if waited >= 30 and not sandbox.world.data.repost_rules:
            there_is(sandbox, X, [FACEBOOK])

    clock.on_sleep = arrive
    apply_rules(taisly, plan)

    assert (rules_at(sandbox), sandbox.requests(f"POST {ADD}")) == ({(X, FACEBOOK, False)}, 1)


def test_a_long_list_of_paused_rules_is_finished_in_one_run(sandbox: Any, ledger: Ledger, clock: Clock) -> None:
    """Each of them takes a look at the rules."""
    rules: list[dict[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content or "{}")
        if request.url.path == ADD:
            rules.append({"_id": str(len(rules)), **body, "isPaused": False})
        elif request.url.path == PAUSE:
            rules[int(body["id"])]["isPaused"] = body["isPaused"]
        return httpx.Response(200, json={"success": True, "data": rules})

    client = TaislyClient(API_KEY, sandbox.taisly_url, transport=httpx.MockTransport(answer))
    service = {"api_key": API_KEY, "service": sandbox.taisly_url, "plan": "PRO"}
    with RateLimitedTaisly(client, ledger, sleep=clock.sleep, **service) as taisly:
        apply_rules(taisly, RulePlan([], {f"from {n}": {"to": True} for n in range(45)}, False, {}, []))

    assert {(rule["from"], rule["isPaused"]) for rule in rules} == {(f"from {n}", True) for n in range(45)}


def test_what_another_run_reads_during_a_change_is_not_kept(sandbox: Any, taisly: Any) -> None:
    """It may be the rules of before."""

    def request(client: Any) -> None:
        taisly.copied_accounts()
        client.add_repost(X, [FACEBOOK])

    taisly.change_rule(request)

    assert taisly.copied_accounts() == [(X, FACEBOOK)]


def test_posts_know_of_a_change_at_once(sandbox: Any, taisly: Any) -> None:
    """What was remembered of the rules is forgotten before they change, and read again after."""
    assert taisly.copied_accounts() == []

    apply(taisly, "X -> Facebook")
    known, reads = taisly.copied_accounts(), sandbox.requests("GET /api/private/reposts")
    sandbox.order_fault("status_before", "POST", REMOVE, status=429, seconds=1)
    with pytest.raises(NothingSent):
        apply(taisly, "X ->")
    taisly.sleep(60)

    assert known == [(X, FACEBOOK)]
    assert taisly.copied_accounts() == [(X, FACEBOOK)]
    assert sandbox.requests("GET /api/private/reposts") == reads + 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("TikTok @a -> X, Facebook", ("TikTok @a", ["X, Facebook"], False)),
        ("TikTok @a → X (paused)", ("TikTok @a", ["X"], True)),
        ("TikTok @a -> X (Paused) ", ("TikTok @a", ["X"], True)),
        ("TikTok @a ->", ("TikTok @a", [], False)),
    ],
)
def test_a_rule_can_be_typed_as_a_line(text: str, expected: tuple[str, list[str], bool]) -> None:
    """As the command takes it; either arrow."""
    row = RuleRow.model_validate(text)

    assert (row.source, row.targets, row.paused) == expected


@pytest.mark.parametrize("text", ["TikTok @a", "-> X"])
def test_a_line_that_is_no_rule_is_refused(text: str) -> None:
    """It says how a rule is written, or what is missing."""
    with pytest.raises(ValidationError):
        RuleRow.model_validate(text)
