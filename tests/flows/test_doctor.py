"""`reelflow doctor` as a person runs it."""

import os
import subprocess
import sys
from typing import Any

from blocks import TaislyAccount, TikMatrixHost


def _doctor(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "reelflow", "doctor"],
        env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_it_says_where_everything_is_and_what_is_wrong(server: str, sandbox: Any, ledger_url: str) -> None:
    """Server, ledger, each block with accounts, plan and quota; exit 1 for what needs a look; no key in it."""
    well = TaislyAccount(api_key="taisly_sandbox", base_url=sandbox.taisly_url, plan="PRO")
    well.save("doctor-well", overwrite=True)
    TaislyAccount(api_key="taisly_wrong", base_url=sandbox.taisly_url).save("doctor-ill", overwrite=True)
    TikMatrixHost(base_url=sandbox.tikmatrix_url, phones=["R58N01SANDBOX"]).save("doctor-host", overwrite=True)

    done = _doctor(PREFECT_API_URL=f"{server}/api", COLUMNS="300")

    lines = {line.split("'")[1]: line for line in done.stdout.splitlines() if "'" in line}
    assert done.returncode == 1
    assert ledger_url.removeprefix("sqlite:///") in done.stdout.replace("\n", "")
    assert lines["doctor-well"].startswith("ok")
    assert "6 accounts connected; plan PRO, 0 of 1000 requests used" in lines["doctor-well"]
    assert lines["doctor-ill"].startswith("look")
    assert "Check the key in the block" in lines["doctor-ill"]
    assert "licence Pro" in lines["doctor-host"]
    assert "taisly_wrong" not in done.stdout
    assert done.stderr == ""


def test_a_server_that_is_not_there_is_one_line() -> None:
    """With what to do."""
    done = _doctor(PREFECT_API_URL="http://127.0.0.1:1/api", COLUMNS="300")

    assert done.returncode == 1
    assert "does not answer" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
