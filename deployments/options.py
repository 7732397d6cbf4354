"""Options of commands, made from the fields of the forms: a field that a form gets is an option by itself."""

from __future__ import annotations

import functools
import inspect
import re
import typing
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple, TypeVar

from cyclopts import Parameter
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from reelflow.errors import InputError, ReelflowError
from reelflow.fields import TIME_OF_DAY

AsJson = Annotated[bool, Parameter(name="--json", negative="", show_default=False, help="Print JSON and nothing else.")]
"""The option of every command that a program may want to read."""
TAISLY_LABEL = {"Taisly account": "--block"}
"""The client of a run, and the option for it."""
TaislyBlock = Annotated[str, Parameter(help='Name of the saved block "Taisly Account".')]
HostBlock = Annotated[str, Parameter(help='Name of the saved block "TikMatrix Host".')]
ChatGPTBlock = Annotated[
    str | None,
    Parameter(help='Name of the saved block "ChatGPT Settings", for --engage-warm-up-write-with-chatgpt.'),
]
COMMANDS = {
    "cancel-scheduled-post": "cancel",
    "resolve-post": "resolve",
    "warm-up-accounts": "phones warm-up",
    "comment-on-posts": "phones comment",
    "manage-phone-tasks": "phones tasks",
    "apply-repost-rules": "reposts apply",
    "rotate-api-key": "rotate-api-key",
}
"""The commands that do what messages ask to run."""
FIT = {"If the video does not fit": "--fit", "If it is too long": "--too-long"}
"""Labels of the options that commands without a form have, too."""
_LABELS: ContextVar[Mapping[str, str]] = ContextVar("labels", default=MappingProxyType({}))
"""The labels of the command that runs, each with its option."""


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
    without: Mapping[str, str] = MappingProxyType({})
    """Fields that the command has in another way, and how it calls them."""

    @property
    def labels(self) -> Iterator[tuple[str, str]]:
        """What messages call each field, and how the command does."""
        for name, field in self.form.model_fields.items():
            yield field.title or name, self.without.get(name) or _flag(self.prefix + name)


def with_options_of(
    *forms: FormOptions, blocks: Mapping[str, str] = MappingProxyType({})
) -> Callable[[Command], Command]:
    """Give a command an option for each field of its forms; its ``**values`` get those that were named.

    What it prints, and the error with which it ends, name these options beside the labels of the form.

    Args:
        *forms: The forms.
        blocks: The options of the blocks that messages may ask for.
    """
    options_of = defaultdict[str, set[str]](set)
    for label, option in (each for form in forms for each in form.labels):
        options_of[label].add(option)
    # A label of both forms could mean either option.
    labels = {label: next(iter(options)) for label, options in options_of.items() if len(options) == 1}

    def decorate(given_command: Command) -> Command:
        of_client = TAISLY_LABEL if "block" in inspect.signature(given_command).parameters else {}
        command = with_labels({**labels, **blocks, **of_client})(given_command)
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
        name, *more = first["loc"]
        where = f" ({'.'.join(str(each + 1 if isinstance(each, int) else each) for each in more)})" if more else ""
        said = first["msg"].removeprefix("Value error, ").rstrip(".")
        said = re.sub(r"^(Input|String|List) should", "must", said)
        if first.get("ctx", {}).get("pattern") == TIME_OF_DAY:
            said = "must be a time of day such as 18:30, or empty"
        raise InputError(f"{names.get(str(name)) or _flag(f'{prefix}{name}')}{where}: {said}.") from None


def with_labels(labels: Mapping[str, str]) -> Callable[[Command], Command]:
    """Let a command name these options beside the labels of the forms; see `in_options`."""

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(*arguments: Any, **values: Any) -> int:
            before = _LABELS.set(labels)
            try:
                return command(*arguments, **values)
            except ReelflowError as error:
                error.message = in_options(error.message)
                raise
            finally:
                _LABELS.reset(before)

        return run

    return decorate


def in_options(sentence: str) -> str:
    """A sentence for whoever uses a terminal: beside a label of a form its option, beside a deployment its command.

    Messages are written for the forms of the UI; this is the one place where those for a terminal differ.
    """
    for name, command in COMMANDS.items():
        sentence = re.sub(rf"\b{name}\b(?! \(`)", f"{name} (`reelflow {command}`)", sentence)
    for label, option in _LABELS.get().items():
        sentence = re.sub(rf"'{re.escape(label)}'(?! \(-)", rf"\g<0> ({option})", sentence)
    return sentence


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
