"""A step of a flow: a Prefect task whose failure is one plain sentence."""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import task
from prefect.client.schemas.objects import State
from prefect.states import Failed

from reelflow.errors import ReelflowError

P = ParamSpec("P")
R = TypeVar("R")


def plainly(run: Callable[P, R]) -> Callable[P, R | State[Any]]:
    """Let `run` end as Failed with the words of our own errors, in place of a traceback in the logs.

    Errors that are not ours are mistakes in reelflow; they keep their traceback.
    """

    @functools.wraps(run)
    def said(*args: P.args, **kwargs: P.kwargs) -> R | State[Any]:
        try:
            return run(*args, **kwargs)
        except ReelflowError as error:
            return Failed(message=str(error), data=error)

    return said


def _never(_task: Any, _run: Any, _state: Any) -> bool:
    """Do not retry. With retries=0 Prefect logs a failure twice, the first time with "NoneType: None" below it."""
    return False


_DEFAULTS: dict[str, Any] = {"persist_result": False, "retries": 1, "retry_condition_fn": _never}


def step(run_name: str, **options: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a function a Prefect task that returns its value or raises its `ReelflowError`.

    Args:
        run_name: What the task run is called in the UI; ``{parameter}`` is filled in.
        **options: As for `prefect.task`. The default repeats nothing, and keeps no results: what must survive a
            crash is in our own record.
    """

    def decorate(run: Callable[P, R]) -> Callable[P, R]:
        inner = task(task_run_name=run_name, **{**_DEFAULTS, **options})(plainly(run))

        @functools.wraps(run)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            state: State[Any] = inner(*args, return_state=True, **kwargs)
            value: R = state.result()
            return value

        return call

    return decorate
