"""Options of commands, made from the fields of the forms: a field that a form gets is an option by itself."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple, TypeVar

from cyclopts import Parameter
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from reelflow.errors import InputError

AsJson = Annotated[bool, Parameter(name="--json", negative="", show_default=False, help="Print JSON and nothing else.")]
"""The option of every command that a program may want to read."""
TaislyBlock = Annotated[str, Parameter(help='Name of the saved block "Taisly Account".')]
HostBlock = Annotated[str, Parameter(help='Name of the saved block "TikMatrix Host".')]
ChatGPTBlock = Annotated[
    str | None,
    Parameter(help='Name of the saved block "ChatGPT Settings", for --engage-warm-up-write-with-chatgpt.'),
]


def accounts_option(what: str) -> Parameter:
    """The option --to of a command that publishes more than one video; `what` goes there."""
    return Parameter(
        negative="",
        help=f"Where to post {what}: a name or ID of an account, a platform with only one account, or 'all'. Repeat "
        "the option for several accounts.",
    )


Command = Callable[..., int]
F = TypeVar("F", bound=BaseModel)


class FormOptions(NamedTuple):
    """The fields of a form that become options of a command."""

    form: type[BaseModel]
    prefix: str = ""
    """In front of each option, where a command has two forms."""
    without: Collection[str] = ()
    """Fields that the command has in another way."""


def with_options_of(*forms: FormOptions) -> Callable[[Command], Command]:
    """Give a command an option for each field of its forms; its ``**values`` get those that were named."""

    def decorate(command: Command) -> Command:
        given = inspect.signature(command)
        hints = typing.get_type_hints(command, include_extras=True)
        own = [p.replace(annotation=hints[p.name]) for p in given.parameters.values() if p.kind is not p.VAR_KEYWORD]
        options = [option for each in forms for option in _options(each)]
        command.__signature__ = given.replace(parameters=[*own, *options])  # type: ignore[attr-defined]
        command.__annotations__ = {}  # cyclopts would read these first
        return command

    return decorate


def read_form(
    form: type[F], values: Mapping[str, Any], *, prefix: str = "", names: Mapping[str, str] = MappingProxyType({})
) -> F:
    """The form with the values that were named on the command line.

    Args:
        form: Its class.
        values: By option, without the dashes.
        prefix: In front of each option.
        names: Of the fields that the command has in another way, for the message.

    Raises:
        InputError: a value is not allowed; the sentence names the option.
    """
    given = {n: values[prefix + n] for n in form.model_fields if prefix + n in values}
    try:
        return form(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name, *more = map(str, first["loc"])
        where = f" ({'.'.join(more)})" if more else ""
        raise InputError(f"{names.get(name) or _flag(prefix + name)}{where}: {first['msg']}.") from None


def _position(field: FieldInfo) -> float:
    extra = field.json_schema_extra
    position = extra.get("position") if isinstance(extra, dict) else None
    return float(position) if isinstance(position, int | float) else float("inf")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _options(of: FormOptions) -> Iterator[inspect.Parameter]:
    fields = sorted(of.form.model_fields.items(), key=lambda item: _position(item[1]))
    return (_option(of.prefix + name, field) for name, field in fields if name not in of.without)


def _option(name: str, field: FieldInfo) -> inspect.Parameter:
    default = inspect.Parameter.empty if field.is_required() else field.get_default(call_default_factory=True)
    option = Parameter(
        name=_flag(name),
        help=_help(field),
        negative=_flag(f"no_{name}") if default is True else "",
        show_default=default not in (inspect.Parameter.empty, None, "", []) and default is not False,
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[field.annotation, option], default=default
    )


def _help(field: FieldInfo) -> str:
    """What the form says of a field, without the words for its rows, and with its bounds.

    It begins with the title, since messages name fields by that.
    """
    parts = [f"{field.title}." if field.title else "", (field.description or "").replace(", one per row", "")]
    bounds: dict[str, Any] = {}
    for each in field.metadata:
        bounds |= {bound: getattr(each, bound) for bound in ("ge", "le") if hasattr(each, bound)}
    if "ge" in bounds and "le" in bounds:
        parts.append(f"{bounds['ge']:g} to {bounds['le']:g}.")
    if typing.get_origin(field.annotation) is list:
        parts.append("Repeat the option for several.")
    return " ".join(filter(None, parts))
