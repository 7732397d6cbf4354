"""A PostgreSQL whose disk gets full while posts are sent, and which has room again later."""

import contextlib
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.clock import Clock
from support.commands import Done, reelflow
from support.topology import Cluster, Topology

from reelflow.errors import LedgerUnavailable
from reelflow.ledger import Ledger
from reelflow.ports import free_port
from reelflow.posts.sending import send_post
from reelflow.posts.watching import watch_posts
from reelflow.records.post_states import PostState
from reelflow.records.posts import PostRequest
from tasks.ledger import close_ledgers

pytestmark = pytest.mark.slow
Post = Callable[..., PostRequest]
SIZE = "100m"
POSTS = 60
"""So many need more room than the tables have reserved."""


class Disk:
    """A small one of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self) -> None:
        """Leave no room at all."""
        with (self.folder / "ballast").open("wb", buffering=0) as ballast:
            for size in (1 << 20, 1 << 12):
                with contextlib.suppress(OSError):
                    while ballast.write(bytes(size)):
                        pass
        assert shutil.disk_usage(self.folder).free == 0

    def free(self) -> None:
        """Make room again."""
        (self.folder / "ballast").unlink()


@pytest.fixture
def disk() -> Iterator[Disk]:
    folder = Path(tempfile.mkdtemp(prefix="reelflow-disk-"))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder], check=False, capture_output=True, timeout=30
    )
    if mounted.returncode:
        folder.rmdir()
        pytest.skip("a small disk cannot be made on this machine (mount is not allowed)")
    yield Disk(folder)
    subprocess.run(["umount", folder], check=True, timeout=30)
    folder.rmdir()


@pytest.fixture
def full_ledger(disk: Disk, clock: Clock) -> Iterator[Ledger]:
    """A ledger on that disk."""
    with Topology(disk.folder) as topology:
        cluster = Cluster(topology, free_port())
        cluster.hba.write_text(f"{cluster.hba.read_text('utf-8')}local  all  reelflow  trust\n", "utf-8")
        cluster.part.start()
        for program in ("createuser", "createdb"):
            extra = ["--owner", "reelflow"] if program == "createdb" else []
            subprocess.run([*cluster.as_admin, program, *extra, "reelflow"], cwd="/", check=True, timeout=60)
        folder, port = disk.folder / "postgresql", cluster.port
        ledger = Ledger(f"postgresql://reelflow@/reelflow?host={folder}&port={port}", clock=clock)
        yield ledger
        ledger.close()
    shutil.rmtree(disk.folder / "postgresql")


def test_each_post_is_out_once_although_the_disk_was_full(
    full_ledger: Ledger, disk: Disk, sandbox: Any, checked: Post, clock: Clock
) -> None:
    """Nothing is begun that cannot be recorded; what was out by then is found; all goes on when there is room."""
    clock.drive(sandbox)
    taisly = sandbox.rate_limited(full_ledger, clock)
    posts = [checked(f"post {number}") for number in range(POSTS)]
    send_post(taisly, posts[0])
    disk.fill()

    refused = []
    for post in posts:
        try:
            send_post(taisly, post)
        except LedgerUnavailable as error:
            refused.append(str(error))
    disk.free()
    clock.sleep(60)  # leases are over by then
    for post in posts:
        send_post(taisly, post)
    watch_posts(taisly, None, seconds=7200)

    assert refused
    for said in refused:
        assert "No space left on device" in said
        assert "Its disk is full: free some space on the machine of the database." in said
    assert Counter(post["caption"] for post in sandbox.posts) == Counter(post.caption for post in posts)
    for post in posts:
        assert {o.state for o, _ in full_ledger.outcomes(post, service=taisly.service)} == {PostState.SUCCESS}


def _doctor(url: str) -> Done:
    """It opens the ledger each time, as a process of its own would."""
    try:
        return reelflow("doctor", COLUMNS="600", REELFLOW_LEDGER_URL=url)
    finally:
        close_ledgers()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_doctor_says_that_the_disk_is_full(server: str, disk: Disk, kind: str, request: pytest.FixtureRequest) -> None:
    """Although all that it asks the ledger can still be read, as while a worker has it open."""
    sqlite = f"sqlite:///{disk.folder / 'ledger.db'}"
    url = sqlite if kind == "sqlite" else request.getfixturevalue("full_ledger").full_url

    with contextlib.closing(Ledger(url)) as of_a_worker:
        of_a_worker.identity()
        before = _doctor(url)
        disk.fill()
        full = _doctor(url)
        disk.free()
        after = _doctor(url)

    assert re.search(r"^FAILED +Ledger .*No space left on device", full.stdout, re.MULTILINE), full.stdout
    assert "Its disk is full: free some space on the machine of the database. Then try again." in full.stdout
    for done in (before, after):
        assert re.search(r"^ok +Ledger ", done.stdout, re.MULTILINE), done.stdout
