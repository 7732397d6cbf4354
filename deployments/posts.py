"""``reelflow posts``, ``resolve`` and ``cancel``: what is out, and two decisions."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from cyclopts import Parameter, validators

from deployments.in_terminal import load_block, nothing_more, print_json, quieten_run_logs, run_flow
from deployments.options import TAISLY_LABEL, AsJson, TaislyBlock, read_form, with_labels
from deployments.outcomes import send_facts, state_of
from deployments.spec import MAIN
from reelflow.errors import InputError, ReelflowError
from reelflow.ledger import Ledger
from reelflow.posts.form import CancelPostForm, ResolveForm
from reelflow.posts.of_client import PostsOfClient
from reelflow.records.clients import for_client
from reelflow.records.post_states import SendStatus
from reelflow.records.posts import Outcome, Send, SendRecord
from reelflow.time_zones import DAY, shown

if TYPE_CHECKING:
    from tasks.phones.waiting import WaitingPhones

State = Literal["published", "scheduled", "open", "unconfirmed", "failed", "refused", "cancelled", "not sent"]
DryRun = Annotated[bool, Parameter(negative="", show_default=False)]


def posts(
    *,
    days: Annotated[float, Parameter(validator=validators.Number(gt=0, lte=3650))] = 7,
    state: Annotated[list[State] | None, Parameter(negative="")] = None,
    block: str = "",
    as_json: AsJson = False,
) -> int:
    """Print the posts of recent days, and all that are scheduled, open or unconfirmed.

    Parameters
    ----------
    days
        How many days back. Posts that are scheduled, open or unconfirmed are listed however old they are.
    state
        Only posts in this state at one of their accounts. Repeat the option for several.
    block
        Only posts of this client: the name of its block "Taisly Account". Without it, all posts are listed.
    """
    quieten_run_logs()
    from tasks.ledger import open_ledger
    from tasks.phones.waiting import all_waiting_phones
    from tasks.posts.clients import deleted_clients
    from tasks.zone import use_server_zone

    use_server_zone()
    ledger = open_ledger()
    now = ledger.now()
    records = ledger.recent_sends(now - days * DAY)
    if block:
        records = _of_client(block, records, ledger)
    listed = sorted(_in_states(records, state, now), key=lambda each: each[0].published_at)
    blocks = _saved_blocks(ledger) if not as_json and any(_waits(send, now) for send, _ in listed) else []
    phones = all_waiting_phones(ledger)
    for send, outcomes in listed:
        if as_json:
            print_json(send_facts(send, outcomes, phones, is_scheduled=_waits(send, now)))
        else:
            print("\n".join(_lines(send, outcomes, now, blocks, phones)))
    if as_json:
        return 0
    if not listed:
        print("No posts.")
    if any(o.state.in_flight for _, found in listed for o in found):
        for sentence in deleted_clients(ledger):
            print(sentence)
    return 0


def _of_client(name: str, records: list[SendRecord], ledger: Ledger) -> list[SendRecord]:
    mine = client_named(name, ledger)
    return [each for each in records if mine.has(each[0])]


def client_named(name: str, ledger: Ledger) -> PostsOfClient:
    """Whose posts are a client's: of one whose block was deleted, what was sent under its name.

    Raises:
        InputError: there is no such client, nor a post of it.
        ReelflowError: the server cannot be used.
    """
    from blocks import TaislyAccount

    try:
        key = load_block(TaislyAccount, name).fingerprint()
    except InputError:
        if ledger.has_sent_for(name):
            return PostsOfClient(name)
        raise
    return PostsOfClient.of(ledger, name, key)


class _SavedBlock(NamedTuple):
    """A saved Taisly block, with what tells whose posts it can cancel.

    Attributes:
        name: The block's name.
        service: The name of its service in the ledger.
        account_ids: The accounts that its key is known to have; none if it was never used.
    """

    name: str
    service: str
    account_ids: set[str]

    def is_known_to_have(self, send: Send) -> bool:
        """Whether a send went to one of its accounts."""
        return bool(self.account_ids & set(send.account_ids))


def _saved_block(name: str, ledger: Ledger) -> _SavedBlock:
    """The saved Taisly block of this name.

    Raises:
        InputError: there is none.
        ReelflowError: it cannot be used.
    """
    from blocks import TaislyAccount

    with load_block(TaislyAccount, name).get_rate_limited(ledger) as client:
        known = ledger.known_accounts(client.key, float("inf")) or []
        return _SavedBlock(name, client.service, {account.id for account in known})


def _saved_blocks(ledger: Ledger) -> list[_SavedBlock]:
    """The saved Taisly blocks, "main" first. One that cannot be used is skipped, since they only complete a hint."""
    from blocks import TaislyAccount
    from blocks.reference import saved_names
    from tasks.prefect_server import asking_prefect

    found: list[_SavedBlock] = []
    with contextlib.suppress(ReelflowError), asking_prefect():
        for name in sorted(saved_names(TaislyAccount), key=lambda name: (name != MAIN, name)):
            with contextlib.suppress(ReelflowError):
                found.append(_saved_block(name, ledger))
    return found


def _block_of(send: Send, blocks: Sequence[_SavedBlock]) -> str | None:
    """The name of the block that can cancel a send; None if the key that it was sent with is saved no more.

    One account in common is enough, as in `open_sends_of`: another may have been disconnected since. Of several, it is
    the one that it was sent with. A key that is not known to have any accounts may be the right one.
    """
    if not blocks:
        return MAIN  # perhaps they cannot be read
    blocks = sorted(blocks, key=lambda block: block.name != send.client)
    of_service = [block for block in blocks if block.service == send.service]
    with_account = [block for block in of_service if block.is_known_to_have(send)]
    unknown = [block for block in of_service if block.name == send.client or not block.account_ids]
    return next((block.name for block in (*with_account, *unknown)), None)


def _in_states(records: Sequence[SendRecord], wanted: list[State] | None, now: float) -> Iterator[SendRecord]:
    """The sends that are in one of the wanted states at an account, with these accounts."""
    for send, outcomes in records:
        left = [o for o in outcomes if wanted is None or state_of(o, is_scheduled=_waits(send, now)) in wanted]
        if left:
            yield send, left


def _waits(send: Send, now: float) -> bool:
    return send.status(now) is SendStatus.SCHEDULED


def _lines(
    send: Send, outcomes: Sequence[Outcome], now: float, blocks: Sequence[_SavedBlock], phones: Sequence[WaitingPhones]
) -> Iterator[str]:
    """A post for people: when and what, its outcome at each account, what waits for the phones, and the next step."""
    ids = f"send ID {send.id}" + (f", history ID {send.history_id}" if send.history_id else "")
    yield f"{shown(send.published_at)}  {for_client(send.client, send.file_name)}  ({ids})"
    for outcome in outcomes:
        state = state_of(outcome, is_scheduled=_waits(send, now))
        yield f"  {outcome.account.label:32} {state:12} {outcome.link or outcome.detail}".rstrip()
    yield from (f"  {each.line}" for each in phones if each.is_of(send))
    if step := _next_step(send, {state_of(o, is_scheduled=_waits(send, now)) for o in outcomes}, blocks):
        yield f"  {step}"


def _next_step(send: Send, states: set[str], blocks: Sequence[_SavedBlock]) -> str:
    from tasks.posts.wording import FINISH_OPEN_POSTS

    if "unconfirmed" in states:
        return f"Check the account, then: reelflow resolve {send.id} --published, or --not-published"
    if "scheduled" in states:
        block = _block_of(send, blocks)
        if block is None:
            again = f"add the client {send.client} again" if send.client else "save its API key again"
            return f"The block of its Taisly account was deleted. To cancel it, {again}."
        return f"To cancel it: reelflow cancel {send.history_id}" + ("" if block == MAIN else f" --block {block}")
    return FINISH_OPEN_POSTS if "open" in states else ""


def resolve(
    send_id: str,
    /,
    *,
    published: Annotated[bool | None, Parameter(negative="--not-published")] = None,
    history_id: str = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> int:
    """Record what you found out about an unconfirmed post. Sends nothing.

    Parameters
    ----------
    send_id
        Shown by `reelflow posts`, and in the message of the run that ended as unconfirmed.
    published
        What you found on the account. --not-published only allows the post to be sent again.
    history_id
        Taisly's ID of the post, if you have it. Its outcomes are then looked up.
    dry_run
        Show what would be recorded, without recording it.
    """
    if published is None:
        raise InputError("Say what you found on the account: --published or --not-published.")
    answer = "published" if published else "not published"
    values = {"send_id": send_id, "answer": answer, "history_id": history_id, "dry_run": dry_run}
    form = read_form(ResolveForm, values, names={"send_id": "SEND_ID"})
    quieten_run_logs()
    from flows.resolve import resolve_post

    return run_flow(resolve_post, as_json=as_json, lines=nothing_more, facts=nothing_more, post=form)


@with_labels(TAISLY_LABEL)
def cancel(history_id: str, /, *, block: TaislyBlock = "main", dry_run: DryRun = False, as_json: AsJson = False) -> int:
    """Cancel a scheduled post before it is published. Taisly deletes it permanently.

    Parameters
    ----------
    history_id
        The history ID or the send ID of the post, as `reelflow posts` shows them.
    dry_run
        Show the post with this ID, without cancelling it.
    """
    form = read_form(CancelPostForm, {"history_id": history_id, "dry_run": dry_run}, names={"history_id": "HISTORY_ID"})
    quieten_run_logs()
    from blocks import TaislyAccount
    from flows.cancel_post import cancel_scheduled_post

    taisly = load_block(TaislyAccount, block)
    return run_flow(
        cancel_scheduled_post, as_json=as_json, lines=nothing_more, facts=nothing_more, taisly=taisly, post=form
    )
