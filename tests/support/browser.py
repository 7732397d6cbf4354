"""What a person does in Prefect's UI, and what a Prefect server with our deployments tells of it."""

import contextlib
from collections.abc import Callable
from typing import Any

from support.api import ask
from support.deployments import SPECS
from support.waiting import until


class Deployed:
    """A Prefect server on which the flows are deployed."""

    @property
    def ui(self) -> str:
        """The address of its UI."""
        raise NotImplementedError

    def deployment(self, name: str) -> str:
        """The id of a flow's deployment."""
        body = {"deployments": {"name": {"any_": [SPECS[name].deployment]}}}
        return str(ask("POST", f"{self.ui}/api/deployments/filter", body)[0]["id"])

    def set_defaults(self, name: str, **parameters: Any) -> None:
        """Set the default values of a form, as a person does it with Edit in the UI."""
        path = f"{self.ui}/api/deployments/{self.deployment(name)}"
        ask("PATCH", path, parameters={**ask("GET", path)["parameters"], **parameters})

    def tags(self, name: str) -> list[str]:
        """The tags of a flow's deployment."""
        body = {"deployments": {"name": {"any_": [SPECS[name].deployment]}}}
        return list(ask("POST", f"{self.ui}/api/deployments/filter", body)[0]["tags"])

    def runs(self, name: str) -> list[dict[str, Any]]:
        """The runs of a deployment that were not made by its schedule, the newest first."""
        body = {"deployments": {"name": {"any_": [SPECS[name].deployment]}}, "sort": "START_TIME_DESC"}
        found: list[dict[str, Any]] = ask("POST", f"{self.ui}/api/flow_runs/filter", body)
        return [run for run in found if not run["auto_scheduled"]]

    def start(self, name: str, **parameters: Any) -> None:
        """Start a run of a deployment, with its default values but for these."""
        ask("POST", f"{self.ui}/api/deployments/{self.deployment(name)}/create_flow_run", state={"type": "SCHEDULED"},
            parameters=parameters)  # fmt: skip

    def block(self, name: str) -> str:
        """The id of a saved block."""
        (found,) = ask("POST", f"{self.ui}/api/block_documents/filter", block_documents={"name": {"any_": [name]}})
        return str(found["id"])

    def delete_block(self, name: str) -> None:
        """Delete a saved block, as a person does it in the UI."""
        ask("DELETE", f"{self.ui}/api/block_documents/{self.block(name)}")

    def artifacts(self) -> list[dict[str, Any]]:
        """Everything that runs have left to be looked at."""
        found: list[dict[str, Any]] = ask("POST", f"{self.ui}/api/artifacts/filter")
        return found

    def log_of(self, run: str) -> str:
        """The log of a run."""
        body = {"logs": {"flow_run_id": {"any_": [run]}}}
        return str(ask("POST", f"{self.ui}/api/logs/filter", body))


def submit(page: Any, is_taken: Callable[[], bool] | None = None, *, button: str = "Submit") -> None:
    """Click on Submit until the form is taken: a click that comes while the form still settles goes nowhere.

    Args:
        page: With the form.
        is_taken: Whether it was taken; by default, whether the page has moved on to the runs.
        button: The words on it.
    """
    answers: list[str] = []
    page.on("response", lambda r: answers.append(f"{r.status} {r.url}") if r.request.method == "POST" else None)
    page.on("requestfailed", lambda r: answers.append(f"{r.failure} {r.url}"))
    page.wait_for_timeout(1000)
    for _ in range(4):
        page.get_by_role("button", name=button).click()
        with contextlib.suppress(AssertionError):
            until("the form is taken", is_taken or (lambda: "tab=Runs" in page.evaluate("location.href")), seconds=15)
            return
    raise AssertionError(f"the form was not taken: {answers[-10:]}\n{page.locator('body').inner_text()}")
