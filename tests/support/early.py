"""A transport that answers in the service's place before it has the whole request."""

import httpx


class EarlyAnswers(httpx.HTTPTransport):
    """Gives these answers after the first piece of a body, as a proxy may; later requests go to the service."""

    def __init__(self, *answers: httpx.Response) -> None:
        super().__init__()
        self._answers = list(answers)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if not self._answers:
            return super().handle_request(request)
        assert isinstance(request.stream, httpx.SyncByteStream)
        next(iter(request.stream))
        return self._answers.pop(0)
