"""Every deployment of prefect.yaml is whole: Prefect deploys a flow whose import fails, and says "success"."""

import ast
import dataclasses
import runpy
import uuid
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from prefect.utilities.callables import parameter_schema

from blocks import TikMatrixHost
from deployments.local.up import example_forms
from deployments.preserve import GRACE_SECONDS
from deployments.setup.desired import FIRST_QUEUE, SetupOptions, desired_automations, desired_deployments
from deployments.spec import DEFAULT_QUEUE, DeploymentSpec, deployment_specs, spec_of
from reelflow.block_references import block_slug
from reelflow.errors import ReelflowError
from reelflow.fields import ADVANCED
from reelflow.phones.engagement import EngagementJob
from reelflow.phones.form import ManageForm, PhoneForm
from reelflow.sandbox.tikmatrix import ANNOUNCED
from reelflow.sandbox.tikmatrix import SCRIPTS as SANDBOX_SCRIPTS
from tasks.phones.other_pc import DEPLOYMENTS, deployment_on
from tasks.run_facts import TAG

ROOT = Path(__file__).parents[2]
SPECS = deployment_specs()
ALARMS = (ROOT / "docs" / "howto" / "alarms.md").read_text("utf-8")
BY_ITSELF = ("finish-open-posts", "finish-phone-tasks", "check-connections", "watch-runs", "show-week")
SENDING = ("publish-video", "publish-and-engage", "publish-campaign")
FIRST = ("finish-open-posts", "check-connections", "watch-runs", "show-week")
SCRIPTS = PhoneForm.__subclasses__()


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_a_deployment_is_whole(spec: DeploymentSpec) -> None:
    """Its flow loads and has its name; words, a tag, a version; only schedules that finish or read are on.

    What sends posts has no limit, everything else has; the upkeep of all posts goes first.
    """
    flow = spec.load()

    assert flow.name == spec.name
    assert bool(spec.number) is (spec.tags[1] != "upkeep")  # what people start comes first in the list
    assert spec.description.endswith(".")
    assert spec.version
    assert spec.tags[0] == TAG
    assert spec.tags[1:] in (("posts",), ("phones",), ("upkeep",), ("posts", "upkeep"))
    assert bool(spec.concurrency) is (spec.name not in SENDING)  # which is up to the worker of each machine
    assert spec.concurrency.get("collision_strategy", "ENQUEUE") in ("ENQUEUE", "CANCEL_NEW")
    is_skipped = spec.concurrency.get("collision_strategy") == "CANCEL_NEW"
    assert spec.concurrency.get("grace_period_seconds") == (GRACE_SECONDS if is_skipped else None)
    assert spec.queue == (FIRST_QUEUE if spec.name in FIRST else DEFAULT_QUEUE)
    assert spec.job_variables["stream_output"] is False
    assert set(spec.parameters) <= set(flow.parameters.properties)
    assert all(schedule["active"] is (spec.name in BY_ITSELF) and schedule["slug"] for schedule in spec.schedules)
    assert all("timezone" in schedule for schedule in spec.schedules)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_default_parameters_are_valid_forms(spec: DeploymentSpec) -> None:
    """What stands in prefect.yaml and what `reelflow up` fills in is what the flow takes; no secret in either."""
    hints = get_type_hints(spec.load().fn)
    for name, value in {**spec.parameters, **example_forms(Path("video.mp4")).get(spec.name, {})}.items():
        assert block_slug(value) or hints[name].model_validate(value)


def test_every_flow_that_a_person_starts_is_deployed() -> None:
    """And nothing else."""
    flows = {
        f"flows/{path.name}:{node.name}"
        for path in (ROOT / "flows").glob("*.py")
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef) and any("flow" in ast.dump(d) for d in node.decorator_list)
    }

    assert flows == {spec.entrypoint for spec in SPECS}


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_every_field_of_a_form_has_a_title_and_help(spec: DeploymentSpec) -> None:
    """And no type that needs JSON typed by hand: no untyped objects, no unions of models."""
    schema: Any = parameter_schema(spec.load()).model_dump()

    for definition in schema["definitions"].values():
        if "block_type_slug" in definition:
            continue
        fields = dict(definition.get("properties", {}))
        if folded := fields.pop(ADVANCED, None):
            nothing, change = folded["anyOf"]
            assert (nothing["title"], nothing["properties"], change["title"]) == ("Defaults", {}, "Change")
            fields |= change["properties"]
        for name, field in fields.items():
            assert field.get("title"), (spec.name, name)
            assert field.get("description"), (spec.name, name)
            assert field.get("type") != "object", (spec.name, name)
            assert "oneOf" not in field, (spec.name, name)
            assert len(field.get("anyOf", [])) in (0, 2), (spec.name, name)


def test_the_documents_of_flows_and_commands_are_those_of_the_code() -> None:
    """`make docs` writes them."""
    made = runpy.run_path(str(ROOT / "docs" / "make_reference.py"))

    assert made["FILE"].read_text("utf-8") == made["reference"]()
    assert made["COMMANDS"].read_text("utf-8") == made["commands"]()


@pytest.mark.parametrize(
    ("entrypoint", "words"),
    [("flows/nothing.py:x", "ModuleNotFoundError"), ("flows/publish.py:nothing", "AttributeError")],
)
def test_a_flow_that_cannot_be_loaded_is_said(entrypoint: str, words: str) -> None:
    """With its deployment; setup makes nothing of it."""
    broken = dataclasses.replace(SPECS[0], entrypoint=entrypoint)

    with pytest.raises(
        ReelflowError, match=f"Cannot load the flow {entrypoint} of the deployment publish-video .{words}"
    ):
        broken.load()


def test_every_automation_is_one_of_ours_and_sends_to_the_block_that_is_named() -> None:
    """automations.yaml is what Prefect takes; its names begin alike, so that they are found together in the UI."""
    block = uuid.uuid4()

    automations = desired_automations(str(block))

    assert f"creates the {len(automations)} automations" in " ".join(ALARMS.split())
    assert all(each.name.startswith("reelflow: ") and each.description.endswith(".") for each in automations)
    assert {action.block_document_id for each in automations for action in each.actions} == {block}


@pytest.mark.parametrize("job", EngagementJob)
@pytest.mark.parametrize("pc", ["main", "attic"])
def test_the_phones_part_finds_its_deployment_on_every_pc(pc: str, job: EngagementJob) -> None:
    """publish-and-engage starts it by its name, with the form as a parameter."""
    flow, _, parameter = DEPLOYMENTS[job]
    spec = spec_of(flow)

    made = desired_deployments(SetupOptions(phone_pcs=(pc,)), "main")

    assert deployment_on(pc, job) in {each.full_name for each in made}
    assert parameter in parameter_schema(spec.load()).model_dump()["properties"]


def test_the_documented_daily_limits_are_those_of_the_block() -> None:
    """docs/responsible-use.md tells people what they get if they set nothing."""
    text = (ROOT / "docs" / "responsible-use.md").read_text("utf-8")
    fields = TikMatrixHost.model_fields
    numbers = [fields[f"{what}_per_day"].default for what in ("warm_ups", "comments", "follows", "unfollows", "posts")]

    assert "({} warm-ups, {} comments, {} follows, {} unfollows and {} posts a day)".format(*numbers) in " ".join(
        text.split()
    )


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_the_readme_names_every_deployment(spec: DeploymentSpec) -> None:
    """In the table that tells people what there is."""
    assert f"`{spec.name}`" in (ROOT / "README.md").read_text("utf-8")


def test_every_script_has_one_form() -> None:
    """Those that TikMatrix runs, each once."""
    assert sorted(form.script_name for form in SCRIPTS) == sorted(SANDBOX_SCRIPTS)


@pytest.mark.parametrize("form", SCRIPTS, ids=lambda form: form.script_name)
def test_a_script_is_whole(form: type[PhoneForm]) -> None:
    """It has a daily limit, can be managed by hand, has a flow, and runs in the sandbox."""
    host = TikMatrixHost(phones=["A1"])
    flows = [get_type_hints(spec.load().fn).values() for spec in SPECS]

    assert host.guardrails.limits[form.script_name] > 0
    assert form.script_name in get_args(ManageForm.model_fields["script"].annotation)
    assert sum(form in hints for hints in flows) == 1
    assert form.script_name not in ANNOUNCED
