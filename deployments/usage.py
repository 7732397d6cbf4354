"""What is wrong with the words of a command: one sentence with what to do, in place of those of cyclopts."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Literal, get_args, get_origin

from cyclopts import App
from cyclopts.exceptions import (
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    RepeatArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
    ValidationError,
)

from reelflow.wording import listed, one_line

_NUMBERS = {int: "a whole number", float: "a number"}
_BOUNDS = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than"}


def usage_sentence(error: CycloptsError) -> str:
    """What is wrong, and where the words of the command are listed."""
    command = " ".join(["reelflow", *(error.command_chain or ())])
    return f"{_what_is_wrong(error, command)} See `{command} --help`."


def _what_is_wrong(error: CycloptsError, command: str) -> str:
    match error:
        case UnknownCommandError() | UnusedCliTokensError():
            return _unknown_words(error, command)
        case UnknownOptionError():
            name = (error.token.keyword or error.token.value).partition("=")[0]
            options = [each for argument in error.argument_collection if argument.parse for each in argument.names]
            return f"`{command}` has no option {one_line(name)}.{_did_you_mean(name, options)}"
        case MissingArgumentError() if error.argument is not None:
            return _missing(error, error.argument.name, command)
        case CoercionError() if error.msg is None and error.token is not None:
            return _wrong_value(error, one_line(error.token.value), command)
        case ValidationError() if error.argument is not None:
            return f"{error.argument.name} {_bounds(error.exception_message)}."
        case RepeatArgumentError():
            return f"{error.token.keyword} can be given only once."
    error.verbose = False
    return f"{one_line(str(error), 300).rstrip('.')}."


def _unknown_words(error: CycloptsError, command: str) -> str:
    words = [one_line(each) for each in error.unused_tokens or ()]
    if (commands := _commands(error.app)) and words[0].startswith("-"):
        return f"`{command}` has no option {words[0]}."
    if commands:
        return f"There is no command `{command} {words[0]}`.{_did_you_mean(words[0], commands)}"
    return (
        f"`{command}` does not take {listed([repr(word) for word in words])}. Put a name with spaces into quotes, and "
        "repeat an option for several values."
    )


def _commands(app: App | None) -> list[str]:
    return [name for name in app or () if not name.startswith("-")]


def _missing(error: MissingArgumentError, name: str, command: str) -> str:
    if error.keyword or (error.argument and error.argument.tokens):
        return f"{error.keyword or name} needs a value."
    unknown = [word for word in error.unused_tokens or () if word.startswith("--")]
    if mistyped := difflib.get_close_matches(name, unknown, n=1):
        return f"`{command}` has no option {one_line(mistyped[0])}. Did you mean {name}?"
    return f"`{command}` needs {name}."


def _wrong_value(error: CoercionError, value: str, command: str) -> str:
    name = (error.token and error.token.keyword) or (error.argument.name if error.argument else command)
    if get_origin(error.target_type) is Literal:
        choices = [str(each) for each in get_args(error.target_type)]
        return f"{name}: {value!r} is not one of {', '.join(choices)}.{_did_you_mean(value, choices)}"
    if error.target_type is bool:
        return f"{name} takes no value."
    wanted = _NUMBERS.get(error.target_type) if error.target_type else None
    return f"{name}: {value!r} is not {wanted or 'allowed here'}."


def _bounds(message: str) -> str:
    """What a validator of cyclopts says, such as "Must be >= 1.", in words."""
    said = message.strip().rstrip(".")
    for sign, words in _BOUNDS.items():
        said = said.replace(f"{sign} ", f"{words} ")
    return said[:1].lower() + said[1:]


def _did_you_mean(word: str, among: Iterable[str]) -> str:
    found = difflib.get_close_matches(word, list(among), n=1)
    return f" Did you mean {found[0]}?" if found else ""
