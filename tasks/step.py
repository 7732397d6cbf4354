"""reelflow's flows and steps: Prefect flows and tasks that fail with one clear message.

There is one path for failures: the engine raises a `ReelflowError`, the step's task run ends as Failed with its
message, and the flow run ends the same way. Any other error is a bug in reelflow and keeps its traceback.
"""

import functools
import logging
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import Flow, get_run_logger, task
from prefect import flow as prefect_flow
from prefect.client.schemas.objects import State
from prefect.exceptions import MissingContextError
from prefect.states import Failed

from reelflow.errors import ReelflowError

P = ParamSpec("P")
R = TypeVar("R")


class _RunLogHandler(logging.Handler):
    """Shows the engine's log records in the current run's log. The engine itself does not import Prefect."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on to the run's own log, where there is a run."""
        try:
            get_run_logger().log(record.levelno, record.getMessage())
        except MissingContextError:
            return


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a record is more than the traceback of one of our errors, which the log has as one sentence already.

    Where a flow run has its own process, Prefect logs "Engine execution exited with unexpected exception" for it.
    """
    return not (record.exc_info and isinstance(record.exc_info[1], ReelflowError))


def _set_up_logs() -> None:
    engine = logging.getLogger("reelflow")
    if not any(isinstance(handler, _RunLogHandler) for handler in engine.handlers):
        engine.setLevel(logging.INFO)
        engine.addHandler(_RunLogHandler())
        engine.propagate = False  # the run's log is on the console already
        logging.getLogger("prefect.flow_runs").addFilter(_is_news)


def _fail_with_message(run: Callable[P, R]) -> Callable[P, R | State[Any]]:
    """Let `run` end as Failed with the message of our own errors, in place of a traceback."""

    @functools.wraps(run)
    def call(*args: P.args, **kwargs: P.kwargs) -> R | State[Any]:
        _set_up_logs()
        try:
            return run(*args, **kwargs)
        except ReelflowError as error:
            return Failed(message=str(error), data=error)

    return call


def flow(**options: Any) -> Callable[[Callable[P, R]], Flow[P, R]]:
    """Prefect's ``@flow``, with our own errors as the failure message. Takes the same options."""

    def decorate(run: Callable[P, R]) -> Flow[P, R]:
        made: Any = prefect_flow(**options)(_fail_with_message(run))
        return made  # type: ignore[no-any-return]

    return decorate


def _never(_task: Any, _run: Any, _state: Any) -> bool:
    """Do not retry. With retries=0 Prefect logs a failure twice, the first time with "NoneType: None" below it."""
    return False


_DEFAULTS: dict[str, Any] = {"persist_result": False, "retries": 1, "retry_condition_fn": _never}


def step(run_name: str, **options: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a function a Prefect task that returns its value or raises its `ReelflowError`.

    Args:
        run_name: The name of the task run in the UI; ``{parameter}`` is filled in.
        **options: As for `prefect.task`. By default nothing is retried and no result is stored: what must survive a
            crash is in the ledger.
    """

    def decorate(run: Callable[P, R]) -> Callable[P, R]:
        inner = task(task_run_name=run_name, **{**_DEFAULTS, **options})(_fail_with_message(run))

        @functools.wraps(run)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            state: State[Any] = inner(*args, return_state=True, **kwargs)
            value: R = state.result()
            return value

        return call

    return decorate
