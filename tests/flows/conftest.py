"""What the tests of flows share: a Prefect server's client, and two clients of an agency."""

from collections.abc import Iterator

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from support.clients import save_client
from support.sandbox import SandboxWithClients
from support.saved_blocks import delete_blocks

from blocks import TaislyAccount


@pytest.fixture
def client(server: str) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as found:
        yield found


@pytest.fixture
def two() -> Iterator[SandboxWithClients]:
    with SandboxWithClients(plan="PRO", clients=["bakery", "cafe"]) as sandbox:
        yield sandbox


@pytest.fixture
def clients(two: SandboxWithClients, server: str) -> Iterator[dict[str, TaislyAccount]]:
    """The blocks of two clients, and no others."""
    delete_blocks()
    for name in ("bakery", "cafe"):
        save_client(two, name)
    yield {name: TaislyAccount.load(name) for name in ("bakery", "cafe")}
    delete_blocks()
