"""The saved blocks that have an API key, and the runs that use them."""

from typing import Any, NamedTuple
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import BlockDocumentUpdate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import BlockDocument, FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.runtime import flow_run
from prefect.settings import PREFECT_UI_URL

from blocks import TaislyAccount
from reelflow.addresses import same_address
from reelflow.errors import InputError, OutcomeUnknown
from reelflow.ledger import key_fingerprint
from reelflow.taisly.client import BASE_URL
from tasks.prefect_server import asking_prefect

PAGE = 200
"""As many runs as the server lists at once."""
SLUG = TaislyAccount.get_block_type_slug()


class KeyUse(NamedTuple):
    """Who uses the key of a block.

    Attributes:
        blocks: Names of the saved blocks that have it, the run's own first.
        runs: Names of the runs at work with one of them.
    """

    blocks: list[str]
    runs: list[str]


class KeyBlocks:
    """The saved block of a run, and the others with the same key at the same address.

    Only the key of a block is ever changed, on the server, so nobody's change of another field is lost.

    Args:
        taisly: The block, as the run got it.

    Raises:
        InputError: it is not a saved one, so there is nowhere to save a new key.
    """

    def __init__(self, taisly: TaislyAccount) -> None:
        if taisly._block_document_id is None or not taisly._block_document_name:
            raise InputError(
                "This run has a Taisly account that is not a saved block. Nothing was changed. Choose one."
            )
        self.block_id: UUID = taisly._block_document_id
        self.name: str = taisly._block_document_name
        self._service = taisly.service

    @property
    def where(self) -> str:
        """The block, and where people find it."""
        ui = PREFECT_UI_URL.value()
        return f"the block {self.name!r}" + (f" ({ui}/blocks/block/{self.block_id})" if ui else "")

    def read(self) -> str:
        """The key that the block has now."""
        with asking_prefect(), get_client(sync_client=True) as client:
            return _key_of(client.read_block_document(self.block_id))

    def rewrite(self) -> None:
        """Save the block as it is, and read it back.

        Raises:
            ServiceError: the Prefect server does not save it.
        """
        with asking_prefect(), get_client(sync_client=True) as client:
            before = client.read_block_document(self.block_id)
            _save(client, before, _key_of(before))
            if client.read_block_document(self.block_id).data != before.data:
                raise OutcomeUnknown(f"{self.where} was changed by somebody else just now. Run this again.")

    def replace(self, old: str, new: str) -> list[str]:
        """Put the key `new` into the block, and into each with the key of the fingerprint `old`; the names of all.

        The own block gets it whatever it has: a key that works is the only one that does.

        Raises:
            ServiceError: the Prefect server does not save them all. Doing it again is safe.
        """
        with asking_prefect(), get_client(sync_client=True) as client:
            for document in self._documents(client, {old, self._fingerprint(new)}):
                if _key_of(document) != new:
                    _save(client, document, new)
            return self._names(self._documents(client, {self._fingerprint(new)}))

    def use(self) -> KeyUse:
        """Who uses the key now."""
        with asking_prefect(), get_client(sync_client=True) as client:
            own = self._fingerprint(_key_of(client.read_block_document(self.block_id)))
            documents = self._documents(client, {own})
            return KeyUse(self._names(documents), _running_with(client, documents))

    def _documents(self, client: SyncPrefectClient, fingerprints: set[str]) -> list[BlockDocument]:
        """The own block, then the others with a key of one of the fingerprints at the same Taisly."""
        found = client.read_block_documents_by_type(SLUG, include_secrets=True)
        own = [document for document in found if document.id == self.block_id]
        others = [
            document
            for document in found
            if document.id != self.block_id
            and same_address(str(document.data.get("base_url") or BASE_URL)) == self._service
            and self._fingerprint(_key_of(document)) in fingerprints
        ]
        return own + others

    def _names(self, documents: list[BlockDocument]) -> list[str]:
        return [str(document.name) for document in documents]

    def _fingerprint(self, key: str) -> str:
        return key_fingerprint(key.strip(), self._service)


def _key_of(document: BlockDocument) -> str:
    return str(document.data.get("api_key") or "")


def _save(client: SyncPrefectClient, document: BlockDocument, key: str) -> None:
    client.update_block_document(document.id, BlockDocumentUpdate(data={"api_key": key}))


def _running_with(client: SyncPrefectClient, documents: list[BlockDocument]) -> list[str]:
    """The names of the other runs at work whose parameters refer to one of the blocks."""
    is_running = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.PAUSED]))
    runs, read = dict[UUID, FlowRun](), 0
    while page := client.read_flow_runs(
        flow_run_filter=FlowRunFilter(state=is_running), limit=PAGE, offset=read, sort=FlowRunSort.ID_DESC
    ):
        read += len(page)
        runs |= {run.id: run for run in page}
    ids = {str(document.id) for document in documents}
    slugs = {f"{SLUG}/{document.name}" for document in documents}
    return [
        str(run.name)
        for run in runs.values()
        if str(run.id) != str(flow_run.id) and _refers(run.parameters, ids | slugs)
    ]


def _refers(value: Any, wanted: set[str]) -> bool:
    """Whether parameters, or anything within them, refer to a block by its ID or its slug."""
    if isinstance(value, list):
        return any(_refers(each, wanted) for each in value)
    if not isinstance(value, dict):
        return False
    ref = value.get("$ref")
    named = ref.values() if isinstance(ref, dict) else [ref]
    return any(str(name) in wanted for name in named) or any(_refers(each, wanted) for each in value.values())
