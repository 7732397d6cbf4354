"""What the phones do for the posts of a campaign, against a real Prefect server and the sandbox over HTTP."""

import csv
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.seen import artifacts_of

from blocks import ChatGPTSettings, TaislyAccount, TikMatrixHost
from deployments.campaign import campaign_lines
from flows.campaign import publish_campaign
from reelflow.campaigns.form import CampaignForm
from reelflow.phones.form import EngageForm
from reelflow.records.engagements import EngagementState
from tasks.ledger import open_ledger

pytestmark = pytest.mark.usefixtures("server")
SERIALS = ["R58N01SANDBOX", "R58N02SANDBOX"]
NEXT_WEEK = (datetime.now(UTC) + timedelta(days=7)).replace(hour=18, minute=0, second=0, microsecond=0)


@pytest.fixture
def taisly(sandbox: Any) -> TaislyAccount:
    return TaislyAccount(api_key="taisly_sandbox", base_url=sandbox.taisly_url, plan="PRO", first_look_seconds=0.01)


@pytest.fixture
def host(sandbox: Any) -> TikMatrixHost:
    block = TikMatrixHost(base_url=sandbox.tikmatrix_url, phones=[f"{SERIALS[0]}: ada", f"{SERIALS[1]}: ben"])
    block.save("campaigning", overwrite=True)
    return TikMatrixHost.load("campaigning")


def _plan(folder: Path, videos: Callable[[int], Path], *rows: str) -> str:
    for number, name in enumerate(("bread", "cake", "tart"), 1):
        shutil.copy(videos(number), folder / f"{name}.mp4")
    path = folder / "plan.csv"
    path.write_text("\n".join(["video,accounts,when,comments,warm up", *rows]) + "\n", "utf-8")
    return str(path)


def _campaign(
    taisly: TaislyAccount, host: TikMatrixHost | None, plan: str, *, dry_run: bool = False, **engage: Any
) -> Any:
    form, campaign = EngageForm(**({"devices": SERIALS} | engage)), CampaignForm(plan=plan, dry_run=dry_run)
    return publish_campaign(taisly, campaign, engage=form, host=host, return_state=True)


def _details(state: Any) -> list[str]:
    """What the report says of each row."""
    return [line.detail for line in state.result(raise_on_failure=False).report.lines]


def test_each_row_has_the_comments_of_the_form_or_its_own(
    taisly: TaislyAccount, host: TikMatrixHost, sandbox: Any, videos: Callable[[int], Path], tmp_path: Path
) -> None:
    """They are on record before each post is sent, and left to later runs; a post elsewhere has none."""
    at = [(NEXT_WEEK + timedelta(hours=hours)).isoformat() for hours in range(3)]
    plan = _plan(tmp_path, videos, f"bread.mp4,TikTok @mara.bakes,{at[0]},,",
                 f"cake.mp4,TikTok @mara.bakes,{at[1]},Wow | So good,1.5", f"tart.mp4,X,{at[2]},,")  # fmt: skip

    state = _campaign(taisly, host, plan, comments=["Lovely!"])
    again = _campaign(taisly, host, plan, comments=["Lovely!"])

    found = open_ledger().engagements()
    assert (state.name, again.name) == ("Scheduled", "Scheduled")
    assert [(each.file, each.form["comments"], each.form.get("warm_up_seconds", 0)) for each in found] == [
        ("bread.mp4", ["Lovely!"], 0), ("cake.mp4", ["Wow", "So good"], 90),
    ]  # fmt: skip
    assert {each.state for each in found} == {EngagementState.WAITING}
    assert [each.due for each in found] == [datetime.fromisoformat(when).timestamp() for when in at[:2]]
    assert (len(sandbox.posts), sandbox.phone_tasks) == (3, [])


def test_the_reports_show_what_the_phones_do_for_each_row(
    taisly: TaislyAccount, host: TikMatrixHost, videos: Callable[[int], Path], tmp_path: Path
) -> None:
    """Before anything is sent, once it is sent, and when an earlier run has sent it; nothing where nothing is asked."""
    at = NEXT_WEEK.isoformat()
    plan = _plan(tmp_path, videos, f"bread.mp4,TikTok @mara.bakes; X,{at},Wow | So good,1", f"cake.mp4,YouTube,{at},,")
    asked, nothing = "warm-up of 60 s, comments (2 texts)", ""

    checked = _campaign(taisly, host, plan, dry_run=True)
    sent = _campaign(taisly, host, plan)
    again = _campaign(taisly, host, plan)

    for state in (checked, sent, again):
        lines = state.result().lines
        assert [(line.number, line.phones) for line in lines] == [(1, asked), (1, nothing), (2, nothing)]
        report = artifacts_of(state)["markdown"].data
        assert " | Phones | " in report
        assert report.count(f"| {asked} |") == 1
        assert f"           phones: {asked}" in campaign_lines(state.result())
    assert "The phones would do their part for 1 post once it is published." in checked.message
    assert "The phones do their part for 1 post once it is published." in sent.message
    with (tmp_path / "plan.results.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [row["phones"] for row in csv.DictReader(file)] == [asked, nothing, nothing]


def test_what_a_row_asks_of_the_phones_is_checked_before_anything_is_sent(
    taisly: TaislyAccount, host: TikMatrixHost, sandbox: Any, videos: Callable[[int], Path], tmp_path: Path
) -> None:
    """With the row, its column, and what to do."""
    at = NEXT_WEEK.isoformat()
    plan = _plan(tmp_path, videos, f"bread.mp4,X,{at},Wow,", f"cake.mp4,TikTok @mara.bakes,{at},,99999")

    state = _campaign(taisly, host, plan)
    without = _campaign(taisly, None, _plan(tmp_path, videos, f"bread.mp4,TikTok @mara.bakes,{at},Wow,"))

    nowhere, too_long = _details(state)
    (no_host,) = _details(without)
    assert "none of its accounts is on TikTok, where they comment" in nowhere
    assert "'99999' is not a number of minutes" in too_long
    assert "Choose a block 'TikMatrix Host'" in no_host
    assert (sandbox.posts, open_ledger().engagements()) == ([], [])


def test_phones_that_are_not_listed_end_the_campaign_before_it_sends(
    taisly: TaislyAccount, host: TikMatrixHost, sandbox: Any, videos: Callable[[int], Path], tmp_path: Path
) -> None:
    plan = _plan(tmp_path, videos, f"bread.mp4,TikTok @mara.bakes,{NEXT_WEEK.isoformat()},,")

    state = _campaign(taisly, host, plan, comments=["Lovely!"], devices=["NOTMINE"])

    assert state.is_failed()
    assert "NOTMINE is not among the phones" in state.message
    assert sandbox.posts == []


@pytest.mark.parametrize(
    ("cells", "engage", "words"),
    [
        ("Wow,", {"phone_pc": "nowhere"}, "There is no deployment comment-on-posts/22-nowhere"),
        (",2", {"phone_pc": "nowhere"}, "There is no deployment warm-up-accounts/21-nowhere"),
        (",2", {"warm_up_write_with_chatgpt": True}, "needs a saved block ChatGPT Settings"),
    ],
)
def test_what_only_a_row_needs_is_missed_before_anything_is_sent(
    taisly: TaislyAccount, host: TikMatrixHost, sandbox: Any, videos: Callable[[int], Path], tmp_path: Path,
    cells: str, engage: dict[str, Any], words: str,
) -> None:  # fmt: skip
    """The form asks for nothing by itself: the deployments and blocks are those of the row."""
    plan = _plan(tmp_path, videos, f"bread.mp4,TikTok @mara.bakes,{NEXT_WEEK.isoformat()},{cells}")
    form, unsaved = EngageForm(devices=SERIALS, **engage), ChatGPTSettings(api_key="sk-x")

    state = publish_campaign(
        taisly, CampaignForm(plan=plan), engage=form, host=host, chatgpt=unsaved, return_state=True
    )

    assert state.is_failed()
    assert words in state.message
    assert (sandbox.posts, open_ledger().engagements()) == ([], [])
