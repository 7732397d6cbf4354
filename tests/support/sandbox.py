"""The sandbox with both clients, as most tests want it."""

import time
from collections.abc import Callable

from reelflow.ledger import Ledger
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.sandbox import Sandbox
from reelflow.sandbox.catalog import API_KEY
from reelflow.taisly import TaislyClient
from reelflow.tikmatrix import TikMatrixClient
from support.clock import Clock


class SandboxWithClients(Sandbox):
    """Makes clients that lead to it, and closes them."""

    _clients: list[TaislyClient | TikMatrixClient]

    def start(self) -> "SandboxWithClients":
        self._clients = []
        return super().start()

    def stop(self) -> None:
        self.close_clients()
        super().stop()

    def taisly(self, key: str = API_KEY, *, clock: Callable[[], float] = time.time) -> TaislyClient:
        client = TaislyClient(key, self.taisly_url, clock=clock)
        self._clients.append(client)
        return client

    def rate_limited(self, ledger: Ledger, clock: Clock, *, key: str = API_KEY, plan: str = "PRO") -> RateLimitedTaisly:
        return RateLimitedTaisly(
            self.taisly(key, clock=clock), ledger, api_key=key, service=self.taisly_url, plan=plan, sleep=clock.sleep
        )

    def tikmatrix(self) -> TikMatrixClient:
        client = TikMatrixClient(self.tikmatrix_url)
        self._clients.append(client)
        return client

    def close_clients(self) -> None:
        while self._clients:
            self._clients.pop().close()
