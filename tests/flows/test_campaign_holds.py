"""Accounts on hold in the flow publish_campaign, and `reelflow release`: a real Prefect server, the sandbox."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.commands import reelflow
from support.seen import artifacts_of

from blocks import TaislyAccount
from flows.campaign import publish_campaign
from reelflow.campaigns.form import CampaignForm, RowForm
from reelflow.campaigns.report import CampaignReport
from reelflow.errors import CampaignFailed
from reelflow.records.alarms import Alarm
from tasks.ledger import open_ledger

pytestmark = pytest.mark.usefixtures("server")
EXPIRED = "Instagram session expired"
Videos = Callable[[int], Path]


@pytest.fixture
def taisly(server: str, sandbox: Any) -> TaislyAccount:
    return TaislyAccount(api_key="taisly_sandbox", base_url=sandbox.taisly_url, plan="PRO", first_look_seconds=0.01)


def _campaign(taisly: TaislyAccount, videos: Videos, *numbers: int, **form: Any) -> Any:
    """A campaign of these videos, published at once."""
    accounts = form.pop("to", "Instagram")
    rows = [RowForm(video=str(videos(n)), caption=f"caption {n}", when="now", accounts=accounts) for n in numbers]
    values = {"rows": rows, "watch_minutes": 1, "minutes_apart": 0} | form
    return publish_campaign(taisly, CampaignForm(**values), None, return_state=True)


def _report(state: Any) -> CampaignReport:
    result = state.result(raise_on_failure=False)
    report = result.report if isinstance(result, CampaignFailed) else result
    assert isinstance(report, CampaignReport)
    return report


def _outcomes(state: Any) -> list[tuple[int, str, str]]:
    return [(line.number, line.account.split()[0], line.outcome) for line in _report(state).lines]


def _alarms(*states: Any) -> list[Alarm]:
    """What these runs rang."""
    return open_ledger().alarms_of_runs([str(state.state_details.flow_run_id) for state in states])


def test_an_account_that_fails_holds_its_own_queue_and_goes_on_when_released(
    taisly: TaislyAccount, videos: Videos, sandbox: Any
) -> None:
    """Three failures, one alarm for the hold and none for the runs that it keeps from sending; then all goes on."""
    sandbox.fail_next(platform="Instagram", reason=EXPIRED, times=3)
    first = _campaign(taisly, videos, 1, 2, 3)
    second = _campaign(taisly, videos, 4, 5, to="Instagram, YouTube")
    third = _campaign(taisly, videos, 4, 5)
    released = _campaign(taisly, videos, 4, 5, to="Instagram, YouTube", release_accounts=["Instagram"])

    held = [line for line in _report(second).lines if line.outcome == "on hold"]
    assert [alarm.kind for alarm in _alarms(first)] == ["post", "post", "post", "hold"]
    assert _alarms(second, third, released) == []
    assert (second.name, third.name, released.name) == ("Partly failed", "Failed", "Completed")
    assert _outcomes(second) == [
        (1, "Instagram", "on hold"),
        (1, "YouTube", "published"),
        (2, "Instagram", "on hold"),
        (2, "YouTube", "published"),
    ]
    assert held[0].detail == (
        f"Instagram mara.bakes failed 3 times in a row ({EXPIRED}), so nothing more is sent there. Fix the cause: if "
        "its session expired, reconnect it in Taisly. Then release it: 'Release accounts' in the form, or `reelflow "
        'release "Instagram mara.bakes"`.'
    )
    assert "2 posts: Instagram mara.bakes failed 3 times in a row" in second.message
    assert {outcome for *_, outcome in _outcomes(released)} == {"published"}
    assert "Released: Instagram mara.bakes." in artifacts_of(released)["markdown"].data
    assert sandbox.requests("POST /api/private/post") == 3 + 2 + 2


def test_something_else_that_is_wrong_rings_beside_a_hold(taisly: TaislyAccount, videos: Videos, sandbox: Any) -> None:
    """A run whose rows are wrong, too, is not swallowed."""
    sandbox.fail_next(platform="Instagram", reason=EXPIRED, times=3)
    _campaign(taisly, videos, 1, 2, 3)

    state = _campaign(taisly, videos, 4, release_accounts=["Nobody"])

    assert [alarm.kind for alarm in _alarms(state)] == ["run"]


def test_accounts_are_listed_and_released_in_a_terminal(taisly: TaislyAccount, videos: Videos, sandbox: Any) -> None:
    """A name that is not on hold is said, and the exit code tells."""
    nothing = reelflow("release")
    sandbox.fail_next(platform="Instagram", reason=EXPIRED, times=3)
    _campaign(taisly, videos, 1, 2, 3)

    listed = reelflow("release")
    wrong = reelflow("release", "YouTube")
    as_json = reelflow("release", "--json")
    released = reelflow("release", "instagram MARA.bakes")
    again = reelflow("release", "all")

    assert (nothing.returncode, nothing.stdout) == (0, "No account is on hold.\n")
    assert listed.stdout.startswith("Instagram mara.bakes")
    assert f"3 failures: {EXPIRED}" in listed.stdout
    assert (wrong.returncode, wrong.stdout) == (1, "'YouTube' is not on hold. On hold: Instagram mara.bakes.\n")
    assert '"on_hold": true' in as_json.stdout
    assert (released.returncode, released.stdout) == (
        0,
        "Released Instagram mara.bakes. The next run of a campaign sends what waits for it.\n",
    )
    assert (again.returncode, again.stdout) == (0, "No account is on hold.\n")
    assert open_ledger().on_hold() == []
