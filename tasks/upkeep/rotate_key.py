"""Replace or revoke a Taisly API key. No step takes or returns a key: it is in the block and, meanwhile, in a file."""

from collections.abc import Sequence

from prefect import get_run_logger

from blocks import TaislyAccount
from reelflow.errors import InputError
from reelflow.posts import cleanup
from reelflow.taisly.client import TaislyClient
from reelflow.upkeep.form import RotateKeyForm
from reelflow.upkeep.key_file import KeyFile, key_folder
from reelflow.upkeep.rotation import Replaced, Rotation
from reelflow.wording import count, listed, one_line
from tasks.artifacts import code_span, show_markdown
from tasks.ledger import current_ledger, open_ledger
from tasks.step import Retry, step
from tasks.upkeep.key_blocks import KeyBlocks, KeyUse

_STEPS = {
    "checked": "The key works, and its block can be saved.",
    "at rest": "No upload is in progress. Requests with this key wait.",
    "generated": "Taisly has generated a new key; the old one no longer works.",
    "tried": "The new key works.",
    "saved": "The new key is saved.",
}
"""What the log says after each step that people understand."""
ELSEWHERE = (
    "Blocks on other Prefect servers",
    "Scripts, other programs, and terminals with the key in `TAISLY_API_KEY`",
    "People to whom you gave the key",
)
"""What may use a key without our knowledge."""


@step("see who uses the key", retry=Retry.READ)
def find_users(taisly: TaislyAccount, form: RotateKeyForm) -> KeyUse:
    """Who uses the key, as far as this Prefect server knows; shown as a report.

    Raises:
        InputError: the block is not a saved one.
    """
    use = KeyBlocks(taisly).use()
    lines = [f"# Who uses the API key of {code_span(use.blocks[0])}"]
    for title, names in _users(use, form):
        lines += ["", title, "", *(f"- {name if names is ELSEWHERE else code_span(name)}" for name in names)]
    show_markdown(lines, f"Who uses the API key of {use.blocks[0]}")
    return use


def use_lines(use: KeyUse, form: RotateKeyForm) -> list[str]:
    """The same for a terminal."""
    return [
        line for title, names in _users(use, form) for line in (f"  {title}", *(f"    {one_line(n)}" for n in names))
    ]


def _users(use: KeyUse, form: RotateKeyForm) -> list[tuple[str, Sequence[str]]]:
    """Who uses the key, by kind, each with a title that is true whatever comes of the run."""
    if form.action == "replace":
        blocks = "These blocks have the key. Once it is replaced, they have the new one:"
        runs = "These runs use it now. Once it is replaced, they continue with the new one:"
    else:
        blocks = "These blocks have the key. Once it is revoked, they keep a dead key until you save another:"
        runs = "These runs use it now. Once it is revoked, they cannot send or check anything:"
    elsewhere = "This server cannot see whether these have the key. If so, they are refused from then on:"
    all_users: list[tuple[str, Sequence[str]]] = [(blocks, use.blocks), (runs, use.runs), (elsewhere, ELSEWHERE)]
    return [(title, names) for title, names in all_users if names]


@step("check the key", retry=Retry.READ)
def check_key(taisly: TaislyAccount) -> None:
    """Check that the key works, which changes nothing.

    Raises:
        InputError: it does not, or the block was changed after the run began.
    """
    _rotation(taisly, is_dry_run=True).check(taisly.api_key.get_secret_value())


@step("replace the key")
def replace_key(taisly: TaislyAccount, form: RotateKeyForm) -> Replaced:
    """Generate, keep, save and try a new key.

    Raises:
        ReelflowError: as `Rotation.replace`.
    """
    return _rotation(taisly).replace(taisly.api_key.get_secret_value(), patience=form.wait_minutes * 60)


@step("revoke the key")
def revoke_key(taisly: TaislyAccount, form: RotateKeyForm) -> str:
    """Let the key die without a new one; what that means.

    Raises:
        InputError: the form does not say so twice.
        ReelflowError: as `Rotation.revoke`.
    """
    if not form.revoke_without_new_key:
        raise InputError(
            "Nothing was revoked: turn on 'Yes, revoke without a new key' as well. To get a new key, choose 'replace'."
        )
    rotation = _rotation(taisly)
    doubt = rotation.revoke(taisly.api_key.get_secret_value(), patience=form.wait_minutes * 60)
    said = f"Revoked the API key. Nothing can be sent or checked until you put another key into {rotation.block}."
    return " ".join(filter(None, [said, doubt, _scheduled(taisly)]))


def dry_run_message(taisly: TaislyAccount, form: RotateKeyForm, use: KeyUse) -> str:
    """One line about what would happen."""
    blocks = listed([repr(name) for name in use.blocks])
    runs = f" {count(len(use.runs), 'run uses', 'runs use')} it now." if use.runs else ""
    if form.action == "replace":
        return f"Dry run: nothing was changed. Would save a new key in {blocks}.{runs}"
    said = f"Dry run: nothing was changed. Would revoke the key of {blocks}.{runs} {_scheduled(taisly)}"
    return said.rstrip()


def _scheduled(taisly: TaislyAccount) -> str:
    """What is not known about posts that are scheduled with the key; empty if there is none."""
    ledger = open_ledger()
    now = ledger.now()
    known = {account.id for account in ledger.known_accounts(taisly.fingerprint(), float("inf")) or ()}
    waiting = [
        send
        for send in cleanup.open_sends(ledger)
        if send.service == taisly.service and send.scheduled_ms > now * 1000 and known & set(send.account_ids)
    ]
    if not waiting:
        return ""
    return (
        f"{count(len(waiting), 'post is', 'posts are')} scheduled at Taisly; whether they still go out is not known. "
        "Check them in Taisly."
    )


def replaced_message(use: KeyUse, done: Replaced) -> str:
    """One line about a key that was replaced."""
    blocks = listed([repr(name) for name in done.blocks])
    began = "Finished what an earlier run began: the" if done.resumed else "Replaced the API key: a"
    runs = f" {count(len(use.runs), 'run at work continues', 'runs at work continue')} with it." if use.runs else ""
    works = "works and is saved" if done.tried else "could not be tried, since Taisly did not answer, but is saved"
    return (
        f"{began} new key {works} in {blocks}.{runs} The old key is dead: scripts, terminals and other Prefect servers "
        "that still have it are refused."
    )


def _rotation(taisly: TaislyAccount, *, is_dry_run: bool = False) -> Rotation:
    blocks = KeyBlocks(taisly)
    log = get_run_logger()

    def tell(reached: str) -> None:
        if sentence := _STEPS.get(reached):
            log.info(sentence)

    return Rotation(
        open_ledger() if is_dry_run else current_ledger(),
        taisly.service,
        blocks.where,
        blocks.name,
        blocks,
        KeyFile(key_folder(), str(blocks.block_id)),
        lambda key: TaislyClient(key, taisly.base_url),
        after=tell,
    )
