"""Repost rules against a real Prefect server and the sandbox over HTTP: the flow, its report and its commands."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.commands import reelflow
from support.seen import artifacts_of, logs_of, steps_of

from blocks import TaislyAccount
from flows.publish import publish_video
from flows.repost_rules import apply_repost_rules
from reelflow.posts.form import PostForm, RepostRulesForm
from reelflow.posts.rules_report import RulesReport
from reelflow.sandbox.catalog import ACCOUNTS

pytestmark = pytest.mark.usefixtures("server")
TIKTOK, _, INSTAGRAM, YOUTUBE, X, FACEBOOK = (account["id"] for account in ACCOUNTS)
ADD = "/api/private/repost/add"


@pytest.fixture
def taisly(server: str, sandbox: Any) -> TaislyAccount:
    block = TaislyAccount(
        api_key="taisly_sandbox", base_url=sandbox.taisly_url, plan="PRO", first_look_seconds=0.01,
        unconfirmed_after_minutes=0,
    )  # fmt: skip
    block.save("reposts", overwrite=True)
    return block


def _apply(taisly: TaislyAccount, *rules: str, dry_run: bool = False, **more: Any) -> Any:
    form = RepostRulesForm(rules=list(rules), dry_run=dry_run, **more)
    return apply_repost_rules(taisly, form, return_state=True)


def _rules(sandbox: Any) -> list[tuple[str, list[str], bool]]:
    return [(r["from"], r["to"], r["isPaused"]) for r in sandbox.world.data.repost_rules]


def _writes(sandbox: Any) -> int:
    return sum(sandbox.requests(f"POST /api/private/repost/{name}") for name in ("add", "delete", "pause"))


def test_a_dry_run_is_the_default_and_shows_before_and_after(taisly: TaislyAccount, sandbox: Any) -> None:
    """What changes, in which order and what it means; nothing is changed."""
    with sandbox.taisly() as client:
        client.add_repost(X, [FACEBOOK])

    form = RepostRulesForm(rules=["TikTok @mara.bakes -> Instagram, X", "X ->"])
    state = apply_repost_rules(taisly, form, return_state=True)

    report, page = state.result(), artifacts_of(state)["markdown"].data
    assert (state.name, isinstance(report, RulesReport), _writes(sandbox)) == ("Dry run", True, 1)
    assert state.message == (
        "Dry run: nothing was changed. Would make 2 changes: Remove X @marabakes → Facebook Mara Bakes; Add TikTok "
        "@mara.bakes → Instagram mara.bakes, X @marabakes."
    )
    assert "| X @marabakes | Facebook Mara Bakes | nowhere |" in page
    assert "| TikTok @mara.bakes | nowhere | Instagram mara.bakes<br>X @marabakes |" in page
    assert "Every post to TikTok @mara.bakes, whoever publishes it, is then posted to" in page
    assert _rules(sandbox) == [(X, [FACEBOOK], False)]


@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "status_after"])
def test_rules_are_changed_once_although_answers_are_lost(taisly: TaislyAccount, sandbox: Any, fault: str) -> None:
    """The run reads the rules before it repeats anything, and says what it changed."""
    sandbox.order_fault(fault, "POST", ADD)
    sandbox.order_fault("status_before", "GET", "*/reposts", status=503)

    state = _apply(taisly, "TikTok @mara.bakes -> Instagram", "Instagram -> YouTube (paused)")

    assert state.message == (
        "3 changes made: Added TikTok @mara.bakes → Instagram mara.bakes; Added Instagram mara.bakes → YouTube Mara "
        "Bakes; Paused Instagram mara.bakes → YouTube Mara Bakes."
    )
    assert sorted(_rules(sandbox)) == [(TIKTOK, [INSTAGRAM], False), (INSTAGRAM, [YOUTUBE], True)]
    assert "| Posts to | were copied to | now to |" in artifacts_of(state)["markdown"].data
    assert "Traceback" not in logs_of(state)
    assert "taisly_sandbox" not in logs_of(state)


def test_a_list_that_is_wrong_changes_nothing(taisly: TaislyAccount, sandbox: Any) -> None:
    """An account that is gone, and a circle of three, each in one sentence."""
    gone = _apply(taisly, "TikTok @mara.bakes -> Instagram", "X -> Threads @mara")
    circle = _apply(taisly, "X -> Facebook", "Facebook -> YouTube", "YouTube -> X")

    assert gone.is_failed()
    assert gone.message.startswith("Rule 2: No connected account matches 'Threads @mara'.")
    assert gone.message.endswith("Nothing was changed.")
    assert circle.message.startswith(
        "These rules would copy posts in a circle: YouTube Mara Bakes → X @marabakes → Facebook Mara Bakes → YouTube "
        "Mara Bakes. Nothing was changed."
    )
    assert (_writes(sandbox), _rules(sandbox)) == (0, [])


def test_a_change_that_is_refused_says_what_was_done_and_what_was_not(taisly: TaislyAccount, sandbox: Any) -> None:
    """The step is red, the report shows the rules as they are, and another run finishes."""
    rules = ["TikTok @mara.bakes -> Instagram", "X -> Facebook"]
    sandbox.order_fault("status_before", "POST", ADD, status=403, after=1)

    state = _apply(taisly, *rules)
    again = _apply(taisly, *rules)

    assert state.is_failed()
    assert "Added TikTok @mara.bakes → Instagram mara.bakes. Not done: Add X @marabakes → Facebook" in state.message
    assert steps_of(state)["change repost rules"][0] == "FAILED"
    assert "Not changed:" in artifacts_of(state)["markdown"].data
    assert again.message == "1 change made: Added X @marabakes → Facebook Mara Bakes."


def test_how_to_go_on_is_said_once(taisly: TaislyAccount, sandbox: Any) -> None:
    """In the end, and not at each retry of the step."""
    sandbox.order_fault("status_before", "POST", ADD, status=429, seconds=0.01, times=None)

    state = _apply(taisly, "TikTok @mara.bakes -> Instagram")

    said = "Nothing was changed. Not done: Add TikTok @mara.bakes → Instagram mara.bakes. Start it again to finish"
    assert (state.is_failed(), state.message.count(said)) == (True, 1)
    assert said not in steps_of(state)["change repost rules"][1]


def test_rules_are_listed_and_changed_in_a_terminal(taisly: TaislyAccount, sandbox: Any) -> None:
    """Dry run by default; what is listed is what the command takes."""
    none = reelflow("reposts", "--block", "reposts")
    words = ["reposts", "apply", "--block", "reposts", "--rule", "TikTok @mara.bakes -> Instagram, X"]
    dry = reelflow(*words)
    done = reelflow(*words, "--no-dry-run", "--json")
    listed = reelflow("reposts", "--block", "reposts")
    (row,) = map(json.loads, reelflow("reposts", "--block", "reposts", "--json").stdout.splitlines())
    wrong = reelflow("reposts", "apply", "--block", "reposts", "--rule", "TikTok to X")
    sandbox.world.data.repost_rules[0]["to"] = ["7"]
    gone = reelflow("reposts", "--block", "reposts").stdout.splitlines()

    assert (none.stdout, dry.returncode) == ("Taisly has no repost rules.\n", 0)
    assert "Dry run: nothing was changed. Would make 1 change" in dry.stdout
    assert json.loads(done.stdout)["done"] == ["Added TikTok @mara.bakes → Instagram mara.bakes, X @marabakes"]
    assert listed.stdout == "TikTok @mara.bakes -> Instagram mara.bakes, X @marabakes\n"
    assert row["to"] == ["Instagram mara.bakes", "X @marabakes"]
    assert gone[0] == "TikTok @mara.bakes -> an account that is no longer connected (id 7)"
    assert gone[1:] == ["--rule does not take an account that is no longer connected; apply --remove-gone removes it."]
    assert wrong.returncode == 1
    assert wrong.stderr.startswith('reelflow: --rule (1): "TikTok to X" has no arrow "->". Write the account')


def test_a_post_is_refused_left_to_the_rule_and_not_sent_after_the_rule_was_paused(
    taisly: TaislyAccount, sandbox: Any, clip: Callable[[str], Path]
) -> None:
    """Each account gets it once, whatever is tried afterwards, and the run says who has it from where."""
    _apply(taisly, "TikTok @mara.bakes -> X")

    def publish(**more: Any) -> Any:
        form = {"video": str(clip("small.mp4")), "accounts": ["TikTok @mara.bakes", "X"], "watch_minutes": 1}
        return publish_video(taisly, PostForm(**form | more), return_state=True)

    refused = publish()
    dry = publish(copied_by_rule="leave it to the rule", dry_run=True)
    left = publish(copied_by_rule="leave it to the rule")
    later = publish(accounts=["X"], caption="another")
    _apply(taisly, "TikTok @mara.bakes -> X (paused)")
    paused = publish()

    by_rule = (
        "Not sent to X @marabakes: a repost rule copies it there once it is published to TikTok @mara.bakes. Check it "
        "there, since the copy is not watched."
    )
    assert refused.message.startswith("Nothing was sent, because Taisly would post the video twice to X @marabakes")
    assert dry.message.endswith(by_rule)
    assert left.message == f"Published to 1 of 1 account: TikTok @mara.bakes. {by_rule}"
    assert later.message.startswith("Nothing was sent, because X @marabakes may have it already: a repost rule copies")
    assert paused.message.startswith("Nothing was sent, because X @marabakes has it already, as Taisly's history shows")
    assert [(post["platforms"], bool(post["repostOf"])) for post in sandbox.posts] == [([TIKTOK], False), ([X], True)]
