"""Prefect's API at the installation of docs/deployment.md, asked with the password of the document."""

from typing import Any

from support.api import ask
from support.deployments import SPECS
from support.installation import PASSWORDS

ADMIN = ("admin", PASSWORDS["API_PASSWORD"])


class Api:
    """Prefect's API, as a client asks it."""

    def __init__(self, address: str) -> None:
        self.address = address

    def get(self, path: str) -> Any:
        return ask("GET", self.address + path, auth=ADMIN)

    def post(self, path: str, **body: Any) -> Any:
        return ask("POST", self.address + path, body, auth=ADMIN)

    def start(self, deployment: dict[str, Any], **parameters: Any) -> str:
        """Start a run, as the button Submit does; its ID."""
        values = {**deployment["parameters"], **parameters}
        path = f"/deployments/{deployment['id']}/create_flow_run"
        return str(self.post(path, parameters=values, state={"type": "SCHEDULED"})["id"])

    def limit(self, deployment: dict[str, Any], runs: int) -> None:
        """Let a deployment have so many runs at once, as a person sets it in the UI."""
        options = {"collision_strategy": "ENQUEUE"}
        body = {"concurrency_limit": runs, "concurrency_options": options}
        ask("PATCH", f"{self.address}/deployments/{deployment['id']}", body, auth=ADMIN)

    def log_of(self, run: str) -> str:
        """The log of a run."""
        return str(self.post("/logs/filter", logs={"flow_run_id": {"any_": [run]}}))

    def deployment(self, name: str) -> Any:
        return self.get(f"/deployments/name/{SPECS[name].full_name}")

    def taken_slots(self, deployment: dict[str, Any]) -> int:
        """How many runs of a deployment with a limit hold one of its slots."""
        return int(self.get(f"/v2/concurrency_limits/{deployment['global_concurrency_limit']['id']}")["active_slots"])
