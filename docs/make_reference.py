"""Make docs/flows.md and docs/commands.md, every form and every command, from the code: ``make docs``.

A test compares.
"""

from __future__ import annotations

import inspect
import sys
from typing import Any

from prefect.utilities.callables import parameter_schema

from deployments.cli import app
from deployments.spec import ROOT, deployment_specs
from reelflow.fields import ADVANCED

FILE = ROOT / "docs" / "flows.md"
COMMANDS = ROOT / "docs" / "commands.md"
_HEAD = """# Flows and their forms

Generated from the code by `make docs`. Every flow is a deployment of the same name in `prefect.yaml`. Start
it from its form in the Prefect UI, by a schedule, or through Prefect's API.

"""
_SCHEDULES = {
    "*/5 * * * *": "every 5 minutes",
    "*/10 * * * *": "every 10 minutes",
    "0 9 * * *": "each morning at 9",
    "20 3 * * 0": "each Sunday at 3:20",
    "7 * * * *": "every hour",
    "37 * * * *": "every hour",
}
"""Every schedule of prefect.yaml in words; a cron expression says nothing to most people."""


_COMMANDS_HEAD = """# Commands

Generated from the code by `make docs`. `reelflow COMMAND --help` shows the same. How they end and what they print:
[operations.md](operations.md#the-command-line).

"""


def commands() -> str:
    """The whole document about the commands, in the words of their help."""
    before, sys.argv = sys.argv, ["reelflow"]  # cyclopts names some commands after the running program
    try:
        text = app.generate_docs(output_format="markdown")
    finally:
        sys.argv = before
    _, _, parts = text.partition("\n## reelflow ")  # before it: a table of contents that the help has, too
    lines = (line.rstrip() for line in f"## reelflow {parts}".splitlines())
    return _COMMANDS_HEAD + "\n".join(lines).rstrip() + "\n"


def reference() -> str:
    """The whole document about the flows."""
    parts = [_HEAD]
    for spec in deployment_specs():
        flow = spec.load()
        doc = inspect.getdoc(flow.fn) or ""
        parts.append(f"## {spec.name}\n\n{doc.partition('Args:')[0].strip()}\n\n")
        if spec.schedules:
            when = ", ".join(_SCHEDULES[s["cron"]] for s in spec.schedules)
            paused = "" if all(s["active"] for s in spec.schedules) else ", created paused"
            parts.append(f"Schedule{paused}: {when}.\n\n")
        parts.append(_form(parameter_schema(flow).model_dump()))
    return "".join(parts).rstrip() + "\n"


def _form(schema: dict[str, Any]) -> str:
    definitions, lines = schema["definitions"], []
    for name, parameter in schema["properties"].items():
        refs = [parameter, *parameter.get("allOf", []), *parameter.get("anyOf", [])]
        found = next((str(r["$ref"]).rpartition("/")[2] for r in refs if "$ref" in r), None)
        model = definitions.get(found, {})
        if "block_type_slug" in model or found is None:
            lines.append(f"`{name}`: a saved block. {parameter.get('description', '')}\n\n")
            continue
        fields = dict(model["properties"])
        advanced = fields.pop(ADVANCED, None)
        lines += [f"`{name}`:\n\n", *_table(fields, model.get("required", []))]
        if advanced is not None:
            lines += ["Under *Advanced*:\n\n", *_table(advanced["anyOf"][1]["properties"], [])]
    return "".join(lines)


def _table(fields: dict[str, Any], required: list[str]) -> list[str]:
    ordered = sorted(fields.items(), key=lambda item: item[1].get("position", 0))
    rows = [_row(key, field, key in required) for key, field in ordered]
    return ["| field | name in code | default | |\n|---|---|---|---|\n", *rows, "\n"]


def _row(name: str, field: dict[str, Any], required: bool) -> str:
    default = "**required**" if required else _default(field.get("default"))
    notes = [_cell(field.get("description", ""))]
    items = field.get("items", {})
    if choices := field.get("enum") or items.get("enum"):
        notes.append(f"One of {', '.join(f'*{choice}*' for choice in choices)}.")
    low, high = field.get("minimum", field.get("exclusiveMinimum")), field.get("maximum")
    if low is not None and high is not None:
        notes.append(f"{low:g} to {high:g}.")
    if "maxLength" in field:
        notes.append(f"At most {field['maxLength']} characters.")
    return f"| {_cell(field['title'])} | `{name}` | {default} | {' '.join(filter(None, notes))} |\n"


def _default(value: Any) -> str:
    if value in (None, "", [], {}):  # {}: the first tab of a field that may be nothing
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    return ", ".join(map(str, value)) if isinstance(value, list) else f"{value}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    FILE.write_text(reference(), "utf-8")
    COMMANDS.write_text(commands(), "utf-8")
    print(f"Wrote {FILE.relative_to(ROOT)} and {COMMANDS.relative_to(ROOT)}.", file=sys.stderr)
