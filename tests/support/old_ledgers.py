"""A ledger with years of random work in it, made with the ledger's own calls; and what it answers to everybody."""

import dataclasses
import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from sqlalchemy.engine import Connection

from reelflow.campaigns.already import Already
from reelflow.campaigns.form import CampaignForm
from reelflow.campaigns.posts import CheckedPlan, Draft
from reelflow.campaigns.rows import PlanRow
from reelflow.errors import InputError
from reelflow.ledger import DuplicateFound, Ledger
from reelflow.ledger.database import Transaction
from reelflow.phones.form import PhoneForm, WarmUpForm
from reelflow.phones.limits import make_plan
from reelflow.phones.requests import make_request
from reelflow.posts.looking_back import found_reason
from reelflow.records.approvals import Answer, Approval
from reelflow.records.campaigns import SlotRequest, Taken
from reelflow.records.engagements import EngagedPost, EngagementState, NewEngagement
from reelflow.records.phone_states import RequestState, TaskState
from reelflow.records.phones import PhoneRequest, TaskRecord, TaskRequest, TaskResult
from reelflow.records.post_states import PostState
from reelflow.records.posts import Account, FoundPost, Outcome, PostRequest, Video
from reelflow.time_zones import DAY
from support.clock import Clock
from support.phones import HOST, RAILS, SERIALS, URLS, comment, follow

SERVICE = "https://taisly.test"
HOUR = 3600.0
ACCOUNTS = [Account(id=f"a{n}", platform="TikTok" if n % 2 else "X", name=f"@{n}") for n in range(3)]
CAPTIONS = ("bread", "cake")
CAMPAIGNS = ("", "spring", "autumn")
RUNS = [f"run-{n}" for n in range(6)]
FORMS: list[PhoneForm] = [comment(), comment(post_urls=URLS), follow(), follow(users=["three"]),
                          WarmUpForm(devices=SERIALS[:2])]  # fmt: skip
_LOOKS = [tuple(random.Random(n).getrandbits(256) for _ in range(4)) for n in range(3)]
VIDEOS = [
    Video(path=Path(f"{n}.mp4"), sha256=f"{n:064}", size_bytes=1, modified_ns=1, width=540, height=960, duration=15,
          pictures=_LOOKS[n % 3])
    for n in range(5)
]  # fmt: skip
"""Some look like others: exports of the same video."""


class Rehearsal(Ledger):
    """A ledger in which nothing that is written stays: what it answers is what it would have answered."""

    def transaction(self) -> Transaction:
        return _Undone(self)


class _Undone(Transaction):
    def __enter__(self) -> Connection:
        return super().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        undo = error or RuntimeError("undone")
        super().__exit__(type(undo), undo, trace)


class Past:
    """Fills a ledger with what runs of three years did, and leaves some of it open."""

    def __init__(self, ledger: Ledger, clock: Clock, seed: int) -> None:
        self.ledger, self.clock, self.seed, self.random = ledger, clock, seed, random.Random(seed)
        self.moments = {0}
        self._number = 0

    def happen(self, steps: int = 60) -> None:
        end = self.clock.now
        moments = sorted(end - self.random.random() ** 2 * 3 * 365 * DAY for _ in range(steps))
        what = [self._post, self._slot_and_post, self._campaign, self._phones, self._phones, self._found, self._engage,
                self._alarm]  # fmt: skip
        for moment in moments:
            self.clock.now = moment
            self.random.choice(what)()
        self.clock.now = end + self.random.choice([60, 40 * DAY, 400 * DAY])

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _request(self, at: float = 0) -> PostRequest:
        chosen = self.random.sample(ACCOUNTS, self.random.randint(1, 3))
        if not at and self.random.random() < 0.3:
            at = (self.clock.now + self.random.uniform(1, 40 * DAY)) // 60 * 60
        self.moments.add(round(at * 1000))
        return PostRequest(
            video=self.random.choice(VIDEOS), accounts=chosen, caption=self.random.choice(CAPTIONS), preview_second=0,
            scheduled_for=datetime.fromtimestamp(at, UTC) if at else None, repeat=self.random.choice([0, 0, 0, 1]),
            duplicate_seconds=self.random.choice([0, DAY]),
        )  # fmt: skip

    def _post(self, at: float = 0, request: PostRequest | None = None) -> None:
        ledger, post = self.ledger, request or self._request(at)
        try:
            claim = ledger.claim(post, service=SERVICE, owner="me", flow_run=self.random.choice(RUNS))
        except DuplicateFound:
            return
        if claim.send_id is None:
            return
        send = claim.send_id
        unsettled = ["claimed", "begun", "sealed", "accepted", "unconfirmed"]
        end = self.random.choice([*unsettled, "refused", "cancelled", *["out"] * 5])
        if end == "claimed":
            return
        ledger.begin(send, "me")
        if end == "begun":
            return
        ledger.seal(send, "me")
        if end in ("sealed", "refused", "unconfirmed"):
            state = {"refused": PostState.REFUSED, "unconfirmed": PostState.UNCONFIRMED}
            _ = ledger.settle(send, state[end], f"{end} by test") if end in state else None
            return
        ledger.accepted(send, f"h{self.seed}-{self._next()}")
        if end == "cancelled":
            ledger.settle(send, PostState.CANCELLED, "by a person")
        if end == "out":
            states = [PostState.SUCCESS, PostState.SUCCESS, PostState.FAILED]
            told = [Outcome(account=a, state=self.random.choice(states), detail="no") for a in claim.accounts]
            ledger.record_outcomes(send, told[: self.random.choice([len(told), len(told), 1])])

    def _slot_and_post(self) -> None:
        """A campaign's post, in its slot or never."""
        post = self._request()
        wanted = slot_request(post.video, tuple(post.accounts), self.random.choice(CAMPAIGNS), post.repeat)
        (at,) = reserve(self.ledger, wanted, flow_run=self.random.choice(RUNS))
        if isinstance(at, float) and self.random.random() < 0.6:
            moment = datetime.fromtimestamp(at, UTC)
            self.moments.add(round(at * 1000))
            self._post(request=post.model_copy(update={"scheduled_for": moment}))

    def _campaign(self) -> None:
        """A question to a person, with an answer or without."""
        ledger, run = self.ledger, self.random.choice(RUNS)
        known = ledger.approvals(run).values()
        question = max((each.question for each in known), default=0) + 1
        digests = [f"{run}-{self._next()}" for _ in range(3)]
        until = self.random.choice([0.0, self.clock.now + DAY])
        ledger.ask_for_approval(run, [Approval(d, question, n, until) for n, d in enumerate(digests)])
        answers = [(Answer.APPROVED, "other words"), (Answer.APPROVED, None), (Answer.DROPPED, None)]
        some = digests if self.random.random() < 0.8 else digests[:1]
        ledger.answer_approvals(run, {digest: self.random.choice(answers) for digest in some})
        if self.random.random() < 0.8:
            ledger.close_questions(run)

    def _found(self) -> None:
        times = [None, self.clock.now - 10 * DAY, self.clock.now + DAY]
        at, number = self.random.choice(times), self._next()
        found = FoundPost(f"f{self.seed}-{number}", self.random.choice(CAPTIONS), (), (), at)
        self.ledger.store_found(f"key-{number}", SERVICE, [found])

    def _engage(self) -> None:
        ledger, post = self.ledger, self._request()
        asked = ledger.ask_for_engagement(engagement_of(post), flow_run="run-0", owner="me")
        states = [EngagementState.DONE, EngagementState.FAILED, EngagementState.SKIPPED, None]
        if asked.owner == "me" and (state := self.random.choice(states)):
            ledger.settle_engagement(asked.id, state, owner="me")

    def _alarm(self) -> None:
        told = [alarm for group in self.ledger.claim_alarms() for alarm in group.alarms]
        self.ledger.alarms_told(told[: self.random.choice([len(told), 1])])
        ticket = self.ledger.take_request(f"key-{self._next()}", "publish", lambda watched: 1000).ticket
        assert ticket

    def _phones(self) -> None:
        ledger, owner = self.ledger, f"me-{self._next()}"
        request, flow_run = phone_request(self.random.choice(FORMS)), self.random.choice(RUNS)
        plan_phones(ledger, request, flow_run, owner)
        mine = [each for each in ledger.task_requests(states=[RequestState.PLANNED]) if each.owner == owner]
        for each in mine:
            self._send_phone_request(each, owner)

    def _send_phone_request(self, each: TaskRequest, owner: str) -> None:
        ledger, end = self.ledger, self.random.choice(["planned", "refused", "nothing", "unconfirmed", *["made"] * 5])
        if end == "planned":
            return
        assert ledger.take_turn(HOST, owner)
        before = self.random.choice([self._number, 0])  # nobody has deleted the tasks of before, or all of them
        ledger.begin_task_request(each.id, owner, before)
        ledger.end_turn(HOST, owner)
        settled = {"refused": RequestState.REFUSED, "nothing": RequestState.NOT_CREATED,
                   "unconfirmed": RequestState.UNCONFIRMED}  # fmt: skip
        if end in settled:
            ledger.settle_task_request(each.id, settled[end], end, before={RequestState.SENDING})
            return
        actors = [(serial, "") for serial in each.serials] + [("", name) for name in each.usernames]
        tasks = [TaskResult(task_id=self._next(), serial=serial, username=name, target=target)
                 for serial, name in actors for target in each.targets or ("",)]  # fmt: skip
        ledger.tasks_created(each.id, tasks)
        ends = [TaskState.COMPLETED, TaskState.COMPLETED, TaskState.FAILED, TaskState.GONE, TaskState.CANCELLED,
                TaskState.RUNNING]  # fmt: skip
        a_run = self.random.random() < 0.7
        seen = [task.model_copy(update={"state": TaskState.COMPLETED if a_run else self.random.choice(ends)})
                for task in tasks]  # fmt: skip
        ledger.record_tasks([TaskRecord(each.id, task) for task in seen])
        ledger.release_task_requests([each.id], owner, left_open=True)


def slot_request(video: Video, accounts: tuple[Account, ...], campaign: str, repeat: int) -> SlotRequest:
    captions = {account.id: CAPTIONS[0] for account in accounts}
    return SlotRequest(campaign, video.sha256, "a.mp4", captions, accounts, repeat)


def reserve(ledger: Ledger, *requests: SlotRequest, **more: Any) -> list[float | InputError]:
    def each_hour(request: SlotRequest, taken: Taken, earliest: float) -> float:
        at = (earliest // HOUR + 1) * HOUR
        while any(at in taken[account.id] for account in request.accounts):
            at += HOUR
        return at

    return ledger.reserve(SERVICE, requests, each_hour, earliest=ledger.now(), **more)


def engagement_of(post: PostRequest) -> NewEngagement:
    ids = tuple(account.id for account in post.accounts)
    return NewEngagement(EngagedPost.of(post, SERVICE), ids, {"devices": ["A1"]}, "a.mp4", "studio")


def phone_request(form: PhoneForm) -> PhoneRequest:
    return make_request(form, RAILS)


def plan_phones(ledger: Ledger, request: PhoneRequest, flow_run: str, owner: str, **more: Any) -> Any:
    now = datetime.fromtimestamp(ledger.now(), UTC)
    return ledger.plan_tasks(
        request, lambda history: make_plan(request, RAILS, history, now), since=RAILS.day_start(now).timestamp(),
        host=HOST, owner=owner, flow_run=flow_run, **more,
    )  # fmt: skip


# What a ledger answers


def answers(ledger: Rehearsal, moments: set[int]) -> Iterator[tuple[str, Any]]:
    """Every decision that any run could ask this ledger for now, and what is open, each with its question."""
    now = ledger.now()
    posts = random.Random(len(moments)).sample(list(_posts(moments, now)), 40)
    for request in posts:
        about = f"{request.video.sha256[-1]} {request.caption} {request.scheduled_ms} {request.repeat} " \
                f"{request.duplicate_seconds:.0f}"  # fmt: skip
        yield f"claim {about}", _claim(ledger, request)
        duplicates = ledger.duplicates(request, service=SERVICE)
        yield f"duplicates {about}", _in_order((d.send.id, d.outcome, d.verdict) for d in duplicates)
        yield f"all sent {about}", ledger.all_sent(request, service=SERVICE)
        yield f"outcomes {about}", [(o, _plain(s)) for o, s in ledger.outcomes(request, service=SERVICE)]
        found = ledger.found_posts(SERVICE)
        yield f"found {about}", found_reason(ledger, request, found, service=SERVICE)
    for request in posts[::7]:
        asked = ledger.ask_for_engagement(engagement_of(request), flow_run=None, owner="next")
        yield f"engage {request}", (asked.state, asked.parts, asked.account_ids, asked.form)
    yield from _campaigns(ledger, now)
    yield from _phone_answers(ledger, now)
    yield from _open(ledger, now)


def _posts(moments: set[int], now: float) -> Iterator[PostRequest]:
    fresh = Video(path=Path("9.mp4"), sha256="9" * 64, size_bytes=1, modified_ns=1, width=540, height=960, duration=15,
                  pictures=_LOOKS[0])  # fmt: skip
    for video in [*VIDEOS, fresh]:
        for caption in CAPTIONS:
            for repeat in (0, 1):
                for ms in sorted({*moments, round((now + DAY) * 1000)}):
                    yield PostRequest(
                        video=video, accounts=ACCOUNTS, caption=caption, preview_second=0, repeat=repeat,
                        scheduled_for=datetime.fromtimestamp(ms / 1000, UTC) if ms else None,
                        duplicate_seconds=365 * DAY if caption == CAPTIONS[0] else DAY,
                    )  # fmt: skip


def _claim(ledger: Rehearsal, request: PostRequest) -> Any:
    try:
        claim = ledger.claim(request, service=SERVICE, owner="next", flow_run="next")
    except DuplicateFound as found:
        return _in_order((each.send.id, each.outcome) for each in found.found)
    return [account.id for account in claim.accounts], claim.waiting, claim.settled


def _in_order(found: Iterable[Any]) -> list[Any]:
    """Those of one moment come in any order."""
    return sorted(found, key=repr)


def _plain(send: Any) -> Any:
    """A send but for its pictures, which are only compared."""
    return dataclasses.replace(send, pictures=())


def _campaigns(ledger: Rehearsal, now: float) -> Iterator[tuple[str, Any]]:
    shas = [video.sha256 for video in VIDEOS]
    records, kept = ledger.sends_of_videos(SERVICE, shas), ledger.reservations(SERVICE, shas)
    for campaign in CAMPAIGNS:
        drafts = [
            Draft(PlanRow(n, "a.mp4", CAPTIONS[0], campaign=campaign, repeat=repeat), video, account, CAPTIONS[0], None,
                  repeat)
            for repeat in (0, 1)
            for n, video in enumerate(VIDEOS, 1)
            for account in ACCOUNTS
        ]  # fmt: skip
        for only in ("everything", "what failed"):
            form = CampaignForm.model_construct(only=only, cause="")
            already = Already(drafts, records, kept, form, now)
            for draft in drafts:
                found = CheckedPlan()
                left = already.to_send(draft, found)
                known = [(_plain(each.send), each.outcome) for each in found.known]
                yield f"campaign {campaign} {only} {draft}", (left, known, found.skipped)
        for video in VIDEOS:
            for repeat in (0, 1):
                wanted = [slot_request(video, (account,), campaign, repeat) for account in ACCOUNTS]
                yield f"slots {campaign} {video.sha256} {repeat}", reserve(ledger, *wanted, dry_run=True)
    yield "taken", ledger.taken_moments(SERVICE, {account.id for account in ACCOUNTS}, {})


def _phone_answers(ledger: Rehearsal, now: float) -> Iterator[tuple[str, Any]]:
    requests = ledger.task_requests(host=HOST)
    for form in FORMS:
        request = phone_request(form)
        yield f"history {form}", ledger.phone_history(request, now - DAY)
        for run in [*RUNS[::2], "next"]:
            plan = plan_phones(ledger, request, run, "next")
            new = len(plan.parts)  # their IDs are new each time
            known = sorted(plan.request_ids)[: len(plan.request_ids) - new] if not new else len(plan.request_ids) - new
            yield f"plan {run} {form}", (plan.parts, plan.left_out, plan.task_count, known)
    for each in requests:
        if not each.state.made_nothing:
            yield f"around {each.id}", ledger.task_ids_around(each, range(1, 400))
            yield f"tasks {each.id}", ledger.task_records([each.id])
            yield f"request {each.id}", dataclasses.replace(each, config={})
        if each.state in (RequestState.PLANNED, RequestState.SENDING, RequestState.UNCONFIRMED):
            yield f"open request {each.id}", each
    ids = list(range(1, 400))
    yield "by number", [(request.id, record) for request, record in ledger.records_of_tasks(HOST, ids)]
    yield "on record", ledger.tasks_on_record(HOST, ids, since=now - DAY)


def _open(ledger: Rehearsal, now: float) -> Iterator[tuple[str, Any]]:
    yield "sends", [(_plain(send), outcomes) for send, outcomes in ledger.recent_sends(0)]
    for state in PostState:
        if state in (PostState.CLAIMED, PostState.SENDING, PostState.ACCEPTED, PostState.UNCONFIRMED):
            yield f"in {state}", ledger.find(state=state)  # with their pictures: they are still compared
    yield "identity", ledger.identity()
    yield "as remembered", ledger.expect_sends(ledger.identity().sends)
    yield "on hold", ledger.on_hold()
    yield "questions", ledger.open_questions()
    yield "asking", ledger.asking_runs()
    yield "engagements", ledger.engagements()
    yield "open phones", ledger.open_task_requests(HOST)
    yield "to be told", ledger.claim_alarms()
    yield "must look back", [ledger.has_to_look_back(f"key-{n}") for n in range(40)]
    for run in RUNS:
        asked = ledger.approvals(run).values()
        yield f"last question {run}", max((each.question for each in asked), default=0)
        yield f"dropped {run}", {each.digest for each in asked if each.answer is Answer.DROPPED}
        yield (
            f"waits {run}",
            {each.digest for each in asked if each.answer is None} if run in ledger.asking_runs() else (),
        )
