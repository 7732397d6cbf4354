"""A step of a flow: a Prefect task whose failure is one plain sentence."""

import functools
import logging
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import get_run_logger, task
from prefect.client.schemas.objects import State
from prefect.exceptions import MissingContextError
from prefect.states import Failed

from reelflow.errors import ReelflowError

P = ParamSpec("P")
R = TypeVar("R")


class _ToRun(logging.Handler):
    """Shows what the engine logs in the run that it works for. The engine itself knows no Prefect."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on to the run's own log, where there is a run."""
        try:
            get_run_logger().log(record.levelno, record.getMessage())
        except MissingContextError:
            return


def _show_engine_logs() -> None:
    engine = logging.getLogger("reelflow")
    if not any(isinstance(handler, _ToRun) for handler in engine.handlers):
        engine.setLevel(logging.INFO)
        engine.addHandler(_ToRun())
        engine.propagate = False  # the run's log is on the console already


def plainly(run: Callable[P, R]) -> Callable[P, R | State[Any]]:
    """Let `run` end as Failed with the words of our own errors, in place of a traceback in the logs.

    Errors that are not ours are mistakes in reelflow; they keep their traceback.
    """

    @functools.wraps(run)
    def said(*args: P.args, **kwargs: P.kwargs) -> R | State[Any]:
        _show_engine_logs()
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
