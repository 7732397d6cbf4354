"""Blocks that are saved on the Prefect server that tests share."""

from prefect.client.orchestration import get_client


def delete_blocks() -> None:
    """Delete all of them: checks look at every block, so also at what another test has left."""
    with get_client(sync_client=True) as client:
        for block in client.read_block_documents():
            client.delete_block_document(block.id)
