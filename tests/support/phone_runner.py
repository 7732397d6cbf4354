"""A process that makes phone tasks, to be killed: one batch after another, each as the flow run of its number."""

import json
import sys
import time
import uuid
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from reelflow.errors import ReelflowError
from reelflow.ledger import Ledger
from reelflow.phones.creating import create_tasks
from reelflow.phones.form import FollowForm
from reelflow.phones.limits import Guardrails, make_plan, read_phones
from reelflow.phones.requests import make_request
from reelflow.records.phone_states import RequestState
from reelflow.tikmatrix import TikMatrixClient

HOST = "studio"
FASTER = 50
"""How much faster than in life its pauses are."""


def form_of(number: int) -> FollowForm:
    """Form `number`: users of its own, on one to four phones."""
    serials = [f"R58N{n:02d}SANDBOX" for n in range(1, 2 + number % 4)]
    return FollowForm(devices=serials, users=[f"user{number}.{n}" for n in range(1 + number % 3)])


def run(url: str, ledger_url: str, numbers: list[int]) -> None:
    """Make every batch that is not settled."""
    ledger = Ledger(ledger_url, patience=60)
    rails = Guardrails(read_phones([f"R58N{n:02d}SANDBOX" for n in range(1, 5)]), {"follow": 10**6}, ZoneInfo("UTC"))
    with TikMatrixClient(url) as client:
        for number in numbers:
            form, owner, flow_run = form_of(number), uuid.uuid4().hex, f"run-{number}"
            request, now = make_request(form, rails), datetime.now(UTC)
            ledger.plan_tasks(
                request, lambda history, request=request, now=now: make_plan(request, rails, history, now), since=0,
                host=HOST, owner=owner, flow_run=flow_run,
            )  # fmt: skip
            while todo := ledger.task_requests(flow_run=flow_run, states=[RequestState.PLANNED]):
                mine = ledger.take_task_requests([b.id for b in todo], owner)
                try:
                    create_tasks(client, ledger, [b for b in todo if b.id in mine], owner=owner,
                                 sleep=lambda seconds: time.sleep(seconds / FASTER))  # fmt: skip
                except ReelflowError as error:  # nothing was sent: started again, as a person would
                    print(number, error, flush=True)
                ledger.release_task_requests([b.id for b in todo], owner, left_open=True)
                time.sleep(0.05)  # one that was killed is taken for alive for a while
            print("done", number, flush=True)


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
