"""A transport through which somebody else acts in the middle of a request."""

from collections.abc import Callable

import httpx


class Meddling(httpx.HTTPTransport):
    """The network, and somebody who does something just before a request."""

    def __init__(self, before: Callable[[httpx.Request], None]) -> None:
        super().__init__()
        self._before = before

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._before(request)
        return super().handle_request(request)
