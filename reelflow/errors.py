"""Every error of reelflow, sorted by what the caller can do about it.

    ReelflowError
    ├── InputError             what was asked for is wrong; nothing was sent: correct it
    ├── LedgerUnavailable      our own record cannot be used; nothing is sent without it
    ├── ClaimLost              another run has taken a post over; this one sends nothing
    └── ServiceError           a service was asked, and it did not go well
        ├── NothingSent        the request cannot have taken effect: safe to repeat
        │   └── Busy           too many requests (429): wait `retry_after` seconds, then repeat
        ├── OutcomeUnknown     it may or may not have taken effect: read before writing again
        │   └── UnreadableAnswer   an answer came that makes no sense
        └── Refused            the service said no: repeating it will not help
            ├── NotAllowed     the key, the plan or the licence does not permit it
            └── NotFound       the thing named is not there

Errors are plain data: one sentence for a person and a few optional fields. They hold no request and no
response (an ``httpx.HTTPStatusError`` cannot be unpickled and carries the Authorization header), so they can
be stored, logged and sent between processes.
"""

from __future__ import annotations

from typing import Any


class ReelflowError(Exception):
    """One plain sentence that says what is wrong and what to do.

    Attributes:
        message: That sentence.
        service: ``"Taisly"`` or ``"TikMatrix"``, where a service was involved.
        status: The HTTP status of its answer.
        code: The service's own code, such as ``"LIMIT"`` or ``"40401"``.
        retry_after: Seconds that the service asked us to wait.
    """

    def __init__(
        self,
        message: str,
        *,
        service: str | None = None,
        status: int | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.service = service
        self.status = status
        self.code = code
        self.retry_after = retry_after

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # Keyword arguments are not part of Exception.args, which is all that pickle keeps by itself.
        return (_rebuild, (type(self), self.message), self.__dict__)


def _rebuild(cls: type[ReelflowError], message: str) -> ReelflowError:
    error = cls.__new__(cls, message)
    Exception.__init__(error, message)
    return error


class InputError(ReelflowError):
    """What was asked for is wrong. Nothing was sent."""


class LedgerUnavailable(ReelflowError):
    """The ledger cannot be read or written. Nothing is sent without it."""


class ClaimLost(ReelflowError):
    """Another run has taken this post over, because this one gave no sign of life for too long."""


class ServiceError(ReelflowError):
    """A service was asked, and it did not go well."""


class NothingSent(ServiceError):
    """The request cannot have taken effect: repeating it is safe."""


class Busy(NothingSent):
    """Too many requests. Wait ``retry_after`` seconds (None: the service did not say), then repeat."""


class OutcomeUnknown(ServiceError):
    """The request may or may not have taken effect. Read what is there before writing again."""


class UnreadableAnswer(OutcomeUnknown):
    """An answer came that makes no sense, so what it says about the outcome is not known."""


class Refused(ServiceError):
    """The service said no. The same request will be refused again."""


class NotAllowed(Refused):
    """The key, the plan or the licence does not permit it."""


class NotFound(Refused):
    """The thing named is not there."""
