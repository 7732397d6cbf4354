"""Fields of the forms that people fill in."""

from __future__ import annotations

from typing import Any

from pydantic import Field

TIME_OF_DAY = r"^$|^([01][0-9]|2[0-3]):[0-5][0-9]$"
"""The pattern of a field for "HH:MM", which may be empty."""


def entry(position: int, title: str, description: str, default: Any = ..., **more: Any) -> Any:
    """A field of a form: its place, what it is called, and its help.

    Args:
        position: Prefect's run form shows fields in this order.
        title: What it is called there.
        description: Its help, in plain text.
        default: Omitted for a field that must be filled in.
        **more: As for `pydantic.Field`; `format` and `examples` go into the JSON schema.
    """
    extra: dict[str, Any] = {"position": position}
    if "format" in more:
        extra["format"] = more.pop("format")
    return Field(default, title=title, description=description, json_schema_extra=extra, **more)
