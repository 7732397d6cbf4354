"""One measured line."""

from typing import NamedTuple


class Result(NamedTuple):
    """What was measured, what came out, and whether its bound holds."""

    what: str
    found: str
    bound: str
    holds: bool
