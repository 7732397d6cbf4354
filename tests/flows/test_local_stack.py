"""What `reelflow up` prepares on its Prefect server."""

from typing import Any

from blocks import TaislyAccount, TikMatrixHost
from deployments.local.stack import BLOCK_NAME, save_sandbox_blocks


def test_a_second_start_leaves_what_a_person_has_set_in_the_blocks(server: str) -> None:
    """Only the address follows the sandbox."""
    save_sandbox_blocks("http://127.0.0.1:1")
    host: Any = TikMatrixHost.load(BLOCK_NAME)
    host.comments_per_day = 3
    host.save(BLOCK_NAME, overwrite=True)

    save_sandbox_blocks("http://127.0.0.1:2")

    host, taisly = TikMatrixHost.load(BLOCK_NAME), TaislyAccount.load(BLOCK_NAME)
    assert (host.comments_per_day, host.base_url) == (3, "http://127.0.0.1:2/api/v1")
    assert len(host.phones) == 20
    assert taisly.base_url == "http://127.0.0.1:2/api/private"
    assert taisly.api_key.get_secret_value() == "taisly_sandbox"
