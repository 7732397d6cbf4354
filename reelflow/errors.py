"""All of reelflow's errors, classified by what the caller can do about them.

    ReelflowError
    ├── InputError             the input is wrong; nothing was sent: correct it
    │   ├── VideoUnreadable    the file is not a video that can be used
    │   ├── LinkEnded          the address of a video does not open any more: use another one
    │   ├── DuplicatePost      the post may be out already, with something changed
    │   ├── StillOpen          the post has no outcome yet: nothing to decide
    │   ├── TimePassed         the moment of a post has passed before it was sent
    │   ├── FitUnavailable     a video cannot be made right on this machine, which is no fault of the video
    │   ├── NoRoom             a file cannot be kept where it has to be: free up room there
    │   └── NoSlot             no posting slot is free for the post: change the slots, or give it a time
    ├── LedgerUnavailable      the ledger cannot be used; nothing is sent without it
    │   └── LedgerReplaced     another one is used by now: waiting for this one helps nobody
    ├── ClaimLost              another run has taken over the work; this one sends nothing
    │   └── TurnLost           another run has taken the turn on a PC with phones
    ├── KeyNotSaved            a new API key is kept on this machine, and its block does not have it yet
    ├── KeyLost                the API key is dead, and nobody has seen the new one: a person generates another
    ├── RunSkipped             the run did nothing, since it is too late for it
    ├── PhonesWait             the phones cannot act now, and nothing was sent: a later run can
    ├── PartFailed             a step did its work, and part of it failed; the run goes on with `value`
    ├── RunFailed              the run did its work, and part of it failed; `report` has the details
    │   ├── PublishFailed      a platform did not publish the post
    │   ├── CampaignFailed     a row of a campaign is wrong, or was not published
    │   ├── PhonesFailed       a phone task failed, is gone, or could not be created
    │   └── ChecksFailed       something that reelflow needs does not work
    └── ServiceError           a request to a service failed
        ├── NothingSent        the request cannot have taken effect: safe to repeat
        │   ├── SentElsewhere  another run is sending the same post
        │   └── Busy           too many requests (429): wait `retry_after` seconds, then repeat
        ├── OutcomeUnknown     it may or may not have taken effect: read before writing again
        │   └── UnreadableAnswer   the answer cannot be understood
        └── Refused            the service refused it: repeating it will not help
            ├── NotAllowed     the key, the plan or the licence does not allow it
            └── NotFound       the service does not have it

Errors are plain data: one sentence for a person and a few optional fields. They hold no request and no
response (an ``httpx.HTTPStatusError`` cannot be unpickled and carries the Authorization header), so they can
be stored, logged and sent between processes. The sandbox has its own errors, since it stands in for other programs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel


class ReelflowError(Exception):
    """One sentence that says what is wrong and what to do.

    Attributes:
        message: That sentence.
        service: ``"Taisly"`` or ``"TikMatrix"``, where a service was involved.
        status: The HTTP status of its answer.
        code: The service's own code, such as ``"LIMIT"`` or ``"40401"``.
        retry_after: Seconds that the service asked us to wait.
        by_service: Whether the service says so in its own format, and not something on the way to it.
    """

    def __init__(
        self,
        message: str,
        *,
        service: str | None = None,
        status: int | None = None,
        code: str | None = None,
        retry_after: float | None = None,
        by_service: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.service = service
        self.status = status
        self.code = code
        self.retry_after = retry_after
        self.by_service = by_service

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
    """The input is wrong. Nothing was sent."""


class WrongClient(InputError):
    """An account that belongs to another client than the run. Nothing was sent.

    Attributes:
        is_named: Whether the client is in front of the account; without it, the run's own client may have a new one.
    """

    is_named = False


class VideoUnreadable(InputError):
    """The file is not a video that can be used.

    Attributes:
        problem: ``unreadable``, ``corrupt``, ``video`` or ``format``.
        found: What was found, for the report.
        hint: What to do.
        facts: What could be read all the same: ``size_bytes``, ``container``.
    """

    def __init__(self, problem: str, found: str = "", hint: str = "", facts: dict[str, Any] | None = None) -> None:
        super().__init__(f"{found[:1].upper()}{found[1:]}. {hint}".strip() if found else problem)
        self.problem = problem
        self.found = found
        self.hint = hint
        self.facts = facts or {}


class LinkEnded(InputError):
    """The address of a video does not open, or not any more: its link has ended, or one has to sign in."""


class DuplicatePost(InputError):
    """The post would be, or may be, published twice. Nothing was sent.

    Attributes:
        send_id: Of the earlier send, where there is one.
        is_unconfirmed: Whether a person has to find out what became of that one.
        scheduled_as: Its history ID, if it is scheduled and can still be cancelled.
    """

    def __init__(
        self,
        message: str,
        *,
        send_id: str | None = None,
        is_unconfirmed: bool = False,
        scheduled_as: str | None = None,
    ) -> None:
        super().__init__(message)
        self.send_id = send_id
        self.is_unconfirmed = is_unconfirmed
        self.scheduled_as = scheduled_as


class StillOpen(InputError):
    """The post has no outcome yet, so a person has nothing to decide."""


class TimePassed(InputError):
    """The moment of a post has passed, or is about to, before it was sent. Nothing was sent."""


class NoSlot(InputError):
    """No posting slot is free for a post.

    Attributes:
        reason: ``paused``, ``unset`` (no slots for an account), ``uncommon`` (several accounts share none) or ``full``.
        account_ids: The accounts that this is true of.
    """

    def __init__(self, message: str, *, reason: str = "full", account_ids: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.reason = reason
        self.account_ids = tuple(account_ids)


class FitUnavailable(InputError):
    """A video cannot be made right on this machine, which is no fault of the video: such as a missing ffmpeg."""


class NoRoom(InputError):
    """A file cannot be kept where it has to be: the disk is full, or the folder cannot be written to."""


class LedgerUnavailable(ReelflowError):
    """The ledger cannot be read or written. Nothing is sent without it."""


class LedgerReplaced(LedgerUnavailable):
    """Another ledger, or another copy of it, is used in its place: a step that is retried, or a new run, opens that."""


class ClaimLost(ReelflowError):
    """Another run has taken over this work, because this one sent no heartbeat for too long."""


class TurnLost(ClaimLost):
    """Another run has taken the turn to create tasks on a PC. The work is still this one's: it may take a new turn."""


class KeyNotSaved(ReelflowError):
    """A new API key could not be saved into its block. It is kept on this machine."""


class KeyLost(ReelflowError):
    """The API key was replaced, and the new one was shown to nobody."""


class RunSkipped(ReelflowError):
    """The run began too late to be of use. Nothing was sent."""


class PhonesWait(ReelflowError):
    """The phones cannot act now: they are in quiet hours, or out of reach. Nothing was sent, so a later run can do it.

    Attributes:
        until: When to try again, in Unix seconds.
    """

    def __init__(self, message: str, until: float = 0.0) -> None:
        super().__init__(message)
        self.until = until


class PartFailed(ReelflowError):
    """A step did its work, and part of it failed: the step counts as failed, and its run goes on.

    Attributes:
        value: What the step returns all the same.
    """

    def __init__(self, message: str, value: Any = None) -> None:
        super().__init__(message)
        self.value = value


class RunFailed(ReelflowError):
    """The run did its work, and part of it failed.

    Attributes:
        report: The outcome of each part; None if there is no report.
        failures: What failed besides the posts and the phone tasks of the ledger, a sentence for each.
        cause: What is the same each time that this fails for the same reason; empty if that is the message.
    """

    def __init__(
        self, message: str, report: BaseModel | None = None, failures: Sequence[str] = (), *, cause: str = ""
    ) -> None:
        super().__init__(message)
        self.report = report
        self.failures = tuple(failures)
        self.cause = cause


class PublishFailed(RunFailed):
    """At least one platform did not publish the post."""


class CampaignFailed(RunFailed):
    """At least one row of a campaign is wrong, or was not published."""


class PhonesFailed(RunFailed):
    """At least one phone task failed, is gone, or could not be created."""


class ChecksFailed(RunFailed):
    """Something that reelflow needs does not work."""


class ServiceError(ReelflowError):
    """A request to a service failed."""


class NothingSent(ServiceError):
    """The request cannot have taken effect: repeating it is safe."""


class SentElsewhere(NothingSent):
    """Another run was still sending the post when the patience of this one ended."""


class Busy(NothingSent):
    """Too many requests. Wait ``retry_after`` seconds (None: the service did not say), then repeat."""


class OutcomeUnknown(ServiceError):
    """The request may or may not have taken effect. Read what is there before writing again."""


class UnreadableAnswer(OutcomeUnknown):
    """The answer cannot be understood, so the outcome is unknown."""


class Refused(ServiceError):
    """The service refused the request, and will refuse it again."""


class NotAllowed(Refused):
    """The key, the plan or the licence does not allow it."""

    @property
    def is_of_the_key(self) -> bool:
        """Whether the service itself refused the key, and so did nothing; a proxy's 401 says nothing of the service."""
        return self.status == 401 and self.by_service


class NotFound(Refused):
    """The service does not have what was requested."""
