"""The steps that a run takes with phones: against a sandbox, with a ledger and a clock."""

import uuid
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from reelflow.ledger import Ledger
from reelflow.phones import creating, settling, watching
from reelflow.phones.form import CommentForm, FollowForm, PhoneForm
from reelflow.phones.limits import Guardrails, make_plan, read_phones
from reelflow.phones.requests import make_request
from reelflow.records.phones import PhonePlan, TaskRequest
from reelflow.tikmatrix import TikMatrixClient, listing
from support.clock import Clock

HOST = "studio"
SERIALS = [f"R58N{n:02d}SANDBOX" for n in range(1, 6)]
PHONES = [f"{serial}: {name}.daily" for serial, name in zip(SERIALS, ("ada", "ben", "cleo", "dan", "eva"), strict=True)]
RAILS = Guardrails(read_phones(PHONES), {"account_warmup": 100, "comment": 100, "follow": 100, "unfollow": 100},
                   ZoneInfo("UTC"))  # fmt: skip
URLS = [f"https://www.tiktok.com/@x/video/{n}" for n in range(1, 4)]


class Phones:
    """A ledger, a client and a clock, and the steps that a run takes with them."""

    def __init__(self, sandbox: Any, ledger: Ledger, clock: Clock) -> None:
        self.sandbox, self.ledger, self.clock = sandbox, ledger, clock
        self.client: TikMatrixClient = sandbox.tikmatrix()
        self.owner = uuid.uuid4().hex

    def plan(self, form: PhoneForm, flow_run: str = "run-1", rails: Guardrails = RAILS) -> PhonePlan:
        request, now = make_request(form, rails), datetime.fromtimestamp(self.ledger.now(), UTC)
        return self.ledger.plan_tasks(
            request, lambda history: make_plan(request, rails, history, now), since=rails.day_start(now).timestamp(),
            host=HOST, owner=self.owner, flow_run=flow_run,
        )  # fmt: skip

    def create(self, **more: Any) -> None:
        creating.create_tasks(
            self.client, self.ledger, self.task_requests(), owner=self.owner, sleep=self.clock.sleep, **more
        )

    def begin(self, request: TaskRequest, highest_before: int | None = None) -> None:
        """Go as far as just before the request leaves, as a run does that is killed then."""
        self.ledger.take_turn(HOST, self.owner)
        highest = listing.highest_id(self.client) if highest_before is None else highest_before
        self.ledger.begin_task_request(request.id, self.owner, highest)

    def settle_lost(self, client: TikMatrixClient | None = None) -> None:
        self.ledger.take_turn(HOST, self.owner)
        settling.settle_lost(client or self.client, self.ledger, HOST, self.owner)

    def watch(self, seconds: float = 3600, **how: Any) -> watching.WatchResult:
        ids = [request.id for request in self.task_requests()]
        return watching.watch_tasks(
            self.client,
            self.ledger,
            ids,
            watching.WatchSettings(seconds, **({"interval": 10} | how)),
            sleep=self.clock.sleep,
        )

    def task_requests(self) -> list[TaskRequest]:
        return self.ledger.task_requests(host=HOST)

    def states(self) -> list[str]:
        return [task.state.value for task in self.ledger.phone_tasks([request.id for request in self.task_requests()])]

    @property
    def there(self) -> list[dict[str, Any]]:
        return self.sandbox.phone_tasks


def follow(**changes: Any) -> FollowForm:
    return FollowForm(**({"devices": SERIALS[:2], "users": ["one", "two"]} | changes))


def comment(**changes: Any) -> CommentForm:
    return CommentForm(**({"devices": SERIALS[:2], "post_urls": URLS[:2], "comments": ["nice"]} | changes))
