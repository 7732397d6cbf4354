"""Validators of blocks whose values the engine reads: its errors, shown at the field."""

from collections.abc import Callable
from typing import TypeVar

from reelflow.errors import InputError

T = TypeVar("T")


def readable(value: T, read: Callable[[T], object]) -> T:
    """`value` if it can be read; otherwise ValueError, whose message pydantic shows at the field."""
    try:
        read(value)
    except InputError as error:
        raise ValueError(str(error)) from None
    return value
