"""docs/flows.md, made from the code: every flow with its form. ``make docs`` writes it; a test compares."""

from __future__ import annotations

import inspect
import sys
from typing import Any

from prefect.utilities.callables import parameter_schema

from deployments.plan import ROOT, planned

FILE = ROOT / "docs" / "flows.md"
_HEAD = """# Flows and their forms

Made from the code by `make docs`. Every flow is a deployment of the same name in `deployments/prefect.yaml`, and is
started from its form in the Prefect UI, by a schedule, or by another program through Prefect's API.

"""


def text() -> str:
    """The whole document."""
    parts = [_HEAD]
    schedules = {"*/5 * * * *": "every 5 minutes", "0 9 * * *": "each morning at 9", "7 * * * *": "every hour",
                 "0 8 * * 1": "Mondays at 8"}  # fmt: skip
    for each in planned():
        flow = each.load()
        doc = inspect.getdoc(flow.fn) or ""
        parts.append(f"## {each.name}\n\n{doc.partition('Args:')[0].strip()}\n\n")
        if each.schedules:
            when = ", ".join(schedules.get(s["cron"], s["cron"]) for s in each.schedules)
            parts.append(f"Schedule, off until you turn it on: {when}.\n\n")
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
        lines.append(f"`{name}`:\n\n| field | name in code | default | |\n|---|---|---|---|\n")
        fields = sorted(model["properties"].items(), key=lambda item: item[1].get("position", 0))
        lines += [_row(key, field, key in model.get("required", [])) for key, field in fields]
        lines.append("\n")
    return "".join(lines)


def _row(name: str, field: dict[str, Any], required: bool) -> str:
    default = "**needed**" if required else _default(field.get("default"))
    words = [_cell(field.get("description", ""))]
    items = field.get("items", {})
    if choices := field.get("enum") or items.get("enum"):
        words.append(f"One of {', '.join(map(str, choices))}.")
    low, high = field.get("minimum", field.get("exclusiveMinimum")), field.get("maximum")
    if low is not None and high is not None:
        words.append(f"{low:g} to {high:g}.")
    if "maxLength" in field:
        words.append(f"At most {field['maxLength']} characters.")
    return f"| {_cell(field['title'])} | `{name}` | {default} | {' '.join(filter(None, words))} |\n"


def _default(value: Any) -> str:
    if value in (None, "", []):
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    return ", ".join(map(str, value)) if isinstance(value, list) else f"{value}"


def _cell(words: str) -> str:
    return words.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    FILE.write_text(text(), "utf-8")
    print(f"wrote {FILE.relative_to(ROOT)}", file=sys.stderr)
