"""The JSON schema that Prefect stores with a deployment, as its run form should show it: pure functions.

Prefect makes the schema from the flow's signature. What it drops (the titles of parameters) is put back here, and what
only the services know (which accounts there are) is put in: a field marked with `fields.CHOICES` gets two tabs, one
with a list to choose from and one to type in. What is typed, an earlier schedule's values included, stays valid.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reelflow.fields import ALL, CHOICES, ZONED, tab_for_nothing

CHOOSE, TYPE = "Choose", "Type"
MOST = 500
"""Choices of one list: a longer one is no help, and each makes the page slower."""
NULLABLE = "~1null"
"""What follows the type in the reference to the schema of one row of a list, see `_allow_empty_rows`."""
TITLES = {"taisly": "Taisly account", "host": "Phone PC", "slots": "Posting slots", "chatgpt": "ChatGPT"}
"""Parameters whose title is not simply their name."""

FOLDED = {"engage": ("Nothing", "Warm up, comment")}
"""Forms that few people fill in, where they need not be: the tabs for none and for the form."""


TAISLY = "taisly"
"""The parameter that chooses the client."""
ASKS = "asksForClient"
"""The mark of that parameter where no client is preselected, since there are several."""


def title_of(parameter: str) -> str:
    """What forms call a parameter of a flow."""
    return TITLES.get(parameter) or parameter.replace("_", " ").capitalize()


def for_people(
    schema: Mapping[str, Any],
    choices: Mapping[str, Sequence[str]],
    zone: str | None = None,
    *,
    asks_for_client: bool | None = None,
) -> dict[str, Any]:
    """A schema with titles for its parameters, and with lists to choose from.

    Calling it again with other choices replaces them; with none, a field is one to type in.

    Args:
        schema: As Prefect makes or stores it: properties and definitions.
        choices: The lists by name: "accounts", "phones", "usernames", "videos", "plans".
        zone: The time zone in which people write times; None for the one that the schema names.
        asks_for_client: Whether no client is preselected; None for what the schema says.
    """
    made = copy.deepcopy(dict(schema))
    for name, parameter in made.get("properties", {}).items():
        parameter["title"] = title_of(name)
        parameter.pop("description", None)  # the title says it, and each line makes the form longer
        if name == TAISLY and not is_client_needed(made):
            parameter["description"] = "Leave it empty for all clients."
        _show_optional_block(parameter)
        _fold_optional_form(name, parameter, made.get("definitions", {}))
    if asks_for_client is not None and is_client_needed(made):
        made["properties"][TAISLY].pop(ASKS, None)
        made["properties"][TAISLY] |= {ASKS: True} if asks_for_client else {}
    for definition in made.get("definitions", {}).values():
        definition.pop("description", None)
    for fields in list(_all_fields(made)):
        for name, field in fields.items():
            if ZONED in field and zone:
                field["description"] = field[ZONED].replace("{zone}", f" ({zone})")
            if CHOICES in field:
                fields[name] = _with_choices(field, list(choices.get(field[CHOICES], ()))[:MOST])
            for shown in (fields[name], *fields[name].get("anyOf", ())):
                _allow_empty_rows(shown, made["definitions"])
    return made


def is_client_needed(schema: Mapping[str, Any]) -> bool:
    """Whether the form needs a client; where it does not, none means all of them."""
    return TAISLY in schema.get("required", ())


def asks_for_client(schema: Mapping[str, Any]) -> bool:
    """Whether the form preselects no client, since there are several."""
    return bool(schema.get("properties", {}).get(TAISLY, {}).get(ASKS))


def accounts_to_choose(clients: Mapping[str, Sequence[str] | None], before: Sequence[str]) -> list[str]:
    """The list of accounts: of the one client, or of all clients, each account with its client in front.

    Args:
        clients: The names of each client's accounts; None where they cannot be read now.
        before: What the form offers now; it stands in for those that cannot be read.
    """
    is_one, found = len(clients) == 1, list[str]()
    for client, names in clients.items():
        front = f"{client}: "
        kept = [name.removeprefix(front) for name in before if name.startswith(front)]
        if is_one and not kept and ALL in before:
            kept = list(before)
        own = kept if names is None else [ALL, *names]
        found += own if is_one else [front + name for name in own or [ALL]]
    return found


def _show_optional_block(parameter: dict[str, Any]) -> None:
    """Show a block that need not be chosen like one that must be, without the tabs "TikMatrixHost | None"."""
    branches = parameter.get("anyOf", ())
    blocks = [branch for branch in branches if "$ref" in branch]
    if len(blocks) == 1 and {"type": "null"} in branches:
        del parameter["anyOf"]
        parameter.pop("default", None)
        parameter |= blocks[0]


def _fold_optional_form(name: str, parameter: dict[str, Any], definitions: Mapping[str, dict[str, Any]]) -> None:
    """Show a form with defaults behind a tab: an empty object, which the other tab sends, means all defaults."""
    if name not in FOLDED or "$ref" not in parameter or "default" not in parameter:
        return
    reference = parameter.pop("$ref")
    nothing, something = FOLDED[name]
    definitions[reference.rpartition("/")[2]]["title"] = something
    parameter |= {"anyOf": [tab_for_nothing(nothing), {"$ref": reference}], "default": {}}


def _allow_empty_rows(field: dict[str, Any], definitions: dict[str, Any]) -> None:
    """Let a row that was added to a list and left empty be sent: as null, which `Form` ignores.

    Prefect's two UIs show a row that may be null as two tabs, or not at all. They look up the key of a definition as it
    is written in the reference, whereas the server reads "~1" in it as "/", as JSON pointers have it. So the UIs find
    a plain text or number, and the server one that may be null.
    """
    row = field.get("items", {})
    if set(row) != {"type"} or row["type"] not in ("string", "integer"):
        return
    key = f"{row['type']}{NULLABLE}"
    field["items"] = {"$ref": f"#/definitions/{key}"}
    definitions[key] = row
    definitions[key.replace("~1", "/")] = {"type": [row["type"], "null"]}


def _all_fields(schema: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The fields of every form in a schema, those of a folded group included."""
    for form in schema.get("definitions", {}).values():
        fields = form.get("properties", {})
        yield fields
        for field in list(fields.values()):
            for branch in field.get("anyOf", ()):
                if "properties" in branch:
                    yield branch["properties"]


def _with_choices(field: dict[str, Any], choices: list[str]) -> dict[str, Any]:
    typed = next((branch for branch in field.get("anyOf", ()) if branch.get("title") == TYPE), None)
    shared = {key: field[key] for key in ("title", "position", "default", CHOICES) if key in field}
    if choices and shared.get("default") == "":
        del shared["default"]  # which would open the tab to type in; without it, the empty text is all the same
    taken = {key: value for key, value in (typed or field).items() if key not in (*shared, "title", "anyOf")}
    if not choices:
        return {**shared, **taken}
    chosen: dict[str, Any] = {"type": "string", "enum": choices}
    if taken["type"] == "array":
        limits = {key: value for key, value in taken.items() if key in ("minItems", "maxItems")}
        chosen = {"type": "array", "items": chosen, **limits}
    else:
        # Either tab is shown alone: a list of files does not say what a file may be. Names to tick need no help.
        chosen |= {key: value for key, value in taken.items() if key == "description"}
    return {**shared, "anyOf": [{**chosen, "title": CHOOSE}, {**taken, "title": TYPE}]}


def choices_of(schema: Mapping[str, Any]) -> dict[str, list[str]]:
    """The lists that a schema offers now, by name."""
    found: dict[str, list[str]] = {}
    for fields in _all_fields(schema):
        for field in fields.values():
            chosen = next((branch for branch in field.get("anyOf", ()) if branch.get("title") == CHOOSE), None)
            if CHOICES in field and chosen is not None:
                found[field[CHOICES]] = list((chosen.get("items") or chosen)["enum"])
    return found
