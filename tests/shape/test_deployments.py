"""Every deployment of prefect.yaml is whole: Prefect deploys a flow whose import fails, and says "success"."""

import ast
import dataclasses
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from prefect.utilities.callables import parameter_schema

from deployments import reference
from deployments.plan import Planned, planned, slug_of
from deployments.up_serve import forms
from reelflow.errors import ReelflowError

ROOT = Path(__file__).parents[2]
PLANNED = planned()


@pytest.mark.parametrize("each", PLANNED, ids=lambda p: p.name)
def test_a_deployment_is_whole(each: Planned) -> None:
    """Its flow loads and has its name; it has words for people, a tag, a version, a limit; its schedules are off."""
    flow = each.load()

    assert flow.name == each.name
    assert each.description.endswith(".")
    assert each.version
    assert each.tags[0] == "reelflow"
    assert each.tags[1:] in (("posts",), ("phones",), ("upkeep",))
    assert each.concurrency["collision_strategy"] in ("ENQUEUE", "CANCEL_NEW")
    assert each.job_variables["stream_output"] is False
    assert set(each.parameters) <= set(flow.parameters.properties)
    assert all(schedule["active"] is False and schedule["slug"] for schedule in each.schedules)
    assert all("timezone" in schedule for schedule in each.schedules)


@pytest.mark.parametrize("each", PLANNED, ids=lambda p: p.name)
def test_default_parameters_are_valid_forms(each: Planned) -> None:
    """What stands in prefect.yaml and what `reelflow up` fills in is what the flow takes; no secret in either."""
    hints = get_type_hints(each.load().fn)
    for name, value in {**each.parameters, **forms(Path("video.mp4")).get(each.name, {})}.items():
        assert slug_of(value) or hints[name].model_validate(value)


def test_every_flow_that_a_person_starts_is_deployed() -> None:
    """And nothing else."""
    flows = {
        f"flows/{path.name}:{node.name}"
        for path in (ROOT / "flows").glob("*.py")
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef) and any("flow" in ast.dump(d) for d in node.decorator_list)
    }

    assert flows == {each.entrypoint for each in PLANNED}


@pytest.mark.parametrize("each", PLANNED, ids=lambda p: p.name)
def test_every_field_of_a_form_has_a_title_and_help(each: Planned) -> None:
    """And no type that needs JSON typed by hand: no untyped objects, no unions of models."""
    schema: Any = parameter_schema(each.load()).model_dump()

    for definition in schema["definitions"].values():
        if "block_type_slug" in definition:
            continue
        for name, field in definition.get("properties", {}).items():
            assert field.get("title"), (each.name, name)
            assert field.get("description"), (each.name, name)
            assert field.get("type") != "object", (each.name, name)
            assert "oneOf" not in field, (each.name, name)
            assert len(field.get("anyOf", [])) in (0, 2), (each.name, name)


def test_the_document_of_the_flows_is_that_of_the_code() -> None:
    """`make docs` writes it."""
    assert reference.FILE.read_text("utf-8") == reference.text()


@pytest.mark.parametrize(
    ("entrypoint", "words"),
    [("flows/nothing.py:x", "ModuleNotFoundError"), ("flows/publish.py:nothing", "AttributeError")],
)
def test_a_flow_that_cannot_be_loaded_is_said(entrypoint: str, words: str) -> None:
    """With its deployment; setup makes nothing of it."""
    broken = dataclasses.replace(PLANNED[0], entrypoint=entrypoint)

    with pytest.raises(ReelflowError, match=f"{entrypoint} of the deployment publish-video cannot be loaded .{words}"):
        broken.load()
