"""What the wire models of both services share: how lenient they are, and what text and ids may contain."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError

from reelflow.errors import UnreadableAnswer
from reelflow.wording import one_line

LONGEST_ID = 200
"""Characters of a service's name for something."""


class Wire(BaseModel):
    """Base of the wire models. Lenient: unknown fields are ignored, numbers where text is promised become text."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True, populate_by_name=True, frozen=True)


def _shown(value: Any) -> Any:
    return one_line(value) if isinstance(value, str) else value


def is_name(value: Any) -> bool:
    """Whether a value can be a service's name for something: a number, or a text that can be seen."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return False
    return len(str(value)) <= LONGEST_ID and str(value).isprintable()


def _sound(value: str) -> str:
    if not is_name(value):
        raise ValueError("an ID has only characters that can be seen")
    return value


Shown = Annotated[str, BeforeValidator(_shown)]
"""Text of a service that is shown to people."""
Id = Annotated[str, AfterValidator(_sound)]
"""A service's name for something. It is sent back as it came, so an odd one is refused, not fixed."""

M = TypeVar("M", bound=BaseModel)


def parse(value: Any, model: type[M], *, service: str) -> M:
    """`value` as `model`, or UnreadableAnswer that names the fields which are missing or of no use."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        fields = ", ".join(".".join(map(str, e["loc"])) or "all of it" for e in errors[:3])
        raise UnreadableAnswer(
            f"{service}'s answer lacks fields that reelflow needs ({fields}).", service=service
        ) from None
