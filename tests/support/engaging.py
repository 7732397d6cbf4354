"""The phones' part of posts: a post that is out with what its run had asked for, and deployments without a worker."""

import contextvars
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound

from blocks import TaislyAccount
from deployments.preserve import form_of
from flows.publish import publish_video
from reelflow.ledger.schema import destinations
from reelflow.phones.form import EngageForm
from reelflow.posts.form import PostForm
from reelflow.records.campaigns import caption_fingerprint
from reelflow.records.engagements import EngagedPost, Engagement, NewEngagement
from reelflow.records.post_states import PostState
from support.deployments import SPECS
from support.scheduled import execute
from tasks.ledger import open_ledger

SERIALS = [f"R58N{n:02d}SANDBOX" for n in range(1, 4)]
PHONES = [f"{SERIALS[0]}: ada.daily", f"{SERIALS[1]}: ben.daily, ben.pics (Instagram)"]
Clip = Callable[[str], Path]


def engage_form(**form: Any) -> EngageForm:
    return EngageForm(**({"devices": SERIALS[:2], "comments": ["first!"], "watch_minutes": 1} | form))


def publish_and_leave(
    taisly: TaislyAccount, clip: Clip, *, host: str = "engaging", more_accounts: Sequence[str] = (), **form: Any
) -> Engagement:
    """A post that is out, and what a run that died right after it had asked the phones to do."""
    accounts = ["TikTok @mara.bakes", "Instagram", *more_accounts]
    post = PostForm(video=str(clip("small.mp4")), accounts=accounts, watch_minutes=1)
    publish_video(taisly, post, return_state=True)
    ledger = open_ledger()
    ((send, _),) = ledger.recent_sends(0)
    new = NewEngagement(
        post=EngagedPost(send.service, send.sha256, caption_fingerprint(send.caption), send.scheduled_ms, send.repeat),
        account_ids=send.account_ids,
        form=engage_form(**form).model_dump(mode="json", exclude_defaults=True),
        file=send.file_name,
        host=host,
    )
    return ledger.ask_for_engagement(new, flow_run=send.flow_run)


@contextmanager
def deployed(spec: str, name: str, *, tags: Sequence[str] = (), **parameters: Any) -> Iterator[Any]:
    """A deployment ("flow/deployment") as setup makes it, without anybody who executes its runs, and with none before.

    `spec` is its name in prefect.yaml; `parameters` are those that its runs have by default. Without our tag in
    `tags`, what looks after all our runs leaves its runs alone, also in later tests.
    """
    flow: Any = SPECS[spec].load()
    with get_client(sync_client=True) as client:
        with suppress(ObjectNotFound):
            client.delete_deployment(client.read_deployment_by_name(name).id)
        made = client.create_deployment(
            client.create_flow(flow),
            name.partition("/")[2],
            parameters=parameters,
            parameter_openapi_schema=form_of(SPECS[spec], None, {}),
            enforce_parameter_schema=True,
            tags=list(tags),
        )
        yield made
        client.delete_deployment(made)


def saved(block: Any) -> dict[str, Any]:
    """What a parameter refers to a saved block with, as setup does."""
    return {"$ref": {"block_document_id": str(block._block_document_id)}}


def runs_of(deployment: Any) -> list[Any]:
    with get_client(sync_client=True) as client:
        wanted = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[deployment]))
        return client.read_flow_runs(flow_run_filter=wanted, sort=FlowRunSort.EXPECTED_START_TIME_ASC)


@contextmanager
def outcome_of(account_id: str, state: PostState) -> Iterator[None]:
    """Let a destination have another outcome meanwhile, without a link: that of a slow platform, or an unknown one."""
    mine = destinations.c.account_id == account_id

    def put(values: dict[str, Any]) -> None:
        with open_ledger().transaction() as connection:
            connection.execute(destinations.update().where(mine).values(values))

    with open_ledger().transaction() as connection:
        row = connection.execute(destinations.select().where(mine)).one()
    put({"state": state, "link": None})
    yield
    put({"state": row.state, "link": row.link})


@contextmanager
def worked_on(deployment: Any, flow: Any) -> Iterator[None]:
    """The runs of a deployment are executed meanwhile, as a worker does it."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(0.1):
            for run in runs_of(deployment):
                if run.state.is_scheduled():
                    execute(flow, run, run.parameters)

    worker = threading.Thread(target=contextvars.copy_context().run, args=[work])  # it asks the same server
    worker.start()
    try:
        yield
    finally:
        ended.set()
        worker.join(60)


def on_record() -> Engagement:
    """The only engagement there is."""
    (found,) = open_ledger().engagements()
    return found
