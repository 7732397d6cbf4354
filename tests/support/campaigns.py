"""The steps of a campaign: a plan, checked and sent with the sandbox."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from reelflow.campaigns.carrying_out import Carried, Carrier
from reelflow.campaigns.check import Checker
from reelflow.campaigns.form import CampaignForm
from reelflow.campaigns.placing import Placer, PostOptions
from reelflow.campaigns.posts import CheckedPlan
from reelflow.campaigns.rows import Plan, PlanRow
from reelflow.campaigns.slot_rules import read_rules
from reelflow.campaigns.slots import SlotBook
from reelflow.posts.rate_limited import RateLimitedTaisly

HOURLY = SlotBook(read_rules(["all: daily " + ", ".join(f"{hour}:00" for hour in range(24))]), ZoneInfo("UTC"))


class Campaign:
    """A plan, checked and sent with the sandbox."""

    def __init__(self, taisly: RateLimitedTaisly, *rows: PlanRow, book: SlotBook | None = HOURLY, **form: Any) -> None:
        self.taisly, self.plan = taisly, Plan("plan.csv", (), rows)
        self.form = CampaignForm(**({"accounts": ["Instagram"]} | form))
        self.placer = Placer(taisly.ledger, taisly.service, book, {}, self.form.same_time, PostOptions(patience=900))

    def check(self) -> CheckedPlan:
        now = datetime.fromtimestamp(self.taisly.ledger.now(), UTC)
        return Checker(self.taisly, self.form, self.placer).check(self.plan, now)

    def send(self, checked: CheckedPlan | None = None, **more: Any) -> list[Carried]:
        posts, problems = self.placer.place((checked or self.check()).right_drafts(), dry_run=False)
        assert not problems
        return Carrier(self.taisly, self.placer, **more).carry_out(posts)


def row(number: int, video: Path, **changes: Any) -> PlanRow:
    return PlanRow(number, str(video), **({"caption": f"caption {number}"} | changes))


class AwayForSomeTime(httpx.HTTPTransport):
    """A network that does not connect to `/post` for so many requests."""

    def __init__(self, refused: int) -> None:
        super().__init__()
        self.refused, self.tries = refused, 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and self.tries < self.refused:
            self.tries += 1
            raise httpx.ConnectError("Connection refused")
        return super().handle_request(request)
