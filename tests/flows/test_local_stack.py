"""What `reelflow up` prepares on its Prefect server."""

import contextlib
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client

from blocks import BY_SLUG, TaislyAccount, TikMatrixHost
from deployments import ledger as ledger_command
from deployments.local.processes import LocalProcess, start_sandbox, wait_for_prefect_server, wait_for_sandbox
from deployments.local.stack import BLOCK_NAME, save_sandbox_blocks, use_ledger_of
from reelflow.errors import ReelflowError
from reelflow.ports import free_port
from tasks.ledger import open_ledger


def test_a_second_start_leaves_what_a_person_has_set_in_the_blocks(server: str) -> None:
    """Only the address follows the sandbox."""
    save_sandbox_blocks("http://127.0.0.1:1")
    with get_client(sync_client=True) as client:
        assert {client.read_block_type_by_slug(slug).slug for slug in BY_SLUG} == set(BY_SLUG)  # a form asks for each
    host: Any = TikMatrixHost.load(BLOCK_NAME)
    host.comments_per_day = 3
    host.save(BLOCK_NAME, overwrite=True)

    save_sandbox_blocks("http://127.0.0.1:2")

    host, taisly = TikMatrixHost.load(BLOCK_NAME), TaislyAccount.load(BLOCK_NAME)
    assert (host.comments_per_day, host.base_url) == (3, "http://127.0.0.1:2/api/v1")
    assert len(host.phones) == 20
    assert taisly.base_url == "http://127.0.0.1:2/api/private"
    assert taisly.api_key.get_secret_value() == "taisly_sandbox"


def test_a_moved_ledger_is_used_at_the_next_start_too(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What moves or replaces the ledger of a real server does so with that of `reelflow up`."""
    monkeypatch.delenv("REELFLOW_LEDGER_URL")
    use_ledger_of(tmp_path)
    assert Path(open_ledger().place) == tmp_path / "ledger.db"

    ledger_command.move(f"sqlite:///{tmp_path / 'moved.db'}")
    use_ledger_of(tmp_path)

    assert Path(open_ledger().place) == tmp_path / "moved.db"
    assert "REELFLOW_LEDGER_URL" not in os.environ


def test_another_server_at_the_same_address_is_not_taken_for_ours(server: str, tmp_path: Path) -> None:
    """As when two were started at once: the second would save its blocks there before it exits."""
    beaten = LocalProcess(
        "the Prefect server", [sys.executable, "-c", "import time; time.sleep(2)"], tmp_path / "server.log", {}
    )

    with pytest.raises(ReelflowError, match="the Prefect server exited while starting"):
        wait_for_prefect_server(beaten, server, tmp_path)


def test_two_sandboxes_that_are_started_at_once_listen_at_two_addresses(tmp_path: Path) -> None:
    """Each says where; the port that both are told is free when they are started."""
    port = free_port()
    with contextlib.ExitStack() as cleanup:
        started = [start_sandbox(tmp_path / name, port) for name in ("a", "b")]
        for process in started:
            cleanup.callback(process.stop)

        assert len({wait_for_sandbox(process) for process in started}) == 2


def test_a_process_starts_without_the_password_of_another_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With it, the Prefect server of `reelflow up` would refuse its own clients; and without modules of its folder."""
    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", "admin:secret")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "yaml.py").write_text("raise SystemExit('the wrong module')")
    shown = "import os, time, yaml; print('password:', os.environ.get('PREFECT_SERVER_API_AUTH_STRING'), flush=True)"
    process = LocalProcess("a process", [sys.executable, "-c", f"{shown}; time.sleep(30)"], tmp_path / "log", {})

    assert process.wait_for_word("password: ") == "None"
    process.stop()
