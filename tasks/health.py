"""Look at everything reelflow needs, one thing after the other. Changes nothing."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from blocks import ChatGPTSettings, TaislyAccount, TikMatrixHost
from reelflow.errors import ReelflowError
from reelflow.ledger import Ledger, key_fingerprint
from reelflow.metered import REQUESTS_PER_HOUR
from reelflow.models import State
from reelflow.phones.batches import BatchState
from reelflow.transport import ServiceClient

CLOCK_LIMIT = 60.0
"""Seconds by which a service's clock may differ before it is worth a word: posts are looked up by time."""
BLOCKS: dict[str, type[Any]] = {
    "taisly-account": TaislyAccount,
    "tikmatrix-host": TikMatrixHost,
    "chatgpt-settings": ChatGPTSettings,
}


class Finding(NamedTuple):
    """One line: what was looked at, whether it is well, and what was found."""

    what: str
    well: bool
    found: str


def look_at_ledger(ledger: Ledger) -> Finding:
    """Whether the record can be used, and whether anything in it waits for a person."""
    try:
        waiting = ledger.find(state=State.UNCONFIRMED)
        lost = ledger.batches(states=[BatchState.SENDING])
    except ReelflowError as error:
        return Finding("Ledger", False, str(error))
    words = [ledger.place]
    if waiting:
        words.append(f"{len(waiting)} posts wait for you (resolve-post)")
    if lost := [batch for batch in lost if batch.lost(ledger.now())]:
        words.append(f"{len(lost)} requests to TikMatrix without an answer (finish-phone-tasks)")
    return Finding("Ledger", len(words) == 1, "; ".join(words))


def look_at_blocks(ledger: Ledger, names: list[tuple[str, str]]) -> Iterator[Finding]:
    """What each saved block leads to.

    Args:
        ledger: For the requests of the last hour.
        names: Slug and name of each block.
    """
    for slug, name in names:
        title = BLOCKS[slug]._block_type_name
        yield _tried(f"{title} {name!r}", lambda slug=slug, name=name: look_at(BLOCKS[slug].load(name), ledger))  # type: ignore[misc]


def look_at(block: Any, ledger: Ledger) -> str:
    """What a block leads to, in one line.

    Raises:
        ReelflowError: it leads to nothing that works.
    """
    if isinstance(block, TaislyAccount):
        return _taisly(block, ledger)
    if isinstance(block, TikMatrixHost):
        return _tikmatrix(block)
    return f"key is set, model {block.model}"


def _taisly(block: TaislyAccount, ledger: Ledger) -> str:
    with block.get_client() as client:
        accounts = client.platforms()
        check_clock(client)
    key = key_fingerprint(block.api_key.get_secret_value(), block.service)
    used = ledger.requests_in_last_hour(key)
    return (
        f"{block.base_url}: {len(accounts)} accounts connected; plan {block.plan}, "
        f"{used} of {REQUESTS_PER_HOUR[block.plan]} requests used in the last hour"
    )


def _tikmatrix(block: TikMatrixHost) -> str:
    licence = block.check()
    with block.get_client() as client:
        devices = client.devices()
        check_clock(client)
    listed = {phone.serial for phone in block.guardrails.phones}
    words = f"{block.base_url}: licence {licence.plan_name}, {licence.device_limit or 'some'} phones at once"
    if not listed:
        raise ReelflowError(f"{words}; but the block lists no phones, so nothing can be done with them.")
    words += f"; {len(listed)} phones listed"
    if devices is not None:
        online = {device.serial for device in devices}
        words += f", {len(listed & online)} of them online"
        if away := sorted(listed - online):
            words += f" (not: {', '.join(away[:5])}{' …' if len(away) > 5 else ''})"
    return words


def check_clock(client: ServiceClient) -> None:
    """Raise ReelflowError if the service's clock differs by more than a minute from ours."""
    ahead = client.clock_ahead
    if ahead is None or abs(ahead) < CLOCK_LIMIT:
        return
    way = "ahead of" if ahead > 0 else "behind"
    raise ReelflowError(
        f"its clock is {abs(ahead) / 60:.0f} minutes {way} this machine's. Set both by network time: "
        "posts are looked up by time."
    )


def _tried(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what, True, look())
    except ReelflowError as error:
        return Finding(what, False, str(error))
    except (ValueError, RuntimeError) as error:
        return Finding(what, False, f"cannot be loaded ({str(error).splitlines()[0]}). Save it anew in the UI.")


def our_blocks(client: Any) -> list[tuple[str, str]]:
    """Slug and name of each of our saved blocks, sorted."""
    found = client.read_block_documents(include_secrets=False)
    ours = [(d.block_type.slug, d.name) for d in found if d.block_type and d.name]
    return sorted(pair for pair in ours if pair[0] in BLOCKS)
