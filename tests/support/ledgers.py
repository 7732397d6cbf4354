"""Which ledger a Prefect server uses, as a test wants it."""

import httpx

from support.waiting import until


def forget_ledger(server: str) -> None:
    """Let a server be as one whose ledger no program has used yet, this one included."""
    from tasks.ledger import close_ledgers

    close_ledgers()
    with httpx.Client(base_url=f"{server}/api", trust_env=False, timeout=30) as client:
        found = client.get("/block_types/slug/reelflow-ledger/block_documents/name/main")
        if not found.is_success:
            return
        for path in (f"/block_documents/{found.json()['id']}", "/variables/name/reelflow_ledger_sends"):
            # The server's database may be busy for a moment, with what the test before has left to do.
            until("a server that forgets", lambda path=path: client.delete(path).status_code in (204, 404))  # type: ignore[misc]
