"""What setup does with phones and time zones: decisions without a server."""

import dataclasses
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from prefect.client.schemas.objects import ConcurrencyOptions
from prefect.client.schemas.schedules import CronSchedule
from support.deployments import SPECS

from deployments.preserve import has_our_limit, merge_limit
from deployments.setup.apply import misplaced_schedules
from deployments.setup.confirm import confirm_removal, confirm_sandbox
from deployments.setup.phones import change_phones
from deployments.setup.zone import choose_zone
from deployments.spec import deployment_specs
from reelflow.errors import InputError
from reelflow.time_zones import machine_zone

BLOCK = "block tikmatrix-host/main"
ROWS = ["A1: ada", "A2", "10.0.0.7:5555: ben"]


@pytest.mark.parametrize(
    ("given", "removed", "rows", "notes"),
    [
        (["A3: cy"], [], [*ROWS, "A3: cy"], ["phone added: A3: cy"]),
        (["A2: dora"], [], ["A1: ada", "A2: dora", ROWS[2]], ["phone changed: A2: dora (it was: A2)"]),
        (["A1:  @ada (TikTok)"], [], ROWS, []),
        ([], ["A1"], ROWS[1:], ["phone removed: A1: ada"]),
        (["A3"], ["10.0.0.7:5555"], ["A1: ada", "A2", "A3"], ["phone added: A3", f"phone removed: {ROWS[2]}"]),
    ],
    ids=["added", "changed", "the same accounts", "removed", "both"],
)
def test_naming_a_phone_says_nothing_about_the_others(
    given: list[str], removed: list[str], rows: list[str], notes: list[str]
) -> None:
    """By serial: new ones are added, listed ones get these accounts, only those to remove go."""
    found = change_phones(ROWS, given, removed, BLOCK)

    assert list(found.rows) == rows
    assert list(found.notes) == notes


@pytest.mark.parametrize(
    ("given", "removed", "words"),
    [
        ([], ["A9"], "does not list the phone 'A9'. It lists: A1, A2, 10.0.0.7:5555."),
        ([], ["A1", "A2", "10.0.0.7:5555"], "needs a phone"),
        (["A1: ada", "A1: ben"], [], "Row 2, 'A1: ben': the phone A1 is listed twice"),
        (["A1 ada"], [], "Write a colon and a space after the serial"),
    ],
)
def test_a_change_of_phones_that_makes_no_sense_is_refused(given: list[str], removed: list[str], words: str) -> None:
    """With what the block lists, or the row."""
    with pytest.raises(InputError) as refused:
        change_phones(ROWS, given, removed, BLOCK)

    assert words in str(refused.value)


def test_without_a_terminal_phones_are_removed_only_with_yes() -> None:
    """Nobody can be asked there."""
    confirm_removal(["A1: ada"], BLOCK, yes=True)
    confirm_removal([], BLOCK, yes=False)
    with pytest.raises(InputError, match="--yes"):
        confirm_removal(["A1: ada"], BLOCK, yes=False)


@pytest.mark.parametrize("answer", ["y", "Yes ", "n", ""])
def test_a_person_is_asked_before_the_sandbox_replaces_what_is_their_own(
    answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what would be lost; anything but yes keeps it, and says how to try the sandbox all the same."""
    asked, mine = list[str](), "the API key of the block taisly-account/main"
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or answer)
    agreed = nullcontext()
    declined = pytest.raises(InputError, match=r"no block was changed\. To keep them, .* `reelflow up`")

    with agreed if answer.strip() in ("y", "Yes") else declined:
        confirm_sandbox([mine], yes=False)

    assert asked == [f"Replace {mine} with the sandbox's? They cannot be restored. [y/N] "]


def test_the_time_zone_is_the_named_one_or_the_servers_or_this_machines() -> None:
    """In this order; nobody is asked without a terminal."""
    assert choose_zone("Asia/Tokyo", "Europe/Rome", ask=True) == "Asia/Tokyo"
    assert choose_zone(None, "Europe/Rome", ask=True) == "Europe/Rome"
    assert choose_zone(None, None, ask=True) == machine_zone()


@pytest.mark.parametrize(
    ("zone", "before", "moves"),
    [
        ("Europe/Rome", "Europe/Rome", True),
        ("Asia/Tokyo", "Europe/Rome", False),
        ("UTC", "Europe/Rome", False),
        ("UTC", None, True),
        ("Europe/Berlin", "Europe/Rome", False),
    ],
    ids=["of the setup before", "a person's", "a person's UTC", "from prefect deploy", "there already"],
)
def test_a_schedule_moves_only_from_the_zone_of_the_setup_before(zone: str, before: str | None, moves: bool) -> None:
    """To Europe/Berlin; one that a person has given another zone keeps it."""
    spec = SPECS["finish-open-posts"]
    there = SimpleNamespace(slug=spec.schedules[0]["slug"], schedule=CronSchedule(cron="0 9 * * *", timezone=zone))
    own = SimpleNamespace(slug=None, schedule=CronSchedule(cron="0 9 * * *", timezone="Europe/Rome"))

    found = misplaced_schedules(spec, SimpleNamespace(schedules=[there, own]), before, "Europe/Berlin")

    assert found == ([there] if moves else [])


@pytest.mark.parametrize(
    ("name", "strategy", "before", "after"),
    [
        ("watch-runs", "CANCEL_NEW", None, 60),
        ("watch-runs", "CANCEL_NEW", 90, 90),
        ("watch-runs", "ENQUEUE", None, None),
        ("warm-up-accounts", "ENQUEUE", 60, None),
        ("warm-up-accounts", "ENQUEUE", 90, 90),
        ("warm-up-accounts", "CANCEL_NEW", None, None),
        ("publish-video", "ENQUEUE", None, None),
    ],
)
def test_only_upkeep_that_skips_its_next_run_has_a_short_grace_period(
    name: str, strategy: str, before: int | None, after: int | None
) -> None:
    """Prefect cancels a run that takes longer than that to start, if another one waited for its slot."""
    options = ConcurrencyOptions(collision_strategy=strategy, grace_period_seconds=before)
    limit = SimpleNamespace(limit=3)
    there = SimpleNamespace(
        version="2", work_pool_name="reelflow", global_concurrency_limit=limit, concurrency_options=options
    )

    change = merge_limit(next(spec for spec in deployment_specs() if spec.name == name), there)

    assert change.get("concurrency_options", {"grace_period_seconds": before}).get("grace_period_seconds") == after
    assert bool(change) is (before != after)


@pytest.mark.parametrize(("version", "ours"), [("1", True), ("2", False), ("3", False), (None, False)])
def test_a_limit_is_ours_only_on_a_deployment_of_the_version_that_had_it(version: str | None, ours: bool) -> None:
    """Whatever versions follow: a person may have set the same number since."""
    spec = next(spec for spec in deployment_specs() if spec.name == "publish-video")
    there = SimpleNamespace(
        version=version,
        work_pool_name="reelflow",
        global_concurrency_limit=SimpleNamespace(limit=6),
        concurrency_options=None,
    )

    found = has_our_limit(dataclasses.replace(spec, version="4"), there)

    assert found is ours
