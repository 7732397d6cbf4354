"""The lists of the forms on a real Prefect server."""

from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentUpdate
from support.deployments import SPECS

from tasks.choices import ChoiceReader, refresh_choices


def _deployed(client: SyncPrefectClient, **parameters: Any) -> Any:
    """publish-and-engage as Prefect's own command deploys it."""
    flow = SPECS["publish-and-engage"].load()
    schema = flow.parameters.model_dump()
    made = client.create_deployment(
        client.create_flow(flow), "choices", parameters=parameters, parameter_openapi_schema=schema
    )
    return client.read_deployment(made)


def test_a_form_whose_default_is_null_is_refreshed(client: SyncPrefectClient, tmp_path: Any) -> None:
    """The new form has no null for a block that need not be chosen; the server would refuse both together."""
    (tmp_path / "bread.mp4").touch()
    deployment = _deployed(client, host=None, engage={"comments": ["Lovely!"]})

    changed = refresh_choices(client, [deployment], ChoiceReader(lambda taisly: [], str(tmp_path)))

    after = client.read_deployment(deployment.id)
    assert changed == ["choices"]
    assert after.parameters == {"engage": {"comments": ["Lovely!"]}}
    assert "bread.mp4" in str(after.parameter_openapi_schema)


def test_defaults_that_a_person_changes_during_a_refresh_stay(client: SyncPrefectClient, tmp_path: Any) -> None:
    """Only the form is written."""
    (tmp_path / "bread.mp4").touch()
    read_before = _deployed(client, engage={"comments": ["Lovely!"]})
    persons = {"engage": {"comments": ["Great!"]}}
    client.update_deployment(read_before.id, DeploymentUpdate(parameters=persons))

    refresh_choices(client, [read_before], ChoiceReader(lambda taisly: [], str(tmp_path)))

    assert client.read_deployment(read_before.id).parameters == persons
