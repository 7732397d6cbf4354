"""Reserve slots for the posts of a campaign, send them, and watch those that are published at once."""

from prefect import get_run_logger
from prefect.runtime import flow_run

from blocks import PostingSlots, TaislyAccount
from reelflow.campaigns.approval import leave_out_moved
from reelflow.campaigns.by_rules import look_at_rules_again
from reelflow.campaigns.carrying_out import CLAIMED_AT_ONCE, SENDERS, Carried, Carrier
from reelflow.campaigns.form import CampaignForm
from reelflow.campaigns.holds import hold_sentence
from reelflow.campaigns.posts import CheckedPlan
from reelflow.campaigns.report import open_ids, room_note
from reelflow.errors import PartFailed, ReelflowError
from reelflow.posts.form import PATIENCE
from reelflow.posts.request_limit import REQUESTS_PER_HOUR
from reelflow.posts.upload_line import UploadLine
from reelflow.posts.watching import watch_posts
from reelflow.records.post_states import PostState
from reelflow.records.posts import Outcome, Send
from reelflow.wording import count
from tasks.campaigns.check import get_placer
from tasks.campaigns.engage import CampaignPhones, asking
from tasks.campaigns.live import LivePosts
from tasks.ledger import SharedConfirmation, current_ledger, open_ledger
from tasks.posts.watch import AWAITED, HANDED_OVER, tell_outcome
from tasks.posts.wording import FINISH_OPEN_POSTS
from tasks.progress import tell_progress
from tasks.room import others_wait
from tasks.step import Retry, retry_seconds, step


@step("send {form.name}", retry=Retry.UNSENT)
def send_campaign(
    taisly: TaislyAccount,
    form: CampaignForm,
    slots: PostingSlots | None,
    checked: CheckedPlan,
    phones: CampaignPhones | None = None,
) -> list[Carried]:
    """Reserve the slots, all in one transaction, and send every right post, a few at once.

    Raises:
        LedgerUnavailable: the ledger cannot be used, or the server uses another one by now. Nothing is sent.
        PartFailed: a post was not sent; the report says which and why.
    """
    ledger = current_ledger()
    placer = get_placer(taisly, form, slots, ledger, checked)
    placer.may_move = not form.approval
    with taisly.get_rate_limited(ledger) as client:
        look_at_rules_again(client, form, checked, patience=PATIENCE)
    posts, problems = placer.place(checked.right_drafts(), dry_run=False)
    checked.problems += problems  # a slot may have been taken since the check
    if leave_out_moved(checked, posts):
        posts, _ = placer.place(checked.right_drafts(), dry_run=False)
    if note := room_note(checked, REQUESTS_PER_HOUR[taisly.plan]):
        get_run_logger().info("%s", note)
    live = LivePosts(form, posts, note)
    waiting = CLAIMED_AT_ONCE - SENDERS  # the others are uploaded meanwhile
    confirmation = SharedConfirmation(ledger, enough=waiting // 2)
    with confirmation as confirm, taisly.get_rate_limited(ledger) as client:
        carried = Carrier(
            client,
            placer,
            flow_run=flow_run.id,
            grace=taisly.resend_after_seconds,
            confirm=confirm,
            progress=live.progress,
            on_carried=live.on_carried,
            turn=UploadLine().turn,
            ledger_seconds=retry_seconds(),
            around=asking(ledger, taisly.service, phones or CampaignPhones(), checked, flow_run.id),
        ).carry_out(posts)
    if failed := [reason for each in carried if (reason := each.failure or " ".join(map(hold_sentence, each.held)))]:
        raise PartFailed(f"{count(len(failed), 'post')} not sent. {failed[0]}", carried)
    return carried


@step("watch {form.name}")
def watch_campaign(taisly: TaislyAccount, form: CampaignForm, checked: CheckedPlan, carried: list[Carried]) -> None:
    """Wait until the posts that are published at once have an outcome, for at most `watch_minutes`.

    And until those are found whose answer was lost; also those of an earlier run that died. Never fails the run, since
    the posts are sent.

    Raises:
        PartFailed: a platform did not publish one of them, or the watch stopped.
    """
    log, awaited = get_run_logger(), {send_id for each in carried for send_id in each.send_ids} | open_ids(checked)
    if not awaited:
        return
    told = set[tuple[str, str]]()
    total = sum(len(c.post.request.accounts) for c in carried if c.post.request.scheduled_for is None)
    total += sum(known.send.id in awaited and not known.send.scheduled_ms for known in checked.known)

    def on_news(send: Send, outcome: Outcome) -> None:
        if send.id in awaited:
            told.add((send.id, outcome.account.id))
            tell_progress(AWAITED, len(told), max(total, len(told)))
        tell_outcome(send, outcome)

    try:
        ledger = open_ledger()
        with taisly.get_rate_limited(ledger) as client:
            watched = watch_posts(
                client,
                awaited,
                seconds=form.watch_minutes * 60,
                first_pause=taisly.first_look_seconds,
                grace=taisly.grace_seconds,
                on_news=on_news,
                stop_early=others_wait(),
            )
        if watched.stopped_early:
            log.info("%s", HANDED_OVER)
        if watched.trouble is not None:
            log.warning("The last check failed: %s", watched.trouble)
        states = [outcome.state for _, outcomes in ledger.sends(awaited) for outcome in outcomes]
    except ReelflowError as error:
        raise PartFailed(f"Stopped watching: {error} The posts are unaffected. {FINISH_OPEN_POSTS}") from None
    except Exception:  # logged whole; nothing after the send may undo it
        log.exception("Stopped watching. The posts are unaffected. %s", FINISH_OPEN_POSTS)
        return
    if bad := sum(state in (PostState.FAILED, PostState.UNCONFIRMED) for state in states):
        raise PartFailed(f"{count(bad, 'post')} of {len(states)} failed or unconfirmed; the report says which.")
