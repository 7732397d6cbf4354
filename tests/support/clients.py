"""Saved clients: Taisly accounts of the sandbox as blocks on a Prefect server."""

from prefect.client.orchestration import SyncPrefectClient

from blocks import TaislyAccount
from support.sandbox import SandboxWithClients


def save_client(two: SandboxWithClients, name: str, *, key: str = "") -> None:
    """Save the block of one of the sandbox's further clients, with its key or another one."""
    block = TaislyAccount(api_key=key or two.key_of(name), base_url=two.taisly_url, plan="PRO", first_look_seconds=0.05)
    block.save(name, overwrite=True)


def delete_clients(client: SyncPrefectClient) -> None:
    """Delete the blocks of all clients."""
    for block in client.read_block_documents():
        if block.block_type and block.block_type.slug == "taisly-account":
            client.delete_block_document(block.id)
