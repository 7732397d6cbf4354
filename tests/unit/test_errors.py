import pickle

import pytest

from reelflow.errors import Busy, InputError, NothingSent, OutcomeUnknown, ReelflowError, Refused, UnreadableAnswer


def _tree(kind: type[ReelflowError]) -> list[type[ReelflowError]]:
    return [kind, *(below for sub in kind.__subclasses__() for below in _tree(sub))]


@pytest.mark.parametrize("kind", _tree(ReelflowError), ids=lambda kind: kind.__name__)
def test_survives_pickle_with_its_fields(kind: type[ReelflowError]) -> None:
    """Errors cross processes and are stored as results, so nothing of them may be lost."""
    error = kind("No such account.")
    error.code, error.status, error.retry_after = "LIMIT", 403, 7.5

    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes

    assert type(again) is kind
    assert str(again) == "No such account."
    assert (again.code, again.status, again.retry_after) == ("LIMIT", 403, 7.5)


def test_the_classes_say_whether_repeating_is_safe() -> None:
    """A 429 is safe to repeat; an answer that cannot be read is as unknown as a lost one."""
    assert issubclass(Busy, NothingSent)
    assert issubclass(UnreadableAnswer, OutcomeUnknown)
    assert not issubclass(OutcomeUnknown, NothingSent)
    assert not issubclass(Refused, NothingSent)
    assert not issubclass(InputError, NothingSent)
