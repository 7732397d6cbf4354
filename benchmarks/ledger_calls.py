"""Every public call of the ledger about posts, API keys and alarms, as a generator: see `benchmarks.ledger_world.Call`.

A function is named after its method; after two underscores, one of several ways to call it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from benchmarks.ledger_rows import DAY, NOW, SERVICE, Sent
from benchmarks.ledger_world import OWNER, World
from reelflow.errors import InputError
from reelflow.ledger import refuse_while_in_use as refuse
from reelflow.records.approvals import Answer, Approval
from reelflow.records.campaigns import SlotRequest
from reelflow.records.post_states import PostState
from reelflow.records.posts import Account, FoundPost

KEY = "key-1"


# Posts


def claim(w: World) -> Iterator[None]:
    post = w.post()
    yield
    w.ledger.claim(post, service=SERVICE, owner=OWNER, flow_run=f"run-{w.new()}")


def claim__sent_before(w: World) -> Iterator[None]:
    post = w.old_post()
    yield
    w.ledger.claim(post, service=SERVICE, owner=OWNER)


def claim__sent_again(w: World) -> Iterator[None]:
    post = w.old_post().model_copy(update={"repeat": 10_000 + w.new()})
    yield
    w.ledger.claim(post, service=SERVICE, owner=OWNER)


def duplicates(w: World) -> Iterator[None]:
    post = w.post()
    yield
    w.ledger.duplicates(post, service=SERVICE)


def claimable(w: World) -> Iterator[None]:
    post = w.old_post()
    yield
    w.ledger.claimable(post, service=SERVICE)


def all_sent(w: World) -> Iterator[None]:
    post = w.old_post()
    yield
    w.ledger.all_sent(post, service=SERVICE)


def outcomes(w: World) -> Iterator[None]:
    post = w.old_post()
    yield
    w.ledger.outcomes(post, service=SERVICE)


def sends(w: World) -> Iterator[None]:
    yield
    w.ledger.sends([w.sent().id, w.sent().id])


def open_sends(w: World) -> Iterator[None]:
    yield
    w.ledger.open_sends(SERVICE)


def recent_sends(w: World) -> Iterator[None]:
    yield
    w.ledger.recent_sends(NOW - DAY / 4)


def sends_of_videos(w: World) -> Iterator[None]:
    yield
    w.ledger.sends_of_videos(SERVICE, [w.sent().sha256])


def sends_of_flow_run(w: World) -> Iterator[None]:
    yield
    w.ledger.sends_of_flow_run(w.sent().flow_run)


def has_sent_for(w: World) -> Iterator[None]:
    yield
    w.ledger.has_sent_for("a-client-of-before")


def find__history_id(w: World) -> Iterator[None]:
    yield
    w.ledger.find(history_id=f"history-{w.sent().number}")


def find__open(w: World) -> Iterator[None]:
    yield
    w.ledger.find(state=PostState.SENDING)


def find__unconfirmed(w: World) -> Iterator[None]:
    yield
    w.ledger.find(state=PostState.UNCONFIRMED)


def owned_history_ids(w: World) -> Iterator[None]:
    yield
    w.ledger.owned_history_ids(SERVICE, [f"history-{n}" for n in range(50)])


def latest_history_ids(w: World) -> Iterator[None]:
    yield
    w.ledger.latest_history_ids(SERVICE, Sent(0).accounts)


def latest_history_ids__nothing_sent(w: World) -> Iterator[None]:
    yield
    w.ledger.latest_history_ids(SERVICE, ["account-new"])


def uploads_in_progress(w: World) -> Iterator[None]:
    yield
    w.ledger.uploads_in_progress(SERVICE, Sent(1).accounts)


def renew(w: World) -> Iterator[None]:
    send = w.claimed()
    yield
    w.ledger.renew(send, OWNER)


def begin(w: World) -> Iterator[None]:
    send = w.claimed()
    yield
    w.ledger.begin(send, OWNER)


def seal(w: World) -> Iterator[None]:
    send = w.begun()
    yield
    w.ledger.seal(send, OWNER)


def accepted(w: World) -> Iterator[None]:
    send = w.sealed()
    yield
    w.ledger.accepted(send, f"new-history-{w.new()}")


def release_claim(w: World) -> Iterator[None]:
    send = w.begun()
    yield
    w.ledger.release_claim(send, "no", owner=OWNER)


def release_dead(w: World) -> Iterator[None]:
    send = w.begun()
    w.ledger.release_claim(send, "no", owner=OWNER)
    yield
    w.ledger.release_dead(send, "its run ended")


def answer_lost(w: World) -> Iterator[None]:
    send = w.sealed()
    yield
    w.ledger.answer_lost(send, "no answer")


def give_up(w: World) -> Iterator[None]:
    send = w.sealed()
    yield
    w.ledger.give_up(send, "no answer")


def settle(w: World) -> Iterator[None]:
    send = w.sealed()
    yield
    w.ledger.settle(send, PostState.REFUSED, "no")


def record_outcomes(w: World) -> Iterator[None]:
    send, before = w.accepted()
    after = [each.model_copy(update={"state": PostState.SUCCESS, "link": "https://x"}) for each in before]
    yield
    w.ledger.record_outcomes(send, after)


def record_outcomes__failed(w: World) -> Iterator[None]:
    send, before = w.accepted()
    after = [each.model_copy(update={"state": PostState.FAILED, "detail": "no"}) for each in before]
    yield
    w.ledger.record_outcomes(send, after)


def note_shown(w: World) -> Iterator[None]:
    (send, _), *_ = w.ledger.sends([w.accepted()[0]])
    yield
    w.ledger.note_shown([w.sent().id], [send])


def note_watched(w: World) -> Iterator[None]:
    (send, _), *_ = w.ledger.sends([w.accepted()[0]])
    yield
    w.ledger.note_watched([send])


# Slots


def _slot(w: World) -> SlotRequest:
    post = w.post()
    captions = {a.id: post.caption for a in post.accounts}
    return SlotRequest("week", post.video.sha256, "a.mp4", captions, tuple(post.accounts))


def _reserve(w: World, *, dry_run: bool = False, flow_run: str | None = None) -> SlotRequest:
    slot = _slot(w)
    at = NOW + 1e6 + w.new()
    found = w.ledger.reserve(
        SERVICE, [slot], lambda *_: at, earliest=NOW, flow_run=flow_run or f"run-{w.new()}", dry_run=dry_run
    )
    assert not isinstance(found[0], InputError)  # noqa: S101 - the choice above takes any
    return slot


def reserve(w: World) -> Iterator[None]:
    yield
    _reserve(w)


def reserve__dry_run(w: World) -> Iterator[None]:
    yield
    _reserve(w, dry_run=True)


def taken_moments(w: World) -> Iterator[None]:
    yield
    w.ledger.taken_moments(SERVICE, set(Sent(0).accounts), {})


def reservations(w: World) -> Iterator[None]:
    yield
    w.ledger.reservations(SERVICE, [Sent(1).sha256, Sent(3).sha256])


def release_slots(w: World) -> Iterator[None]:
    kept = w.ledger.reservations(SERVICE, [_reserve(w).sha256])
    yield
    w.ledger.release_slots(SERVICE, kept)


# Approvals


def _approval(w: World) -> Approval:
    return Approval(f"digest-{w.new()}", 1, 1, NOW + 3600)


def ask_for_approval(w: World) -> Iterator[None]:
    yield
    w.ledger.ask_for_approval(f"run-{w.new()}", [_approval(w) for _ in range(5)])


def answer_approvals(w: World) -> Iterator[None]:
    run, asked = f"run-{w.new()}", _approval(w)
    w.ledger.ask_for_approval(run, [asked])
    yield
    w.ledger.answer_approvals(run, {asked.digest: (Answer.APPROVED, None)})


def approvals(w: World) -> Iterator[None]:
    yield
    w.ledger.approvals(Sent(0).flow_run)


def open_questions(w: World) -> Iterator[None]:
    yield
    w.ledger.open_questions()


def asking_runs(w: World) -> Iterator[None]:
    yield
    w.ledger.asking_runs()


def close_questions(w: World) -> Iterator[None]:
    run = f"run-{w.new()}"
    w.ledger.ask_for_approval(run, [_approval(w)])
    yield
    w.ledger.close_questions(run)


def abandon_questions(w: World) -> Iterator[None]:
    run = f"run-{w.new()}"
    w.ledger.ask_for_approval(run, [_approval(w)])
    _reserve(w, flow_run=run)
    yield
    w.ledger.abandon_questions(run, before=NOW)


# Alarms and holds


def add_alarms(w: World) -> Iterator[None]:
    alarm = w.alarm()
    yield
    w.ledger.add_alarms([alarm])
    w.ledger.alarms_told(w.ledger.alarms_of_runs([alarm.flow_run or ""]))  # what is not told is read by the others


def alarms_of_runs(w: World) -> Iterator[None]:
    yield
    w.ledger.alarms_of_runs([Sent(9).flow_run])


def claim_alarms(w: World) -> Iterator[None]:
    yield
    claimed = w.ledger.claim_alarms()
    yield
    w.ledger.release_alarms([alarm for group in claimed for alarm in group.alarms])


def alarms_told(w: World) -> Iterator[None]:
    alarm = w.alarm()
    w.ledger.add_alarms([alarm])
    (found,) = w.ledger.alarms_of_runs([alarm.flow_run or ""])
    yield
    w.ledger.alarms_told([found])


def release_alarms(w: World) -> Iterator[None]:
    found = w.ledger.alarms_of_runs([Sent(9).flow_run])
    yield
    w.ledger.release_alarms(found)


def on_hold(w: World) -> Iterator[None]:
    yield
    w.ledger.on_hold(SERVICE)


def release_accounts(w: World) -> Iterator[None]:
    yield
    w.ledger.release_accounts(SERVICE, ["account-7", "account-8"])


# The ledger itself


def identity(w: World) -> Iterator[None]:
    yield
    w.ledger.identity()


def has_send(w: World) -> Iterator[None]:
    yield
    w.ledger.has_send(w.sent().id)


def expect_sends(w: World) -> Iterator[None]:
    yield
    w.ledger.expect_sends(10)


def rename_copy(w: World) -> Iterator[None]:
    before = w.ledger.identity().copy_id
    yield
    w.ledger.rename_copy(before, commit=lambda name: None)


def reinstate(w: World) -> Iterator[None]:
    yield
    w.ledger.reinstate()


def require_look_back(w: World) -> Iterator[None]:
    yield
    w.ledger.require_look_back()


def was_moved(w: World) -> Iterator[None]:
    yield
    w.ledger.was_moved()


def has_to_look_back(w: World) -> Iterator[None]:
    yield
    w.ledger.has_to_look_back(KEY)


def store_found(w: World) -> Iterator[None]:
    post = FoundPost("found-1", "one", (), (), NOW)
    yield
    w.ledger.store_found(KEY, SERVICE, [post])


def found_posts(w: World) -> Iterator[None]:
    yield
    w.ledger.found_posts(SERVICE)


def refuse_while_in_use(w: World) -> Iterator[None]:
    yield
    with suppress(InputError):  # it is in use
        refuse(w.ledger)


def runs_alive(w: World) -> Iterator[None]:
    yield
    w.ledger.runs_alive()


# API keys


def take_request(w: World) -> Iterator[None]:
    yield
    room = w.ledger.take_request(KEY, "publish", lambda watched: 10_000)
    yield
    w.ledger.finish_request(room.ticket or "")


def take_request__waiting(w: World) -> Iterator[None]:
    yield
    w.ledger.take_request(KEY, "publish", lambda watched: 0, waiter="me", patience=1e6)


def leave_queue(w: World) -> Iterator[None]:
    yield
    w.ledger.leave_queue("me")


def count_request(w: World) -> Iterator[None]:
    yield
    w.ledger.count_request("key-2")


def finish_request(w: World) -> Iterator[None]:
    ticket = w.ledger.count_request("key-2")
    yield
    w.ledger.finish_request(ticket, succeeded=True)


def may_still_use(w: World) -> Iterator[None]:
    ticket = w.ledger.count_request("key-2")
    yield
    w.ledger.may_still_use(ticket, "key-2")


def forget_request(w: World) -> Iterator[None]:
    ticket = w.ledger.count_request("key-2")
    yield
    w.ledger.forget_request(ticket)


def requests_in_last_hour(w: World) -> Iterator[None]:
    yield
    w.ledger.requests_in_last_hour("key-3")


def first_free_again(w: World) -> Iterator[None]:
    yield
    w.ledger.first_free_again("key-3")


def block_key(w: World) -> Iterator[None]:
    yield
    w.ledger.block_key("key-3", 5)


def unblock_keys(w: World) -> Iterator[None]:
    yield
    w.ledger.unblock_keys()


def become_reader(w: World) -> Iterator[None]:
    yield
    w.ledger.become_reader(KEY, OWNER, 20)


def plan_next_look(w: World) -> Iterator[None]:
    yield
    w.ledger.plan_next_look(KEY, NOW + 5, 5)


def stop_reading(w: World) -> Iterator[None]:
    yield
    w.ledger.stop_reading(KEY, OWNER)


def known_accounts(w: World) -> Iterator[None]:
    yield
    w.ledger.known_accounts(KEY, 600)


def accounts_of_all_keys(w: World) -> Iterator[None]:
    yield
    w.ledger.accounts_of_all_keys(600)


def remember_accounts(w: World) -> Iterator[None]:
    yield
    w.ledger.remember_accounts(KEY, [Account(id="account-1", platform="TikTok")])


def known_copies(w: World) -> Iterator[None]:
    yield
    w.ledger.known_copies(KEY, 600)


def known_paused_copies(w: World) -> Iterator[None]:
    yield
    w.ledger.known_paused_copies(KEY)


def remember_copies(w: World) -> Iterator[None]:
    yield
    w.ledger.remember_copies(KEY, [("account-1", "account-2")])


def forget_copies(w: World) -> Iterator[None]:
    yield
    w.ledger.forget_copies(KEY)


def begin_rotation(w: World) -> Iterator[None]:
    yield
    w.ledger.begin_rotation("key-4", OWNER, 60)


def renew_rotation(w: World) -> Iterator[None]:
    w.ledger.begin_rotation("key-4", OWNER, 60)
    yield
    w.ledger.renew_rotation("key-4", OWNER, 60)


def end_rotation(w: World) -> Iterator[None]:
    w.ledger.begin_rotation("key-4", OWNER, 60)
    yield
    w.ledger.end_rotation("key-4", OWNER)


def await_new_key(w: World) -> Iterator[None]:
    w.ledger.begin_rotation("key-4", OWNER, 60)
    yield
    w.ledger.await_new_key("key-4", OWNER, 60)


def settle_unfinished_rotation(w: World) -> Iterator[None]:
    yield
    w.ledger.settle_unfinished_rotation("key-5", works=True)


def is_being_replaced(w: World) -> Iterator[None]:
    yield
    w.ledger.is_being_replaced("key-4")


def successor_of(w: World) -> Iterator[None]:
    yield
    w.ledger.successor_of("key-4")


def replace_key(w: World) -> Iterator[None]:
    old, new = f"new-key-{w.new()}", f"new-key-{w.new()}"
    yield
    w.ledger.replace_key(old, new)
