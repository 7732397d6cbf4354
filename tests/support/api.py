"""Prefect's API, asked as its own clients do it: again, while the server's database is busy."""

import time
from typing import Any

import httpx

from support.deployments import SPECS

PATIENCE = 60.0


def ask(method: str, url: str, body: Any = None, /, auth: tuple[str, str] | None = None, **fields: Any) -> Any:
    """The answer of a Prefect server to `body`, or to an object of these fields; `auth` is its password, if any."""
    end = time.monotonic() + PATIENCE
    more = {"json": fields if body is None else body} if method in ("POST", "PATCH") else {}
    while True:
        answer = httpx.request(method, url, auth=auth, trust_env=False, timeout=30, **more)
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > end:
            break
        time.sleep(0.2)
    assert answer.is_success, (url, answer.text)
    return answer.json() if answer.content else None


class Api:
    """Prefect's API of one server, as a client asks it.

    Args:
        address: Its address, with `/api`.
        auth: Its user and password; None if it asks for none.
    """

    def __init__(self, address: str, auth: tuple[str, str] | None = None) -> None:
        self.address, self.auth = address, auth

    def get(self, path: str) -> Any:
        return ask("GET", self.address + path, auth=self.auth)

    def post(self, path: str, **body: Any) -> Any:
        return ask("POST", self.address + path, body, auth=self.auth)

    def delete(self, path: str) -> None:
        ask("DELETE", self.address + path, auth=self.auth)

    def patch(self, path: str, **body: Any) -> None:
        ask("PATCH", self.address + path, body, auth=self.auth)

    def start(self, deployment: dict[str, Any], **parameters: Any) -> str:
        """Start a run, as the button Submit does; its ID."""
        values = {**deployment["parameters"], **parameters}
        path = f"/deployments/{deployment['id']}/create_flow_run"
        return str(self.post(path, parameters=values, state={"type": "SCHEDULED"})["id"])

    def limit(self, deployment: dict[str, Any], runs: int) -> None:
        """Let a deployment have so many runs at once, as a person sets it in the UI."""
        options = {"collision_strategy": "ENQUEUE"}
        self.patch(f"/deployments/{deployment['id']}", concurrency_limit=runs, concurrency_options=options)

    def log_of(self, run: str) -> str:
        """The log of a run."""
        return str(self.post("/logs/filter", logs={"flow_run_id": {"any_": [run]}}))

    def deployment(self, name: str) -> Any:
        """The deployment of a flow, by its name in prefect.yaml."""
        return self.get(f"/deployments/name/{SPECS[name].full_name}")

    def taken_slots(self, deployment: dict[str, Any]) -> int:
        """How many runs of a deployment with a limit hold one of its slots."""
        return int(self.get(f"/v2/concurrency_limits/{deployment['global_concurrency_limit']['id']}")["active_slots"])
