"""Finish what earlier runs left open, resolve unconfirmed posts, and cancel scheduled posts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from reelflow.errors import Busy, InputError, ReelflowError, StillOpen, WrongClient
from reelflow.ledger import Ledger
from reelflow.posts.form import ResolveForm
from reelflow.posts.of_client import PostsOfClient
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.posts.watching import KEY_UNUSED, give_up_disconnected, watch_posts
from reelflow.records.post_states import IN_FLIGHT, PostState, SendStatus
from reelflow.records.posts import Outcome, Send, SendRecord
from reelflow.time_zones import shown


def finish_posts(
    taisly: RateLimitedTaisly,
    *,
    seconds: float,
    first_pause: float,
    grace: float,
    on_news: Callable[[Send, Outcome], None],
) -> tuple[list[tuple[Send, Outcome]], ReelflowError | None]:
    """Watch every open post of a key; what ended, and what kept the rest from being read at last.

    Args:
        taisly: With the ledger that has the posts.
        seconds: For how long.
        first_pause: Seconds until the first look.
        grace: Seconds after which a post that cannot be found becomes UNCONFIRMED.
        on_news: Called for each new outcome.
    """
    watched = watch_posts(taisly, None, seconds=seconds, first_pause=first_pause, grace=grace, on_news=on_news)
    trouble = None if isinstance(watched.trouble, Busy) else watched.trouble  # it is its turn in the next run
    return [(send, o) for send, o in watched.news if o.state is not PostState.UNCONFIRMED], trouble


def give_up_without_key(ledger: Ledger, keys: Iterable[str]) -> list[tuple[Send, Outcome]]:
    """End the open sends, to any service, whose outcomes no key has been there to read for a week; the new outcomes.

    The clients that are watched do so for each other. This is for a ledger whose last client is gone, or rests.

    Args:
        ledger: With the sends.
        keys: The fingerprints of the keys that are saved: what they can read is waited for, however long it takes.
    """
    connected = _accounts_of(ledger, keys) | ledger.accounts_of_all_keys(KEY_UNUSED)
    services = sorted({send.service for send in open_sends(ledger)})
    return [each for service in services for each in give_up_disconnected(ledger, service, connected)]


def _accounts_of(ledger: Ledger, keys: Iterable[str]) -> set[str]:
    """The ids of the accounts that these keys are known to have."""
    return {account.id for key in keys for account in ledger.known_accounts(key, float("inf")) or ()}


def open_outcomes(ledger: Ledger) -> list[tuple[Send, Outcome]]:
    """Every destination at any service that has no outcome yet."""
    found = [record for state in IN_FLIGHT for record in ledger.find(state=state)]
    in_flight = {(send.id, o.account.id): (send, o) for send, its in found for o in its if o.state.in_flight}
    return list(in_flight.values())


def unconfirmed_sends(ledger: Ledger) -> list[SendRecord]:
    """Sends to any service that wait for a person."""
    return ledger.find(state=PostState.UNCONFIRMED)


def open_sends(ledger: Ledger) -> list[Send]:
    """The sends to any service that have no outcome yet, except those that a run is making right now."""
    found = {send.id: send for state in IN_FLIGHT for send, _ in ledger.find(state=state)}
    return [send for send in found.values() if send.status(ledger.now()) is not SendStatus.AT_WORK]


def open_sends_of_client(ledger: Ledger, client: str, key: str) -> list[Send]:
    """Those of `open_sends` that were sent for a client, or to an account that its key is known to have.

    Args:
        ledger: With the posts.
        client: The name of its block, which may have been another one when they were sent.
        key: The fingerprint of its key.
    """
    mine = PostsOfClient.of(ledger, client, key)
    return [send for send in open_sends(ledger) if mine.has(send)]


def sends_without_client(ledger: Ledger, clients: Collection[str], keys: Iterable[str]) -> list[Send]:
    """Those of `open_sends` whose client is none of these, and which went to no account that one of these keys has.

    Args:
        ledger: With the posts.
        clients: The names of the saved blocks.
        keys: The fingerprints of their keys: a block may have been saved under another name since.
    """
    known = _accounts_of(ledger, keys)
    return [send for send in open_sends(ledger) if send.client not in clients and not known & set(send.account_ids)]


def find_unconfirmed(ledger: Ledger, name: str) -> SendRecord:
    """The unconfirmed send with the send id or history id `name`.

    Raises:
        StillOpen: it has no outcome yet.
        InputError: there is none; the message lists those that there are.
    """
    name = name.strip()
    waiting = unconfirmed_sends(ledger)
    for send, outcomes in waiting:
        if name in (send.id, send.history_id):
            return send, outcomes
    for send, outcomes in (*ledger.sends([name]), *ledger.find(history_id=name)):
        if any(o.state.in_flight for o in outcomes):
            raise _open_error(send, outcomes, send.status(ledger.now()))
    ids = ", ".join(send.id for send, _ in waiting) or "none"
    raise InputError(f"No unconfirmed post has the ID {name!r}. Unconfirmed posts: {ids}.")


def _open_error(send: Send, outcomes: Sequence[Outcome], status: SendStatus) -> InputError:
    """What is known of a send without an outcome; StillOpen if somebody has to look it up."""
    names = ", ".join(o.account.label for o in outcomes if o.state.in_flight)
    is_open = f"{send.file_name} for {names} (send ID {send.id}) is still open:"
    if status is SendStatus.AT_WORK:
        return InputError(f"{is_open} a run is sending it. Wait until that run has ended.")
    if status is SendStatus.ABANDONED:
        return InputError(
            f"{is_open} its upload was interrupted, so nothing was posted. Start its run again to send it."
        )
    if status is SendStatus.ANSWER_LOST:
        return StillOpen(
            f"{is_open} Taisly has not confirmed it, and it is looked for in Taisly's history. If it is not found "
            "in time, it becomes unconfirmed."
        )
    if status is SendStatus.SCHEDULED:
        return StillOpen(f"{is_open} Taisly publishes it on {shown(send.published_at)}.")
    return StillOpen(
        f"{is_open} Taisly has accepted it (history ID {send.history_id}) and has no outcome yet. If there is none for "
        "a day, it becomes unconfirmed."
    )


def resolve_post(ledger: Ledger, send_id: str, form: ResolveForm) -> None:
    """Record what a person found out about an unconfirmed send.

    Raises:
        InputError: the history ID belongs to another post.
    """
    if form.answer == "not published":
        ledger.release_claim(send_id, "confirmed by a person as not published")
        return
    ((send, _),) = ledger.sends([send_id])
    history_id = form.history_id.strip()
    if history_id and history_id != send.history_id:
        if ledger.owned_history_ids(send.service, [history_id]):
            raise InputError(f"The history ID {history_id!r} belongs to another post. Check it in Taisly's history.")
        ledger.accepted(send_id, history_id, "named by a person")
    else:
        ledger.settle(send_id, PostState.SUCCESS, "confirmed by a person")


def find_scheduled(ledger: Ledger, service: str, history_id: str) -> SendRecord:
    """The scheduled post of ours with Taisly's id `history_id`, or with that as our own, which can still be cancelled.

    Raises:
        InputError: no post of ours has this id at this service, or it is too late to cancel it.
    """
    named = ledger.find(history_id=history_id) or ledger.sends([history_id])
    found = [record for record in named if record[0].service == service]
    if not found:
        raise InputError(f"No post that reelflow sent with this Taisly account has the ID {history_id!r}.")
    ((send, outcomes),) = found
    if not _can_be_cancelled(send, outcomes, ledger.now()):
        raise InputError(f"{send.file_name} cannot be cancelled: {_why_not_cancelled(send, outcomes)}.")
    return send, outcomes


def _why_not_cancelled(send: Send, outcomes: Sequence[Outcome]) -> str:
    for state, words in _WHY_NOT.items():
        if names := ", ".join(o.account.label for o in outcomes if o.state is state):
            return f"it {words} {names}"
    if not send.scheduled_ms:
        return "it was not scheduled"
    return f"its time, {shown(send.published_at)}, has passed"


_WHY_NOT = {
    PostState.CANCELLED: "is already cancelled for",
    PostState.SUCCESS: "was already published on",
    PostState.FAILED: "failed on",
    PostState.UNCONFIRMED: "is unconfirmed on",
    PostState.CLAIMED: "was not sent to",
}


def _can_be_cancelled(send: Send, outcomes: Sequence[Outcome], now: float) -> bool:
    is_accepted = send.history_id is not None and any(o.state is PostState.ACCEPTED for o in outcomes)
    return is_accepted and send.scheduled_ms > now * 1000


def check_client(taisly: RateLimitedTaisly, send: Send) -> None:
    """Raise WrongClient if a send is another client's: its name says so, and it went to no account of this key."""
    mine = taisly.whose.name
    if not send.client or send.client == mine or taisly.account_ids() & set(send.account_ids):
        return
    raise WrongClient(
        f"{send.file_name} was sent for the client {send.client}, but this run is for {mine or 'another one'}. Nothing "
        f"was cancelled. Choose {send.client} as 'Taisly account'; if it was removed, add it again first."
    )


def cancel_post(taisly: RateLimitedTaisly, history_id: str, reason: str) -> None:
    """Delete a scheduled post of ours at Taisly for good, and record that.

    Raises:
        InputError: it is none of ours, it is another client's, or it is too late.
        Refused: Taisly does not have it, or it is out already.
        ServiceError: Taisly cannot be asked, or its answer was lost. Nothing is recorded.
    """
    send, _ = find_scheduled(taisly.ledger, taisly.service, history_id)
    check_client(taisly, send)
    taisly.cancel_scheduled(str(send.history_id))
    taisly.ledger.settle(send.id, PostState.CANCELLED, reason)
    taisly.ledger.cancel_engagements_of_send(send, "the post was cancelled")


def scheduled_sends_of(ledger: Ledger, flow_run: str) -> list[Send]:
    """The posts that a flow run has scheduled and that can still be cancelled."""
    now = ledger.now()
    return [send for send, found in ledger.sends_of_flow_run(flow_run) if _can_be_cancelled(send, found, now)]
