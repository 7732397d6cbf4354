"""What the phones are still to do for a post, and when: in words for people."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from reelflow.errors import InputError
from reelflow.ledger import Ledger
from reelflow.phones.due_parts import Decision, Next, decide
from reelflow.phones.engagement import EngagementJob, engagement_jobs
from reelflow.phones.form import EngageForm
from reelflow.records.engagements import OPEN, Engagement
from reelflow.records.posts import Outcome, Send
from reelflow.tikmatrix.scripts import texts
from reelflow.time_zones import shown
from reelflow.wording import count
from tasks.phones.engagements import form_of

HOW_TO_CANCEL = (
    "Nothing to do for you. To cancel it, cancel the post while it is scheduled (reelflow cancel HISTORY_ID); once the "
    "post is published, cancel the run of engage-when-published as soon as it is there."
)
"""Of what the phones are to do."""
NEXT_RUN = "at the next run of finish-open-posts"


@dataclass(frozen=True)
class WaitingPhones:
    """An open engagement, as people see it.

    Attributes:
        engagement: As it is on record.
        sends: Of its post; none if nothing was sent yet.
        does: What the phones are still to do: "warm-up of 60 s on TikTok".
        pc: Where: the saved block of the PC, or its name; empty if neither is known.
        when: "once it is published", or when it is tried again and why.
        by_platform: What they are still to do on each platform: "warm-up of 60 s, comments (2 texts)".
    """

    engagement: Engagement
    sends: tuple[Send, ...]
    does: str
    pc: str
    when: str
    by_platform: Mapping[str, str] = field(default_factory=dict)

    def is_of(self, send: Send) -> bool:
        """Whether it is for the post of this send."""
        return any(each.id == send.id for each in self.sends)

    @property
    def published_at(self) -> float:
        """When its post was or is to be published, as far as it is known, in Unix seconds."""
        known = [send.published_at for send in self.sends]
        return max(known) if known else self.engagement.due or self.engagement.asked_at

    @property
    def line(self) -> str:
        """All of it: "phones (studio): comments (2 texts) on TikTok, once it is published"."""
        return f"phones{f' ({self.pc})' if self.pc else ''}: {self.does}, {self.when}"


def all_waiting_phones(ledger: Ledger) -> list[WaitingPhones]:
    """What the phones are still to do, for each post that has something open; those first that are due first."""
    now = ledger.now()
    return [_waiting(ledger, each, now) for each in ledger.engagements(states=OPEN)]


def asked_of_phones(form: EngageForm) -> dict[str, str]:
    """What a form asks of the phones on each platform: "warm-up of 60 s, comments (2 texts)"."""
    return _by_platform([(_job(form, job), form.comment_on) for job in engagement_jobs(form)])


def _by_platform(jobs: Sequence[tuple[str, Sequence[str]]]) -> dict[str, str]:
    platforms = dict.fromkeys(platform for _, where in jobs for platform in where)
    return {platform: ", ".join(job for job, where in jobs if platform in where) for platform in platforms}


def _waiting(ledger: Ledger, engagement: Engagement, now: float) -> WaitingPhones:
    found = ledger.engagement_outcomes(engagement)
    try:
        return waiting_phones(engagement, form_of(engagement), found, now)
    except InputError as error:  # finish-open-posts ends it, with an alarm
        return WaitingPhones(engagement, _sends_in(found), "nothing", engagement.host, str(error).rstrip("."))


def waiting_phones(
    engagement: Engagement, form: EngageForm, found: Sequence[tuple[Outcome, Send]], now: float
) -> WaitingPhones:
    """Describe an open engagement.

    Args:
        engagement: As it is on record.
        form: Its form.
        found: What is on record of its post.
        now: Unix seconds.
    """
    decision = decide(form, engagement, found, now)
    jobs = list(_still_to_do(form, engagement, decision, is_sent=bool(found)))
    does = ", ".join(f"{job} on {' and '.join(where)}" for job, where in jobs) or "nothing more"
    when = "at work now" if engagement.is_held(now) else _when(engagement, decision)
    pc = form.phone_pc.strip() or engagement.host
    return WaitingPhones(engagement, _sends_in(found), does, pc, when, _by_platform(jobs))


def _sends_in(found: Sequence[tuple[Outcome, Send]]) -> tuple[Send, ...]:
    """The sends of a post's outcomes, each once."""
    return tuple({send.id: send for _, send in found}.values())


def _still_to_do(
    form: EngageForm, engagement: Engagement, decision: Decision, *, is_sent: bool
) -> Iterator[tuple[str, list[str]]]:
    """Each job, with the platforms where something of it is left."""
    if decision.next is Next.END:
        return
    done = {(part.job, part.platform) for part in engagement.parts}
    for job in engagement_jobs(form):
        here = {part.form.platform for part in decision.due.parts if part.job is job}
        waits = decision.due.waits_for if is_sent else form.comment_on
        later = {p for p in waits if job is EngagementJob.COMMENT or (job, p) not in done}
        if platforms := [p for p in dict.fromkeys(form.comment_on) if p in here | later]:
            yield _job(form, job), list(platforms)


def _job(form: EngageForm, job: EngagementJob) -> str:
    if job is EngagementJob.WARM_UP:
        return f"warm-up of {form.warm_up_seconds} s"
    return f"comments ({count(len(texts(form.comments, 'comment')), 'text')})"


def _when(engagement: Engagement, decision: Decision) -> str:
    due = decision.due
    if decision.next is Next.END:
        return f"since {decision.reason.rstrip('.')}" if decision.reason else NEXT_RUN
    if decision.next is Next.START:
        return NEXT_RUN
    if due.parts:
        return f"not before {shown(engagement.due)}{f': {engagement.reason}' if engagement.reason else ''}"
    return f"once it is published on {' and '.join(due.waits_for)}" if due.is_out else "once it is published"
