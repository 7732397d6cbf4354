"""Fields of the forms that people fill in, and how the run form shows them."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, model_validator
from pydantic_core import core_schema

TIME_OF_DAY = r"^$|^([01][0-9]|2[0-3]):[0-5][0-9]$"
"""The pattern of a field for "HH:MM", which may be empty."""
ALL = "all"
"""What a field with a list to choose from takes for everything in it."""
ADVANCED = "advanced"
"""The one field of a form's schema under which the run form folds the fields that few people change."""
CHOICES = "choices"
"""The mark of a field that offers a list to choose from, and which list; `reelflow.form_schema` fills it in."""
ZONED = "zoned"
"""The mark of a field whose help names the time zone: its help, with "{zone}" where that belongs."""
TABS = "tabs"
"""The mark of a field that may be nothing: the words for nothing and for something."""


class Form(BaseModel):
    """A form: flat in code, on the command line and in the API; in Prefect's run form its advanced fields are folded.

    Prefect's form shows what the JSON schema says, so the schema has the advanced fields under one field "Advanced",
    with the tabs "Defaults" and "Change". What comes back is unfolded here. The same fields without the fold are
    taken too: scripts and earlier schedules name them so.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _unfold(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        given = dict(data)
        advanced = given.pop(ADVANCED, None) or {}
        if not isinstance(advanced, dict):
            raise ValueError(f"'{ADVANCED}' takes fields by their names.")  # noqa: TRY004 - pydantic shows a ValueError
        return {name: cls._clean(name, value) for name, value in {**advanced, **given}.items()}

    @classmethod
    def _clean(cls, name: str, value: Any) -> Any:
        """A value as it is meant: an empty object comes from a tab for nothing, null from a row that was left empty.

        Of a list that has only such rows and must not be empty, one remains: the checks say which name is missing.
        """
        if not isinstance(value, list):
            return None if value == {} else value
        rows = [row for row in value if row is not None and (not isinstance(row, str) or row.strip())]
        is_needed = name in cls.model_fields and cls.model_fields[name].is_required()
        return rows or ([""] if value and is_needed else [])

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> Any:
        """The schema as Prefect's run form shows it."""
        made = handler.resolve_ref_schema(handler(schema))
        tabbed = [name for name, field in made.get("properties", {}).items() if _name_tabs(field)]
        _fold(made)
        if tabbed:  # a tab that is chosen and left empty must not pass for the other one; only the form sends the fold
            made |= {"if": {"required": [ADVANCED]}, "then": {"required": tabbed}}
        return made


def entry(
    position: int,
    title: str,
    description: str,
    default: Any = ...,
    *,
    advanced: bool = False,
    choices: str = "",
    tabs: tuple[str, str] | None = None,
    **more: Any,
) -> Any:
    """A field of a form: its place, what it is called, and its help.

    Args:
        position: Prefect's run form shows fields in this order.
        title: What it is called there.
        description: Its help, in plain text; "{zone}" stands for the reader's time zone, in brackets.
        default: Omitted for a field that must be filled in.
        advanced: Whether it is folded under "Advanced".
        choices: The list that it offers: "accounts", "phones", "usernames", "videos" or "plans".
        tabs: For a field that may be None: the words for None and for a value.
        **more: As for `pydantic.Field`; `format` and `examples` go into the JSON schema.
    """
    extra: dict[str, Any] = {"position": position}
    marks = {"format": more.pop("format", None), ADVANCED: advanced or None, CHOICES: choices or None, TABS: tabs}
    marks[ZONED] = description if "{zone}" in description else None
    description = description.replace("{zone}", "")
    extra |= {name: value for name, value in marks.items() if value is not None}
    return Field(default, title=title, description=description, json_schema_extra=extra, **more)


def _name_tabs(field: dict[str, Any]) -> bool:
    """Show "nothing" first, and both under the words of the field; whether it is such a field."""
    words = field.pop(TABS, None)
    if words:
        something = next(b for b in field["anyOf"] if b.get("type") != "null" and b.get("format") != "date-time")
        field["anyOf"] = [tab_for_nothing(words[0]), {"pattern": r"\S", **something, "title": words[1]}]
        field["default"] = {}
    return bool(words)


def tab_for_nothing(title: str) -> dict[str, Any]:
    """A tab without fields: an empty object, since below a null Prefect's form says 'Property is type "None"'."""
    return {"type": "object", "title": title, "properties": {}, "additionalProperties": False}


def _fold(schema: dict[str, Any]) -> None:
    """Move the advanced fields under one field; under their own names they are still valid, without being shown."""
    fields: dict[str, Any] = schema.get("properties", {})
    folded = {name: fields.pop(name) for name in list(fields) if fields[name].pop(ADVANCED, False)}
    if not folded:
        return
    fields[ADVANCED] = {
        "title": "Advanced",
        "anyOf": [
            tab_for_nothing("Defaults"),
            {"type": "object", "title": "Change", "properties": folded, "additionalProperties": False},
        ],
        "default": {},
        "position": 1000,
    }
    schema["patternProperties"] = {f"^{re.escape(name)}$": _unshown(field) for name, field in folded.items()}


def _unshown(field: dict[str, Any]) -> dict[str, Any]:
    """What a field takes, without what only the form shows."""
    return {key: value for key, value in field.items() if key not in ("title", "description", "position", "default")}
