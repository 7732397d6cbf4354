"""The report of a run on phones, and its summary for people."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from reelflow.records.phone_states import TaskState
from reelflow.records.phones import TaskResult
from reelflow.wording import count, listed


class PhoneReport(BaseModel):
    """What a run on phones did."""

    model_config = ConfigDict(frozen=True)

    host: str
    job: str
    planned: int = Field(0, description="Tasks that were requested, without skipped ones.")
    tasks: list[TaskResult] = Field(default_factory=list)
    left_out: list[str] = Field(default_factory=list, description="What was skipped, and why; one line per reason.")
    troubles: list[str] = Field(
        default_factory=list, description="Requests that were refused, or whose answer was lost."
    )
    dry_run: bool = False
    is_quiet: bool = Field(False, description="Whether nothing was done because of quiet hours.")
    would_send: list[str] = Field(default_factory=list, description="In a dry run: who would act on what.")
    summary: str = Field("", description="A one-line summary for people.")

    def in_state(self, *states: TaskState) -> list[TaskResult]:
        """The tasks in one of `states`."""
        return [task for task in self.tasks if task.state in states]

    @property
    def unfinished(self) -> list[TaskResult]:
        """The tasks that were left to TikMatrix."""
        return [task for task in self.tasks if not task.state.finished]

    @property
    def failed(self) -> bool:
        """Whether a task failed or is gone, or a request was refused or lost."""
        return bool(self.troubles) or any(task.state.needs_attention for task in self.tasks)


class ListedTask(TaskResult):
    """A phone task among others of any script."""

    job: str = Field(description='What it is, for people: "comment".')


class ManageReport(BaseModel):
    """What a run that manages phone tasks by hand found and did."""

    model_config = ConfigDict(frozen=True)

    summary: str
    tasks: list[ListedTask] = Field(description="Those that matched, as they were before.")


class FinishReport(BaseModel):
    """What a run that finishes open phone tasks did on one PC."""

    model_config = ConfigDict(frozen=True)

    ended: list[TaskResult]
    cancelled: list[TaskResult] = Field(description="Unfinished tasks of dead runs.")
    still_open: int = Field(description="Tasks that are not finished.")
    unanswered: list[str] = Field(description="IDs of requests whose answer was lost, and whose tasks are looked for.")
    unconfirmed: list[str] = Field(description="IDs of requests of which only a person can say what was done.")


def summarize(report: PhoneReport) -> str:
    """A one-line summary of a run."""
    parts = []
    completed = len(report.in_state(TaskState.COMPLETED))
    if report.dry_run:
        parts.append(f"Dry run: nothing was sent. Would send {count(report.planned, report.job)}.")
    elif report.tasks:
        parts.append(f"{completed} of {count(len(report.tasks), report.job)} completed.")
    elif not report.troubles:
        parts.append(f"No {report.job}s were requested.")
    parts += describe_failures(report.tasks)
    if cancelled := report.in_state(TaskState.CANCELLED):
        parts.append(f"{len(cancelled)} cancelled: {_named(cancelled)}.")
    if report.unfinished:
        parts.append(f"{len(report.unfinished)} unfinished, continuing in TikMatrix: {_named(report.unfinished)}.")
    parts += report.troubles
    parts += [f"{line}." for line in report.left_out]
    return " ".join(parts)


def describe_failures(tasks: Sequence[TaskResult]) -> list[str]:
    """Which tasks failed or are gone: "1 failed: R58N01, comments are off."."""
    by_state = {state: [task for task in tasks if task.state is state] for state in (TaskState.FAILED, TaskState.GONE)}
    return [f"{len(found)} {state.lower()}: {_named(found)}." for state, found in by_state.items() if found]


def _named(tasks: Sequence[TaskResult]) -> str:
    return listed([(t.who or f"task {t.task_id}") + (f", {t.remark}" if t.remark else "") for t in tasks], "; ")
