"""What the phones are to do for a post: recorded before it is sent, and found again by a later run."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from prefect import get_run_logger
from prefect.runtime import flow_run
from pydantic import ValidationError

from blocks import ChatGPTSettings, TaislyAccount, TikMatrixHost
from reelflow.errors import InputError, ReelflowError
from reelflow.heartbeat import heartbeat
from reelflow.ledger import Ledger
from reelflow.phones.engagement import needs_chatgpt
from reelflow.phones.form import EngageForm, EngageLaterForm
from reelflow.records.engagements import EngagedPost, Engagement, EngagementState, NewEngagement
from reelflow.records.post_states import NOT_OUT, PostState, is_alive
from reelflow.records.posts import PostRequest
from reelflow.wording import one_line
from tasks.ledger import current_ledger, open_ledger
from tasks.run_facts import is_restart
from tasks.step import Retry, step

NOT_SENT = NOT_OUT | {PostState.CLAIMED}
"""At such an account the post certainly is not out, and will not be unless it is sent again."""


@dataclass(frozen=True)
class AskedEngagement:
    """An engagement on record, with what this attempt needs to carry it out.

    Attributes:
        id: In the ledger.
        owner: This attempt.
        form: What the phones do.
        host: The PC, if this machine does it.
        chatgpt: Settings for warm-ups, if they are needed.
        can_wait: Whether a later run can do it: its blocks are saved.
    """

    id: str
    owner: str
    form: EngageForm
    host: TikMatrixHost | None
    chatgpt: ChatGPTSettings | None
    can_wait: bool = True

    @property
    def chatgpt_name(self) -> str:
        """The saved block's; empty for none."""
        return (self.chatgpt._block_document_name or "") if self.chatgpt else ""


@contextmanager
def asked_engagement(
    taisly: TaislyAccount,
    request: PostRequest,
    form: EngageForm,
    host: TikMatrixHost | None,
    chatgpt: ChatGPTSettings | None,
) -> Iterator[AskedEngagement]:
    """Record what the phones are to do before the post is sent in the body, and hold it meanwhile.

    If the process dies, a later run does it; if the body fails and nothing was sent, it is skipped.
    """
    asked = ask_for_engagement(taisly, request, form, host, chatgpt)
    ledger = open_ledger()
    try:
        with heartbeat(lambda: ledger.renew_engagement(asked.id, asked.owner), ledger.lease_seconds / 3):
            yield asked
    except Exception:
        with suppress(ReelflowError):
            skip_if_not_sent(ledger, asked.id, asked.owner)
        raise
    finally:
        try:
            ledger.release_engagement(asked.id, asked.owner)
        except ReelflowError as error:  # its lease ends by itself
            get_run_logger().warning("%s", error)


@step("record the phones' part", retry=Retry.LEDGER)
def ask_for_engagement(
    taisly: TaislyAccount,
    request: PostRequest,
    form: EngageForm,
    host: TikMatrixHost | None,
    chatgpt: ChatGPTSettings | None,
) -> AskedEngagement:
    """Record what the phones are to do for a post, as this attempt's.

    Raises:
        InputError: it has to wait for the post's time, and a block is not saved, so no later run could use it.
        LedgerUnavailable: the ledger cannot be used. Nothing is sent.
    """
    host = None if form.phone_pc.strip() else host
    chatgpt = chatgpt if needs_chatgpt(form) else None
    if request.scheduled_for is not None:
        check_saved(form, host, chatgpt)
    owner = uuid.uuid4().hex
    engagement = current_ledger().ask_for_engagement(
        new_engagement(request, taisly.service, form, host, chatgpt),
        flow_run=flow_run.id,
        owner=owner,
        replaces=lambda other: is_for_the_same_phones(other, form, host),
        is_restart=is_restart(),
    )
    return AskedEngagement(engagement.id, owner, form, host, chatgpt, can_wait=not unsaved_blocks(form, host, chatgpt))


def check_saved(form: EngageForm, host: TikMatrixHost | None, chatgpt: ChatGPTSettings | None) -> None:
    """Raise InputError where a later run could not use a block, since it is not saved."""
    if unsaved := unsaved_blocks(form, host, chatgpt):
        raise InputError(
            f"The phones do their part once the post is published, in a later run, which needs a saved block "
            f"{unsaved[0]}. Save it, or publish the post now. Nothing was sent."
        )


def unsaved_blocks(form: EngageForm, host: TikMatrixHost | None, chatgpt: ChatGPTSettings | None) -> list[str]:
    """The types of the blocks that a form needs and that are not saved."""
    needed = [None if form.phone_pc.strip() else host, chatgpt if needs_chatgpt(form) else None]
    return [block._block_type_name for block in needed if block is not None and not block._block_document_name]


def new_engagement(
    request: PostRequest,
    service: str,
    form: EngageForm,
    host: TikMatrixHost | None,
    chatgpt: ChatGPTSettings | None,
) -> NewEngagement:
    """What is recorded of a form for a post."""
    return NewEngagement(
        post=EngagedPost.of(request, service),
        account_ids=tuple(account.id for account in request.accounts),
        form=form.model_dump(mode="json", exclude_defaults=True),
        file=request.video.name,
        host=(host._block_document_name or "") if host else "",
        chatgpt=(chatgpt._block_document_name or "") if chatgpt else "",
        due=request.scheduled_ms / 1000,
    )


def is_for_the_same_phones(other: Engagement, form: EngageForm, host: TikMatrixHost | None) -> bool:
    """Whether an engagement asks the same phones or accounts as a form does: then a newer one replaces it."""
    same = ("devices", "usernames", "phone_pc")
    theirs, ours = other.form, form.model_dump(mode="json", exclude_defaults=True)
    name = (host._block_document_name or "") if host else ""
    return other.host == name and all(theirs.get(each) == ours.get(each) for each in same)


def form_of(engagement: Engagement) -> EngageForm:
    """The form of an engagement on record.

    Raises:
        InputError: it was recorded by a version whose form had other fields.
    """
    try:
        return EngageForm.model_validate(dict(engagement.form))
    except ValidationError as error:
        names = ", ".join(".".join(map(str, each["loc"])) for each in error.errors())
        raise InputError(
            f"What the phones were to do for {engagement.file} cannot be read ({names}). Run warm-up-accounts and "
            "comment-on-posts instead."
        ) from None


def engagement_run_name() -> str:
    """A name for runs whose form names an engagement: "phones for bread.mp4"."""
    given = flow_run.parameters["engagement"]
    form = given if isinstance(given, EngageLaterForm) else EngageLaterForm.model_construct(**given)
    try:
        found = open_ledger().engagements(ids=[form.engagement_id.strip()])
    except ReelflowError:  # the run's first step says why
        found = []
    return run_name(found[0].file if found else "a published post", is_dry_run=form.dry_run)


def run_name(file: str, *, is_dry_run: bool = False) -> str:
    """What a run for the phones' part of a post is called."""
    return one_line(f"{'dry run: ' if is_dry_run else ''}phones for {file}")


@step("find the post", retry=Retry.LEDGER)
def find_engagement(
    engagement_id: str,
    host: TikMatrixHost | None,
    chatgpt: ChatGPTSettings | None,
    *,
    try_again: bool = False,
) -> AskedEngagement:
    """An engagement on record, for this attempt to carry out; with `try_again` also one that failed or was skipped.

    Raises:
        InputError: there is none, or this run has other blocks than it needs.
    """
    found = current_ledger().engagements(ids=[engagement_id.strip()])
    if not found:
        raise InputError(
            f"There is no phones' part with the ID {engagement_id.strip()!r}. Copy the ID from an alarm, or from the "
            "message of the run that left the phones' part to a later one."
        )
    (engagement,), form = found, form_of(found[0])
    for block, name, kind in ((host, engagement.host, TikMatrixHost), (chatgpt, engagement.chatgpt, ChatGPTSettings)):
        if name and (block is None or block._block_document_name != name):
            raise InputError(f"This engagement needs the block {kind._block_type_name} {name!r}. Choose it.")
    owner = uuid.uuid4().hex
    if try_again:
        current_ledger().reopen_engagement(engagement.id, owner, flow_run.id)
    return AskedEngagement(
        engagement.id,
        owner,
        form,
        host if engagement.host else None,
        chatgpt if engagement.chatgpt else None,
    )


def skip_if_not_sent(ledger: Ledger, engagement_id: str, owner: str | None = None) -> None:
    """Skip an engagement whose post certainly is not out, and will not be unless it is sent again.

    What another run, which is alive, is about to send may be out soon.
    """
    (engagement,) = ledger.engagements(ids=[engagement_id])
    found = ledger.engagement_outcomes(engagement)
    now, run = ledger.now(), flow_run.id
    in_other_hands = [send for outcome, send in found if outcome.state is PostState.CLAIMED
                      and send.flow_run != run and is_alive(send.lease_until, now)]  # fmt: skip
    if not in_other_hands and all(outcome.state in NOT_SENT for outcome, _ in found):
        ledger.settle_engagement(engagement_id, EngagementState.SKIPPED, "the post was not sent", owner=owner)
