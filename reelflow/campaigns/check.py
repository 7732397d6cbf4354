"""Check a whole plan before anything of it is sent: every wrong row is named, not only the first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from reelflow.campaigns.already import Already
from reelflow.campaigns.by_rules import CODE as REPOST_RULE
from reelflow.campaigns.by_rules import without_copied
from reelflow.campaigns.columns import WHEN, caption_column
from reelflow.campaigns.form import CampaignForm
from reelflow.campaigns.holds import read_holds, without_held
from reelflow.campaigns.placing import Placer
from reelflow.campaigns.posts import CheckedPlan, Draft, PlannedPost, naming_column, problem_of
from reelflow.campaigns.row_accounts import RowAccounts
from reelflow.campaigns.rows import Plan, PlanRow, RowProblem
from reelflow.campaigns.together import check_together, posts_of_plan, time_to_send, twice_sentence
from reelflow.campaigns.videos import Progress, Videos, no_progress, read_videos
from reelflow.downloads.source import Storages, is_stored, stored_path
from reelflow.errors import InputError
from reelflow.posts.accounts import CAPTION_LIMITS, caption_limit, check_caption
from reelflow.posts.duplicates import next_repeat, reason_of, similar_videos
from reelflow.posts.looking_back import found_reason
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.posts.reposts import CopiedBefore
from reelflow.posts.requests import beyond_end
from reelflow.records.duplicates import Verdict
from reelflow.records.posts import Account, FoundPost, Video
from reelflow.time_zones import shown
from reelflow.wording import one_line

LONGEST_ID = 100
"""Characters of a campaign ID: as many as its column in the ledger is sure to take."""
ROW_ADVICE = "Remove the row; or, to send it all the same, put {repeat} into its column 'repeat'."
"""What to do about a row of a plan that was sent before."""


@dataclass
class Checker:
    """Checks one plan.

    Args:
        taisly: For the accounts and repost rules; with the ledger.
        form: The campaign's.
        placer: Gives the posts their times.
        folder: Where a video is looked for that is named without its whole path.
        progress: Called with how many of how many videos are read.
        advice: What to do about a row that was sent before.
        storages: Finds videos in storages.
    """

    taisly: RateLimitedTaisly
    form: CampaignForm
    placer: Placer
    folder: str | None = None
    progress: Progress = no_progress
    advice: str = ROW_ADVICE
    storages: Storages | None = None
    _problems: list[RowProblem] = field(default_factory=list)

    def check(self, plan: Plan, now: datetime) -> CheckedPlan:
        """What of a plan can be sent when, what is out already, and what is wrong. Reserves and sends nothing.

        Accounts that the form releases are released first, so that the plan is sent to them, too.

        Raises:
            ServiceError: Taisly does not answer.
            LedgerUnavailable: the ledger cannot be read.
        """
        found = CheckedPlan(others=self.placer.others)
        held = read_holds(self.taisly, self.form, found, patience=self.placer.options.patience)
        self._problems = [*plan.problems, *found.problems]
        wanted = [(row, self.form.fit_settings(row.fit)) for row in plan.rows]
        videos = read_videos(wanted, self.folder, self.progress, self.storages, sleep=self.taisly.sleep)
        accounts = RowAccounts(self.taisly, map(self._names, plan.rows), patience=self.placer.options.patience)
        drafts = [draft for row in plan.rows for draft in self._drafts(row, videos, accounts)]
        records = self.taisly.ledger.sends_of_videos(self.taisly.service, {d.video.sha256 for d in drafts})
        kept = self.taisly.ledger.reservations(self.taisly.service, {d.video.sha256 for d in drafts})
        already = Already(drafts, records, kept, self.form, self.taisly.ledger.now())
        left = [again for draft in drafts if (again := already.to_send(draft, found)) is not None]
        left = without_held(self._without_passed(left, found, now), held, found)
        split = partial(accounts.split, choice=self.form.copied_by_rule)
        left, doubled = without_copied(drafts, left, split, found)
        self._problems += doubled
        going_to = {draft.account.id for draft in left}
        own = posts_of_plan(drafts, left, found.known)
        taken = self.taisly.ledger.taken_moments(self.taisly.service, going_to, self.placer.others, leave_out=own)
        apart = self.form.minutes_apart * 60
        self._problems += check_together(left, taken, seconds_apart=apart, now=now.timestamp())
        found.drafts = left
        without_time = {problem.number for problem in plan.problems if problem.column == WHEN}
        placeable = [draft for draft in left if draft.row.number not in without_time]
        found.posts, unplaced = self.placer.place(placeable, dry_run=True)
        self._problems += unplaced
        in_history = self.taisly.ledger.found_posts(self.taisly.service)
        copied = CopiedBefore(self.taisly, accounts.connected, self.placer.options.patience)
        for post in found.posts:
            self._check_earlier(post, found, in_history, copied)
        found.problems = _in_order(naming_column(self._problems, plan))  # what is wrong is not sent: it needs no room
        found.problems = _in_order([*found.problems, *self._without_room(found)])
        return found

    def _names(self, row: PlanRow) -> tuple[str, ...]:
        return row.accounts or tuple(self.form.accounts)

    def _drafts(self, row: PlanRow, videos: Videos, among: RowAccounts) -> list[Draft]:
        """What a row wants at each of its accounts; none where its video or accounts are wrong."""
        video = videos.get(row.number)
        if isinstance(video, InputError):
            self._add(row, "video", "video", video)
        accounts = self._accounts(row, among)
        if len(row.campaign) > LONGEST_ID:
            self._add(row, "campaign id", "campaign_id", f"A campaign ID has at most {LONGEST_ID} characters.")
        self._problems += _strange_captions(row, among.connected)
        for account in accounts:
            try:
                check_caption(row.caption_for(account.platform), [account])
            except InputError as error:
                own = account.platform.casefold() in row.captions
                self._add(row, caption_column(account.platform) if own else "caption", "caption", error)
        if not isinstance(video, Video) or not accounts:
            if isinstance(row.when, datetime) and row.when.timestamp() <= self.taisly.ledger.now():
                self._add(row, "when", "passed", passed_sentence(row.when))  # said with what is wrong beside it
            return []
        self._problems += preview_problems(row, video)
        return [
            Draft(row, video, account, row.caption_for(account.platform), row.when, row.repeat) for account in accounts
        ]

    def _accounts(self, row: PlanRow, among: RowAccounts) -> list[Account]:
        if not (names := self._names(row)):
            missing = "The row names no accounts. Write them in its column 'accounts', or name some for the whole plan."
            self._add(row, "accounts", "accounts", missing)
            return []
        try:
            accounts = among.choose(names)
        except InputError as error:
            # What is wrong with the form's accounts is said once, and not for each row.
            self._problems.append(problem_of(row.number if row.accounts else 0, "accounts", "accounts", error))
            return []
        return accounts

    def _without_passed(self, drafts: list[Draft], found: CheckedPlan, now: datetime) -> list[Draft]:
        """The drafts whose time has not passed. Once a plan was begun, one that has passed stops only its own row."""
        left, run = [], self.placer.flow_run or ""
        is_begun = bool(found.known) or (self.form.approval and bool(self.taisly.ledger.approvals(run)))
        for draft in drafts:
            if not isinstance(draft.when, datetime) or draft.when > now:
                left.append(draft)
                continue
            passed = passed_sentence(draft.when)
            if is_begun:
                found.skipped.append(draft.skipped(passed, is_failure=True))
            else:
                self._add(draft.row, "when", "passed", passed)
        return left

    def _check_earlier(
        self, post: PlannedPost, found: CheckedPlan, in_history: Sequence[FoundPost], copied: CopiedBefore
    ) -> None:
        """Whether an earlier send may be the same post, here, in Taisly's history, or copied by a repost rule."""
        ledger, service, row = self.taisly.ledger, self.taisly.service, post.number
        earlier = ledger.duplicates(post.request, service=service)
        if refused := [each for each in earlier if each.verdict is Verdict.REFUSE]:
            self._problems.append(
                problem_of(
                    row, "video", "sent_before",
                    f"{_capital(reason_of(refused, ledger.now()))}. {self.advice.format(repeat=next_repeat(refused))}",
                )
            )  # fmt: skip
        else:
            found.warnings += [(row, each) for each in similar_videos(earlier, ledger.now())]
        found.warnings += [(row, each) for each in post.request.warnings]
        if reason := found_reason(ledger, post.request, in_history, service=service):
            told = f"{reason} {self.advice.format(repeat=1)}"
            self._problems.append(problem_of(row, "video", "in_history", told))
        if reason := copied.reason(post.request):
            told = f"{_capital(reason)} {self.advice.format(repeat=1)}"
            self._problems.append(problem_of(row, "accounts", REPOST_RULE, told))

    def _without_room(self, found: CheckedPlan) -> Iterator[RowProblem]:
        """The posts for which the Taisly plan has no room before their time; and how long sending takes."""
        used = self.taisly.ledger.requests_in_last_hour(self.taisly.key)
        per_hour = self.taisly.allowance("publish", 0)
        now, in_time = self.taisly.ledger.now(), 0
        for post in found.right_posts():
            after = time_to_send(in_time + 1, used=used, per_hour=per_hour)
            found.seconds = max(found.seconds, after)
            due = post.request.scheduled_for
            if after and due is not None and not post.slots and now + after > due.timestamp():
                late = (
                    f"It is due {shown(due)}, but your Taisly plan has room for it only at about "
                    f"{shown(now + after)}, after the posts before it. Give it a later time, or take rows out."
                )
                yield problem_of(post.number, "when", "no_room", late)
            else:
                in_time += 1

    def _add(self, row: PlanRow, column: str, code: str, error: InputError | str) -> None:
        self._problems.append(problem_of(row.number, column, code, error))


def _strange_captions(row: PlanRow, connected: Sequence[Account]) -> list[RowProblem]:
    """Captions for platforms on which no account is connected: a mistyped name would be ignored in silence."""
    names = {account.platform for account in connected}
    known = {name.casefold() for name in names}
    return [
        problem_of(
            row.number, caption_column(platform), "platform",
            f"No connected account is on {one_line(platform, 30)!r}, so this caption would not be used. Connected "
            f"platforms: {', '.join(sorted(names))}. Rename the column, or delete it.",
        )
        for platform in row.captions
        if platform not in known
    ]  # fmt: skip


def preview_problems(row: PlanRow, video: Video) -> list[RowProblem]:
    """Whether the preview lies beyond the end of the video."""
    beyond = beyond_end(row.preview_second, video)
    return [problem_of(row.number, "preview second", "preview_second", beyond)] if beyond else []


def check_alone(
    plan: Plan, now: datetime, form: CampaignForm | None = None, *, folder: str | None = None,
    progress: Progress = no_progress,
) -> Plan:  # fmt: skip
    """The plan with everything that is wrong and that nobody need be asked for: no server, no ledger, no Taisly.

    A video in a storage is not checked: only the server knows where that is.

    Args:
        plan: As it was read.
        now: The time.
        form: Says how videos are made right that do not fit, where a row does not.
        folder: Where a video is looked for that is named without its whole path.
        progress: Called with how many of how many videos are read.
    """
    form = form or CampaignForm()
    here = [(row, form.fit_settings(row.fit)) for row in plan.rows if not is_stored(row.video)]
    videos = read_videos(here, folder, progress)
    videos |= {row.number: error for row in plan.rows if is_stored(row.video) and (error := _path_error(row.video))}
    found, first = list(plan.problems), dict[tuple[str, tuple[str, ...], str, int], int]()
    for row in plan.rows:
        video = videos.get(row.number)
        found += caption_problems(row)
        if isinstance(row.when, datetime) and row.when <= now:
            found.append(problem_of(row.number, "when", "passed", passed_sentence(row.when)))
        if isinstance(video, InputError):
            found.append(problem_of(row.number, "video", "video", video))
        elif video is not None:
            found += preview_problems(row, video)
            key = (video.sha256, row.accounts, row.campaign, row.repeat)
            earlier = first.setdefault(key, row.number)
            if earlier != row.number:
                found.append(problem_of(row.number, "video", "twice", twice_sentence(earlier, "the same accounts")))
    return replace(plan, problems=tuple(_in_order(naming_column(found, plan))))


def _path_error(source: str) -> InputError | None:
    """What is wrong with how a path in a storage is written, which needs no server."""
    try:
        stored_path(source)
    except InputError as error:
        return error
    return None


def caption_problems(row: PlanRow) -> list[RowProblem]:
    """Captions that are too long for their platforms, as far as the row itself names those."""
    found = list[RowProblem]()
    for platform in dict.fromkeys([*row.captions, *_platforms_named(row.accounts), ""]):
        own = platform in row.captions
        length, limit = len(row.caption_for(platform)), caption_limit(platform)
        if length > limit and (platform or all(each.column != "caption" for each in found)):
            name = next((name for name in CAPTION_LIMITS if name.casefold() == platform), "")
            where = f"{name} allows {limit}" if name else f"no platform allows more than {limit}"
            long = f"The caption has {length} characters; {where}. Shorten it."
            found.append(problem_of(row.number, caption_column(platform) if own else "caption", "caption", long))
    return found


def _platforms_named(accounts: Iterable[str]) -> list[str]:
    """In lower case. "X" and "X @mara" name one; what else an account is called, Taisly has to be asked."""
    parts = [name.casefold().split() for name in accounts]
    return [words[0] for words in parts if len(words) == 1 or words[1].startswith("@")]


def passed_sentence(when: datetime) -> str:
    """What is said of a row whose time has passed."""
    return f"Its time, {shown(when)}, has passed. Give it a later one."


def _in_order(problems: Iterable[RowProblem]) -> list[RowProblem]:
    """Each problem once, by row."""
    return sorted(dict.fromkeys(problems), key=lambda problem: problem.number)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
