"""Names of runs, with the client in front where that needs a name."""

from prefect.runtime import flow_run

from blocks import TaislyAccount
from reelflow.records.clients import for_client


def name_for_client(name: str) -> str:
    """The name of this run with its client: "bakery: week-48"."""
    taisly = flow_run.parameters.get("taisly")
    client = taisly.client if isinstance(taisly, TaislyAccount) else ""
    return for_client(client, name.replace(f"{client}: ", "") if client else name)
