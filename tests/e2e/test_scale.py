"""A whole agency on one machine: many posts and phone tasks of two clients at once, while its parts are killed.

PostgreSQL, Redis, Prefect's server and its services apart, workers, two PCs with phones, two Taisly accounts, the
ledger on PostgreSQL; all of them real processes, installed as docs/deployment.md says. Small in `make test`;
`make scale` runs the large one and prints the table that docs/reliability.md has.
"""

import collections
import contextlib
import os
import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import prefect
import pytest
from support.agency import Agency, Connections
from support.installation import LEDGER_PASSWORD, Installation
from support.processes import kill_with_its_children
from support.rounds import SEED
from support.sandbox_process import SandboxProcess
from support.scale import (
    CLIENTS,
    WARM_UP_OF_LIMITED,
    WARM_UPS_A_DAY,
    Load,
    make_videos,
    phone_tasks_of,
    wrong_posts,
)
from support.topology import new_topology
from support.usage import Usage

from reelflow.ledger import Ledger
from reelflow.posts.cleanup import unconfirmed_sends
from reelflow.posts.request_limit import READ_SHARE
from reelflow.records.post_states import BEING_SENT, IN_FLIGHT, PostState
from reelflow.wording import count

pytestmark = pytest.mark.slow
LARGE = os.environ.get("REELFLOW_SCALE", "") not in ("", "0")
FORMS, CAMPAIGN_POSTS, PHONE_TASKS = (140, 40, 150) if LARGE else (8, 4, 10)
"""Posts by the form in all; posts of each campaign; phone tasks of each PC."""
CAMPAIGNS = 2 if LARGE else 1
"""Of each client."""
ALONE = 30 if LARGE else 0
"""Posts with 1, 2 and 3 workers, to measure that; none in the small run, whose figures would say nothing."""
RUNS_AT_ONCE = 4
"""Of each worker. This machine has two cores."""
WORKERS = 3
EXAMPLE = "Fresh bread"
"""The caption of the post with which the document tries the installation."""
ENDS_WITHIN = 5400 if LARGE else 420
"""Seconds; with the installation less than the limit of a test."""
FINISHED_WITHIN = 600 if LARGE else 180
"""Seconds until *finish-open-posts* has read the outcomes that runs which made room left to it."""
PARTS = ("prefect-server", "prefect-services", "redis", "postgresql")

Row = tuple[str, str]
"""Of the table that is printed."""


@pytest.fixture
def boxes(tmp_path: Path) -> Iterator[dict[str, SandboxProcess]]:
    """Both services of each client, with the quota of its plan."""
    found = {}
    with contextlib.ExitStack() as stack:
        for client in CLIENTS:
            box = SandboxProcess(tmp_path / client.name, plan=client.plan)
            box.start()
            stack.callback(box.stop)
            found[client.name] = box
        yield found


@pytest.fixture
def agency(boxes: dict[str, SandboxProcess], clip: Callable[[str], Path]) -> Iterator[Agency]:
    with new_topology() as topology:
        found = Agency(Installation(topology, boxes[CLIENTS[0].name].url), boxes, as_deployed=LARGE)
        found.install(clip("small.mp4"), RUNS_AT_ONCE)
        yield found


def _parts(agency: Agency) -> dict[str, Callable[[], list[int]]]:
    """The processes of each part of the topology; flows are what the workers start."""

    def of(*names: str) -> Callable[[], list[int]]:
        return lambda: [agency.topology[name].pid for name in names if agency.topology[name].running]

    def workers() -> list[int]:
        parts = list(agency.topology.parts.items())  # another thread adds some
        return [part.pid for name, part in parts if name.startswith("worker-") and part.running]

    return {**{name: of(name) for name in PARTS}, "workers and their runs": workers}


def _troubles(agency: Agency) -> Iterator[tuple[str, Callable[[], object]]]:
    """What happens in the middle, one after the other."""
    chance = random.Random(SEED)
    victim = chance.choice(agency.workers)

    def kill_with_its_runs() -> None:
        kill_with_its_children(victim.pid)
        agency.workers.remove(victim)

    yield f"{victim.name} and its runs killed", kill_with_its_runs
    yield "a worker added", lambda: agency.worker(runs_at_once=RUNS_AT_ONCE)
    for name in chance.sample(PARTS, len(PARTS)):
        yield f"{name} restarted", agency.topology[name].restart


def _post_alone(agency: Agency, load: Load, usage: Usage, rows: list[Row]) -> None:
    """Measure posts by the form with 1, 2 and 3 workers, and what each costs.

    Each worker has one run at a time, since that is what it adds while the cores have room.
    """
    for number in range(1, WORKERS + 1):
        agency.worker(runs_at_once=1)
        before, cpu, start = agency.posted(), usage.cpu(), time.monotonic()
        for job in load.forms(ALONE, CLIENTS[:1]):
            agency.submit(job)
        agency.wait_for_posts(before + ALONE, ENDS_WITHIN)
        minutes = (time.monotonic() - start) / 60
        agency.wait_for_the_end(ENDS_WITHIN)
        used = {part: (seconds - cpu[part]) / ALONE for part, seconds in usage.cpu().items()}
        each = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in used.items())
        arrived = [post["caption"] for post in agency.boxes[CLIENTS[0].name].posts[before:]]
        what = f"{ALONE} posts by the form, {count(number, 'worker')}, one run each"
        rows.append((what, f"{ALONE / minutes:.1f} posts a minute; {_order(arrived)}; CPU for each post: {each}"))
    for part in agency.workers:
        part.end()
    agency.workers.clear()


def _order(arrived: list[str]) -> str:
    """How far the order of arrival is from that of submission, by which captions sort."""
    places = [abs(place - sorted(arrived).index(caption)) for place, caption in enumerate(arrived)]
    return f"{sum(1 for each in places if each)} not in their place, by {max(places)} places at most"


def test_an_agency(agency: Agency, tmp_path: Path) -> None:
    """No post and no phone task twice, none lost, and every run ended without a person.

    What the killed worker was sending may be unconfirmed.
    """
    of_a_client = FORMS // len(CLIENTS) + CAMPAIGNS * CAMPAIGN_POSTS
    videos = make_videos(tmp_path / "videos", of_a_client + ALONE * WORKERS)
    load, rows = Load(tmp_path, videos), list[Row]()
    ledger_url = f"postgresql+psycopg://reelflow:{LEDGER_PASSWORD}@127.0.0.1:{agency.place.postgres_port}/reelflow"
    connections = Connections(ledger_url)
    with Usage(_parts(agency)) as usage:
        if ALONE:
            _post_alone(agency, load, usage, rows)
        while len(agency.workers) < WORKERS:
            agency.worker(runs_at_once=RUNS_AT_ONCE)
        before, start = agency.posted(), time.monotonic()
        jobs = [load.campaign(client, CAMPAIGN_POSTS) for client in CLIENTS for _ in range(CAMPAIGNS)]
        jobs += [job for client in CLIENTS for job in load.phones(client, PHONE_TASKS)]
        jobs += [job for client in CLIENTS for job in load.over_the_limit(client)]
        agency.submit_all([*jobs, *load.forms(FORMS)])
        wanted = sum(len(captions) for captions in load.captions.values()) - ALONE * WORKERS
        troubles = list(_troubles(agency))
        for number, (what, happens) in enumerate(troubles, 1):
            due = before + wanted * number // (len(troubles) + 2)
            agency.wait_for_posts(due, ENDS_WITHIN)
            connections.look()
            when = f"after {time.monotonic() - start:.0f} s and {agency.posted() - before} posts"
            begun = time.monotonic()
            happens()
            rows.append((what, f"{when}; done in {time.monotonic() - begun:.0f} s"))
        agency.wait_for_the_end(ENDS_WITHIN)
        connections.look()
        minutes = (time.monotonic() - start) / 60
    for client in CLIENTS:
        quota = agency.boxes[client.name].state["quota"][""]
        rows.append((f"requests of {client.name} in an hour", f"{quota['most']} at most, of {quota['per_hour']}"))
    tasks = sum(load.phone_tasks.values()) + WARM_UPS_A_DAY
    what = f"{wanted} posts and {tasks} phone tasks in {len(agency.runs)} runs"
    rows.append((what, f"{minutes:.1f} minutes until the last run had ended"))
    for part, largest in usage.largest.items():
        rows.append((part, f"{largest / 1e6:.0f} MB a process at most, {usage.together[part] / 1e6:.0f} MB together"))
    rows += [(f"connections to the database {name}", str(number)) for name, number in connections.most.items()]
    machine = f"{os.cpu_count()} cores, Linux {os.uname().release.partition('-')[0]}, Prefect {prefect.__version__}"
    print(f"\n\n{datetime.now(UTC):%Y-%m-%d}, seed {SEED}, {machine}\n\n| what | figure |\n|---|---|")
    print("\n".join(f"| {what} | {figure} |" for what, figure in rows), flush=True)

    with contextlib.closing(Ledger(ledger_url)) as ledger:
        expected = set[str]()

        def still_open() -> dict[str, str]:
            expected.clear()
            expected.update(load.at_once - _waiting_for_the_plan(agency, load))
            return _open(ledger, expected)

        agency.wait_for_outcomes(still_open, FINISHED_WITHIN)
    assert expected
    _check(agency, load, ledger_url, expected)


def _waiting_for_the_plan(agency: Agency, load: Load) -> set[str]:
    """The captions of clients that have used the share of their plan which checks of outcomes may use."""
    found = set[str]()
    for client in CLIENTS:
        quota = agency.boxes[client.name].state["quota"][""]
        found.update(load.captions[client.name] if quota["last_hour"] >= quota["per_hour"] * READ_SHARE else ())
    return found


def _open(ledger: Ledger, captions: set[str]) -> dict[str, str]:
    """What is known of those of some posts whose outcome is to come, by caption."""
    found = [record for state in BEING_SENT | IN_FLIGHT for record in ledger.find(state=state)]
    return {send.caption: f"{send} {outcomes}" for send, outcomes in found if send.caption in captions}


def _check(agency: Agency, load: Load, ledger_url: str, expected: set[str]) -> None:
    """Nothing is out twice, and what is expected has its outcome.

    Only what the killed worker was sending may be missing, and is reported as unconfirmed.
    """
    states = agency.states()
    ended = {run: f"{agency.runs[run]}: {state['name']} {state['message']}" for run, state in states.items()}
    doubtful = [told for run, told in ended.items() if states[run]["type"] != "COMPLETED"]
    assert [told for told in doubtful if "nconfirmed" not in told] == []
    assert len(doubtful) <= RUNS_AT_ONCE, doubtful
    with contextlib.closing(Ledger(ledger_url)) as ledger:
        unconfirmed = {send.caption for send, _ in unconfirmed_sends(ledger)}
        published = {send.caption for send, _ in ledger.find(state=PostState.SUCCESS)}
        assert [*ledger.find(state=PostState.FAILED), *ledger.find(state=PostState.REFUSED)] == []
    assert len(unconfirmed) <= RUNS_AT_ONCE
    missing, limited = set[str](), 0
    for client in CLIENTS:
        box = agency.boxes[client.name]
        posts = [post for post in box.posts if post["caption"] != EXAMPLE]
        lost, too_many = wrong_posts(load.captions[client.name], posts)
        assert not too_many, client
        missing |= set(lost)
        made = collections.Counter(phone_tasks_of(box.phone_tasks))
        limited += made.pop(WARM_UP_OF_LIMITED, 0)
        assert sum(made.values()) == load.phone_tasks[client.pc], client
        assert max(made.values()) == 1, client
        quota = box.state["quota"][""]
        assert (quota["refused"], quota["most"] <= quota["per_hour"]) == (0, True), client
    assert expected <= published | unconfirmed
    assert limited == WARM_UPS_A_DAY
    assert missing <= unconfirmed, "\n".join(ended.values())
    assert len(missing) <= RUNS_AT_ONCE
