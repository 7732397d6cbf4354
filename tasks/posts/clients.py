"""The clients whose posts are looked after: every saved Taisly account, or the one that a run names."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from blocks import TaislyAccount
from blocks.reference import load_saved, saved_names
from reelflow.errors import ReelflowError
from reelflow.ledger import Ledger
from reelflow.posts.cleanup import open_sends, sends_without_client
from reelflow.posts.watching import KEY_UNUSED
from reelflow.records.alarms import Alarm, cause_of
from reelflow.records.posts import Send
from reelflow.time_zones import DAY
from reelflow.wording import count
from tasks.prefect_server import asking_prefect


@dataclass(frozen=True)
class SavedClients:
    """Saved Taisly accounts.

    Attributes:
        names: Of all blocks.
        blocks: Those that can be used; one for each key.
        troubles: A sentence for each of the others.
    """

    names: list[str] = field(default_factory=list)
    blocks: list[TaislyAccount] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)


def load_clients() -> SavedClients:
    """Every saved client. One whose block is not valid keeps no other from being looked after.

    Raises:
        OutcomeUnknown: the Prefect server does not answer.
    """
    with asking_prefect():
        found = SavedClients(saved_names(TaislyAccount))
    keys = set[str]()
    for name in found.names:
        try:
            with asking_prefect():
                block = load_saved(TaislyAccount, name)
        except ReelflowError as error:
            found.troubles.append(f"{name}: {error}")
            continue
        if block is not None and block.fingerprint() not in keys:
            keys.add(block.fingerprint())
            found.blocks.append(block)
    return found


def describe_deleted_clients(ledger: Ledger, clients: SavedClients) -> list[str]:
    """A sentence for each client whose posts are open and whose block is no longer saved."""
    return [_sentence(client, sends) for client, sends in _without_client(ledger, clients).items()]


def deleted_clients(ledger: Ledger) -> list[str]:
    """A sentence for each deleted client with open posts; none if the server does not tell which clients are saved.

    Raises:
        LedgerUnavailable: the ledger cannot be read.
    """
    if not open_sends(ledger):
        return []
    try:
        clients = load_clients()
    except ReelflowError:
        return []
    return describe_deleted_clients(ledger, clients)


def record_deleted_clients(ledger: Ledger, clients: SavedClients) -> list[str]:
    """The same; each post is recorded as an alarm, once."""
    found = _without_client(ledger, clients)
    ledger.add_alarms(_alarm_of(send) for sends in found.values() for send in sends)
    return [_sentence(client, sends) for client, sends in found.items()]


def _without_client(ledger: Ledger, clients: SavedClients) -> dict[str, list[Send]]:
    """By client, the oldest first."""
    if clients.troubles:
        return {}  # they may be those of a block that cannot be read now
    found = defaultdict[str, list[Send]](list)
    keys = [block.fingerprint() for block in clients.blocks]
    for send in sorted(sends_without_client(ledger, clients.names, keys), key=lambda send: (send.claimed_at, send.id)):
        found[send.client].append(send)
    return dict(found)


def _alarm_of(send: Send) -> Alarm:
    whose = f"the client {send.client}" if send.client else "its Taisly account"
    reason = f"The block of {whose} was deleted, so the outcome of the post cannot be read."
    return Alarm(
        key=f"post {send.id} NO KEY",
        kind="post",
        state="NO KEY",
        subject=send.file_name,
        who=send.shown_client,
        reason=reason,
        cause=cause_of("post", "NO KEY", reason, send.client),
        flow_run=send.flow_run,
        ref=send.id,
    )


def _sentence(client: str, sends: Sequence[Send]) -> str:
    posts, whose = count(len(sends), "open post"), f"of the client {client}" if client else "of a Taisly account"
    outcome, counts = ("its outcome", "post counts") if len(sends) == 1 else ("their outcomes", "posts count")
    return (
        f"{posts} {whose}, whose block was deleted: {outcome} cannot be read. Save its API key again in a block "
        '"Taisly Account", under this or another name; or check the accounts yourself: after '
        f"{KEY_UNUSED / DAY:g} days the {counts} as unconfirmed; then run resolve-post."
    )
