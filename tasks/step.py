"""reelflow's flows and steps: Prefect flows and tasks that fail with one clear message.

There is one path for failures: the engine raises a `ReelflowError`, the step's task run ends as Failed with its
message, and the flow run ends the same way. Any other error is a bug in reelflow and keeps its traceback.
"""

import functools
import logging
import os
from collections.abc import Callable
from contextlib import nullcontext
from enum import Enum
from typing import Any, ParamSpec, TypeVar

from prefect import Flow, get_run_logger, task
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.exceptions import MissingContextError, ParameterTypeError
from prefect.states import Failed
from prefect.utilities.annotations import opaque

from blocks.reference import unusable_parameters
from reelflow.errors import LedgerUnavailable, NothingSent, OutcomeUnknown, PartFailed, ReelflowError
from tasks.alarms import record_failed, ring_after, ring_crashed, ring_failed
from tasks.prefect_server import read_patiently
from tasks.slot import short_slot
from tasks.zone import use_zone_for_run

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


def _without_traceback(record: logging.LogRecord) -> bool:
    """Keep Prefect from logging "Engine execution exited with unexpected exception" for errors that people can fix.

    It does so where a flow run has its own process. Of our errors the log has the sentence already. That of a form or
    block that is not valid, found before the flow begins, takes the place of the traceback.
    """
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, ParameterTypeError):
        record.msg = f"Validation of flow parameters failed with error: {type(error).__name__}: {error}"
        record.args, record.exc_info = (), None
    return not isinstance(error, ReelflowError)


def _drop_empty_traceback(record: logging.LogRecord) -> bool:
    """Keep Prefect from logging "NoneType: None" below "Retries are exhausted": a returned failure has no traceback."""
    if record.exc_info == (None, None, None):
        record.exc_info = None
    return True


def _is_no_bookkeeping(record: logging.LogRecord) -> bool:
    """Let the sentence that says why a run failed be the last line of its log: Prefect tells of our hooks after it."""
    return record.levelno > logging.INFO or "hook 'ring_" not in record.getMessage().lower()


def _without_parameters(record: logging.LogRecord) -> bool:
    """Keep Prefect from logging all parameters, where one is not valid: the address of a video may hold a key.

    The error that it raises then says all that matters.
    """
    return not str(record.msg).startswith("Parameter validation failed")


# From the import on, for an error that ends a run before its flow begins. A filter is added only once.
logging.getLogger("prefect.flows").addFilter(_without_parameters)
logging.getLogger("prefect.flow_runs").addFilter(_without_traceback)
logging.getLogger("prefect.flow_runs").addFilter(_is_no_bookkeeping)
logging.getLogger("prefect.task_runs").addFilter(_drop_empty_traceback)


def _set_up_logs() -> None:
    engine = logging.getLogger("reelflow")
    if not any(isinstance(handler, _RunLogHandler) for handler in engine.handlers):
        engine.setLevel(logging.INFO)
        engine.addHandler(_RunLogHandler())
        engine.propagate = False  # the run's log is on the console already


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


class _Flow(Flow[P, R]):
    """A flow whose run waits for a server that fails, and says which field of its block is wrong."""

    def validate_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """As Prefect's, but waits for a server that fails, and names the field of a block that is wrong.

        Prefect would fail the run at once: of a block with "Failed to resolve block references", whatever is wrong.
        """
        try:
            return read_patiently(functools.partial(super().validate_parameters, parameters))
        except OutcomeUnknown as error:
            raise ParameterTypeError(
                f"The blocks of this run could not be read, so nothing was sent. {error}"
            ) from None
        except ParameterTypeError as error:
            if reason := unusable_parameters(error):
                raise ParameterTypeError(reason) from None
            raise


def flow(*, alarms: bool = True, upkeep: bool = False, **options: Any) -> Callable[[Callable[P, R]], Flow[P, R]]:
    """Prefect's ``@flow``, with our own errors as the failure message, and with alarms at its end.

    Args:
        alarms: Whether its own failure is an alarm; not for what a person starts and reads.
        upkeep: Whether it is upkeep: if its run dies, the next one waits for a minute only (see `short_slot`); and a
            time zone that is not valid is a warning, not a failure.
        **options: As for `prefect.flow`.
    """
    if alarms:
        for hook, ring in (("on_failure", ring_failed), ("on_crashed", ring_crashed)):
            options[hook] = [*(options.get(hook) or ()), ring]

    def decorate(run: Callable[P, R]) -> Flow[P, R]:
        @functools.wraps(run)
        def run_in_zone(*args: P.args, **kwargs: P.kwargs) -> R:
            use_zone_for_run(upkeep=upkeep)
            return run(*args, **kwargs)

        guarded = _fail_with_message(run_in_zone)

        @functools.wraps(run)
        def run_with_alarms(*args: P.args, **kwargs: P.kwargs) -> R | State[Any]:
            _set_up_logs()
            with short_slot() if upkeep else nullcontext():
                result = guarded(*args, **kwargs)
            context = FlowRunContext.get()
            if alarms and isinstance(result, State) and result.is_failed() and context is not None:
                record_failed(context.flow_run, result)
            ring_after(result)
            return result

        made: Any = _Flow(run_with_alarms, **options)
        return made  # type: ignore[no-any-return]

    return decorate


class Retry(Enum):
    """After which errors Prefect runs a step again: by what they say about the request that failed."""

    NEVER = ()
    """Bad input, a wrong key and a refusal stay what they are."""
    LEDGER = (LedgerUnavailable,)
    """For steps that only use the ledger. Nothing was sent without it, and it knows what was sent before."""
    READ = (NothingSent, OutcomeUnknown, LedgerUnavailable)
    """For steps that only read: the service was not reached, was busy or did not answer in order."""
    UNSENT = (NothingSent, LedgerUnavailable)
    """For steps that write: only where it is certain that nothing was sent. The ledger makes that safe."""


RETRY_VARIABLE = "REELFLOW_RETRY_SECONDS"
RETRY_SECONDS = 180.0
"""How long a step is retried in all, and the longest wait that a service may ask for; see RETRY_VARIABLE."""
RETRIES = 6
"""How often. Each delay is twice the one before: 3, 6, 11, 23, 46 and 91 s."""
RETRY_JITTER = 0.3
"""The part of a delay that is left to chance, so that runs which failed together do not come back together."""


def retry_seconds() -> float:
    """How long a step is retried in all, as this machine's environment has it."""
    return float(os.environ.get(RETRY_VARIABLE) or RETRY_SECONDS)


def _options(retry: Retry) -> dict[str, Any]:
    """Prefect's options for retries.

    Where there are none, a condition says no: with `retries=0` Prefect logs a failure twice, the first time with
    "NoneType: None" below it.
    """
    if retry is Retry.NEVER:
        return {"retries": 1, "retry_condition_fn": lambda task, run, state: False}
    first = retry_seconds() / (2**RETRIES - 1)
    delays = [first * 2**n for n in range(RETRIES)]

    def may_be_retried(task: Any, run: Any, state: State[Any]) -> bool:
        error = state.data
        if not isinstance(error, retry.value):
            return False
        if (wait := getattr(error, "retry_after", None)) is not None:
            if wait > retry_seconds():
                return False
            # Prefect reads the delay after this; the task object is this call's own.
            task.retry_delay_seconds = wait
        else:
            task.retry_delay_seconds = delays
        return True

    return {
        "retries": RETRIES,
        "retry_delay_seconds": delays,
        "retry_jitter_factor": RETRY_JITTER,
        "retry_condition_fn": may_be_retried,
    }


def step(run_name: str, *, retry: Retry = Retry.NEVER, **options: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a function a Prefect task that returns its value or raises its `ReelflowError`.

    `PartFailed` only makes the task run red, with its sentence: the run goes on with its value.

    Args:
        run_name: The name of the task run in the UI; ``{parameter}`` is filled in.
        retry: After which errors it is run again.
        **options: As for `prefect.task`. No result is stored: what must survive a crash is in the ledger.
    """

    def decorate(run: Callable[P, R]) -> Callable[P, R]:
        inner = task(task_run_name=run_name, persist_result=False, **options)(_fail_with_message(run))

        @functools.wraps(run)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            # Opaque, or Prefect would look through every row of a plan for futures.
            positional = [opaque(each) for each in args]
            named = {name: opaque(each) for name, each in kwargs.items()}
            state: State[Any] = inner.with_options(**_options(retry))(*positional, return_state=True, **named)
            value: R
            try:
                value = state.result()
            except PartFailed as error:
                value = error.value
            return value

        return call

    return decorate
