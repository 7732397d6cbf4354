"""A Prefect server with our deployments, as a person uses it."""

from typing import Any

from support.api import Api
from support.deployments import SPECS


class DeployedServer:
    """A Prefect server on which the flows are deployed, and what a person does there."""

    @property
    def ui(self) -> str:
        """The address of its UI."""
        raise NotImplementedError

    @property
    def api(self) -> Api:
        """Its API, which asks for no password."""
        return Api(f"{self.ui}/api")

    def deployment_id(self, name: str) -> str:
        """The ID of a flow's deployment."""
        return str(self.api.deployment(name)["id"])

    def tags(self, name: str) -> list[str]:
        """The tags of a flow's deployment."""
        return list(self.api.deployment(name)["tags"])

    def set_defaults(self, name: str, **parameters: Any) -> None:
        """Set the default values of a form, as a person does it with Edit in the UI."""
        found = self.api.deployment(name)
        self.api.patch(f"/deployments/{found['id']}", parameters={**found["parameters"], **parameters})

    def runs(self, name: str) -> list[dict[str, Any]]:
        """The runs of a deployment that were not made by its schedule, the newest first."""
        wanted = {"name": {"any_": [SPECS[name].deployment]}}
        found: list[dict[str, Any]] = self.api.post("/flow_runs/filter", deployments=wanted, sort="START_TIME_DESC")
        return [run for run in found if not run["auto_scheduled"]]

    def start(self, name: str, **parameters: Any) -> None:
        """Start a run of a deployment, with its default values but for these."""
        self.api.start(self.api.deployment(name), **parameters)

    def block_id(self, name: str) -> str:
        """The ID of a saved block."""
        (found,) = self.api.post("/block_documents/filter", block_documents={"name": {"any_": [name]}})
        return str(found["id"])

    def delete_block(self, name: str) -> None:
        """Delete a saved block, as a person does it in the UI."""
        self.api.delete(f"/block_documents/{self.block_id(name)}")

    def artifacts(self) -> list[dict[str, Any]]:
        """Everything that runs have left to be looked at."""
        found: list[dict[str, Any]] = self.api.post("/artifacts/filter")
        return found
