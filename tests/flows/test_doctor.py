"""`reelflow doctor` as a person runs it."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import prefect
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentUpdate
from support.api import ask
from support.client import client_of
from support.commands import reelflow
from support.failing_server import failing_server
from support.other_server import other_server
from support.pools import Pool

from blocks import TaislyAccount, TikMatrixHost
from flows.connections import check_connections
from flows.publish import publish_video
from reelflow.errors import Busy, NotAllowed, NotFound, NothingSent, OutcomeUnknown, ReelflowError
from reelflow.ledger import Ledger
from reelflow.records.posts import PostRequest
from tasks.upkeep.health import with_next_step


def test_it_says_where_everything_is_and_what_is_wrong(
    server: str, sandbox: Any, ledger_url: str, ledger: Ledger, checked: Callable[..., PostRequest]
) -> None:
    """Server, ledger, open posts, each block with accounts, plan and quota; exit 1 if a check failed; no key in it."""
    ledger.accepted(ledger.claim(checked(), service="s", owner="me").send_id or "", "h1")
    well = TaislyAccount(api_key="taisly_sandbox", base_url=sandbox.taisly_url, plan="PRO")
    well.save("doctor-well", overwrite=True)
    TaislyAccount(api_key="taisly_wrong", base_url=sandbox.taisly_url).save("doctor-ill", overwrite=True)
    TikMatrixHost(base_url=sandbox.tikmatrix_url, phones=["R58N01SANDBOX: ada.daily", "GONE1"]).save(
        "doctor-host", overwrite=True
    )

    done = subprocess.run(
        [sys.executable, "-m", "deployments", "doctor"],
        env={**os.environ, "PREFECT_API_URL": f"{server}/api", "COLUMNS": "300"},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip

    lines = {line.split("'")[1]: line for line in done.stdout.splitlines() if "'" in line}
    assert done.returncode == 1
    assert ledger_url.removeprefix("sqlite:///") in done.stdout.replace("\n", "")
    assert lines["doctor-well"].startswith("ok")
    assert "6 accounts connected (TikTok @mara.bakes, " in lines["doctor-well"]
    assert "); plan PRO, 1 of 1000 requests used" in lines["doctor-well"]
    assert lines["doctor-ill"].startswith("FAILED")
    assert "Check the API key" in lines["doctor-ill"]
    assert "licence Pro" in lines["doctor-host"]
    assert (
        "2 phones listed: R58N01SANDBOX (ada.daily), GONE1; 1 of them online (not: GONE1; connect them"
        in (lines["doctor-host"])
    )
    assert f"runs Prefect {prefect.__version__}" in done.stdout
    assert re.search(
        r"WARNING +Open posts +1 post without an outcome yet, and no schedule looks it up\. "
        r"Run finish-open-posts, or turn on its schedule\.",
        done.stdout,
    )
    assert "Deployments" in done.stdout
    assert "taisly_wrong" not in done.stdout
    assert "checks failed" in done.stdout
    assert done.stderr == ""


def test_a_server_that_is_not_there_is_one_line() -> None:
    """With what to do."""
    with client_of("http://127.0.0.1:1/api"):
        done = reelflow("doctor", COLUMNS="300")

    assert done.returncode == 1
    assert "does not answer" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("version", "other", "expected"),
    [
        ("3.4.1", {"empty": True}, ("FAILED  Prefect server", "runs Prefect 3.4.1, but 3.", "none on this server")),
        (prefect.__version__, {}, ("FAILED  Prefect server", "does not allow this (403 at ")),
        (
            prefect.__version__,
            {"empty": True, "events": 500},
            ("FAILED  Prefect server", "answers but does not accept events (500)", "none on this server"),
        ),
        (
            prefect.__version__,
            {"empty": True, "events": 0},
            ("FAILED  Prefect server", "does not accept events (no answer within 10 s)", "none on this server"),
        ),
    ],
    ids=["another version", "forbidden", "no events", "no answer to events"],
)
def test_a_server_that_is_not_right_is_one_line(version: str, other: dict[str, Any], expected: tuple[str, ...]) -> None:
    """Unless it forbids everything, the other checks are made."""
    with other_server(version, **other) as api, client_of(api):
        done = reelflow("doctor", COLUMNS="300")

    assert done.returncode == 1
    shown = " ".join(done.stdout.split())  # how wide a column is depends on what else is in it
    for words in expected:
        assert " ".join(words.split()) in shown
    assert "Traceback" not in done.stdout + done.stderr


def test_a_clock_that_is_not_that_of_the_server_is_said(server: str) -> None:
    """With by how much, and what to do; a clock that is right passes the check."""
    right = reelflow("doctor", COLUMNS="300")
    with failing_server(server, "/no-such", ahead=90) as api, client_of(api):
        wrong = reelflow("doctor", COLUMNS="300")

    assert re.search(r"^ok +Clock +as that of the Prefect server *$", right.stdout, re.MULTILINE)
    assert re.search(
        r"^FAILED +Clock +this machine's is (8|9)\d s behind that of the Prefect server\. Synchronise the clocks",
        wrong.stdout, re.MULTILINE,
    )  # fmt: skip


def test_a_deployment_that_names_a_block_which_is_not_saved_is_said(server: str) -> None:
    """With the block's name, and what to do."""
    flow = publish_video.to_deployment(
        name="doctor-orphan", tags=["reelflow"],
        parameters={"taisly": {"$ref": {"block_document_slug": "taisly-account/gone"}}},
    )  # fmt: skip
    identity = flow.apply()

    done = reelflow("doctor", COLUMNS="300")
    with get_client(sync_client=True) as client:
        client.delete_deployment(identity)

    assert "refers to the block taisly-account/gone, which is not saved" in done.stdout
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("error", "step"),
    [
        (NothingSent("TikMatrix cannot be reached.", service="TikMatrix"), "Start TikMatrix on the PC"),
        (NothingSent("Taisly cannot be reached.", service="Taisly"), "Check the internet connection"),
        (Busy("Taisly: rate limit reached.", service="Taisly"), "Run the check again then."),
        (OutcomeUnknown("Internal error at Taisly (500).", service="Taisly"), "see whether Taisly itself works."),
        (NotFound("Taisly: not found (404).", service="Taisly", status=404), "Check the base URL of the block."),
        (NotAllowed("TikMatrix does not allow this (403).", service="TikMatrix", status=403), "Check the licence"),
        (NotAllowed("Check the API key.", service="Taisly", status=401), "Check the API key."),
    ],
)
def test_what_a_service_says_ends_with_a_next_step(error: ReelflowError, step: str) -> None:
    """In the block or at the service; one that the message has already is not repeated."""
    assert with_next_step(error).startswith(str(error))
    assert with_next_step(error).count(step) == 1


def _pool_finding(done: Any, pool: str) -> str:
    (line,) = [line for line in done.stdout.splitlines() if f"Work pool {pool}" in line]
    return str(line)


def test_two_workers_for_one_pc_with_phones_are_a_warning(server: str, tmp_path: Path) -> None:
    """They may be on two PCs, whose TikMatrix programs number their tasks alike; for posts, two are as good as one."""
    pools = [Pool(server, tmp_path, name) for name in ("phones-twice", "posts-twice")]
    deployed = []
    for pool in pools:
        deployed.append(pool.deploy(check_connections, "flows/connections.py:check_connections", f"{pool.name}-check"))
        with get_client(sync_client=True) as client:
            client.update_deployment(deployed[-1], DeploymentUpdate(tags=["reelflow"]))
        for name in ("attic", "cellar"):
            ask("POST", f"{server}/api/work_pools/{pool.name}/workers/heartbeat", name=name)

    done = reelflow("doctor", COLUMNS="300")
    with get_client(sync_client=True) as client:
        for identity, pool in zip(deployed, pools, strict=True):
            client.delete_deployment(identity)
            client.delete_work_pool(pool.name)

    said = {pool.name: _pool_finding(done, pool.name) for pool in pools}
    assert said["phones-twice"].startswith("WARNING")
    assert "2 workers online: attic, cellar. If they are on two PCs, the ledger confuses the" in said["phones-twice"]
    assert said["posts-twice"].startswith("ok")


def test_a_work_pool_without_a_worker_is_said(server: str, tmp_path: Path) -> None:
    """A warning without work, a failure with work that waits, fine with a worker; with the command to start one."""
    pool = Pool(server, tmp_path, "doctor-pool")
    identity = pool.deploy(check_connections, "flows/connections.py:check_connections", "doctor-pooled")
    with get_client(sync_client=True) as client:
        client.update_deployment(identity, DeploymentUpdate(tags=["reelflow"]))

    idle = _pool_finding(reelflow("doctor", COLUMNS="300"), "doctor-pool")
    run = pool.run(identity)
    late = _pool_finding(reelflow("doctor", COLUMNS="300"), "doctor-pool")
    with get_client(sync_client=True) as client:
        client.delete_flow_run(run)
        client.send_worker_heartbeat("doctor-pool", "w1", heartbeat_interval_seconds=30)
    ready = _pool_finding(reelflow("doctor", COLUMNS="300"), "doctor-pool")
    with get_client(sync_client=True) as client:
        client.delete_deployment(identity)
        client.delete_work_pool("doctor-pool")

    command = "Start one on the machine that does its work: python -m prefect worker start --pool doctor-pool --limit 8"
    assert idle.startswith("WARNING")
    assert f"no worker is running. {command}" in idle
    assert late.startswith("FAILED")
    assert "no worker is running, with 1 run waiting, the oldest since " in late
    assert command in late
    assert ready.startswith("ok")
    assert "1 worker online: w1" in ready


def test_flows_that_nothing_serves_are_said(server: str) -> None:
    """With the command that serves them."""
    identity = publish_video.to_deployment(name="doctor-unserved", tags=["reelflow"]).apply()

    done = reelflow("doctor", COLUMNS="300")
    with get_client(sync_client=True) as client:
        client.delete_deployment(identity)

    (line,) = [line for line in done.stdout.splitlines() if "Served flows" in line]
    assert "doctor-unserved" in line
    assert line.rstrip().endswith("python -m deployments.serve")
