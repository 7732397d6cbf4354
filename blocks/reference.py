"""Register block types, and load saved blocks, by name or as a run's parameters refer to them."""

import logging
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

import httpx
from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectHTTPStatusError
from pydantic import ValidationError

from reelflow.errors import InputError

log = logging.getLogger("reelflow.blocks")

B = TypeVar("B", bound=Block)
_CORRECT_IT = "Correct it in the UI under Blocks."


def register_block_type(kind: type[Block]) -> None:
    """Register a block's type and its schema; if the server knows them already, nothing happens.

    Prefect's client repeats a request that got no answer, or a 503. If the first attempt created the type, the
    second is refused, although the type is there.
    """
    try:
        kind.register_type_and_schema()
    except ObjectAlreadyExists:
        kind.register_type_and_schema()


def load_saved(kind: type[B], name: str) -> B | None:
    """The saved block of a kind, None if there is none of this name; Prefect's own does not say which field is wrong.

    Raises:
        InputError: a field of it is not valid.
    """
    return _load(kind, f"{kind._block_type_name} {name!r}", lambda: kind.load(name))


def saved_names(kind: type[Block]) -> list[str]:
    """The names of the saved blocks of a kind, sorted."""
    return sorted(saved_ids(kind))


def saved_ids(kind: type[Block]) -> dict[str, str]:
    """The ids of the saved blocks of a kind, by name."""
    with get_client(sync_client=True) as client:
        documents = client.read_block_documents(include_secrets=False)
    slug = kind.get_block_type_slug()
    return {d.name: str(d.id) for d in documents if d.name and d.block_type and d.block_type.slug == slug}


def read_values(block_id: UUID) -> dict[str, Any]:
    """The values of a saved block as they are now, its secrets too; none if the server does not tell them."""
    try:
        with get_client(sync_client=True) as client:
            return dict(client.read_block_document(block_id, include_secrets=True).data)
    except (httpx.HTTPError, ObjectNotFound, PrefectHTTPStatusError) as error:
        log.warning("The saved block could not be read: %s", type(error).__name__)
        return {}


def problems_of(kind: type[Block], error: ValidationError) -> str:
    """A sentence for each field of a block that is not valid, with its title in the block's form."""
    told = []
    for each in error.errors():
        name = str(each["loc"][0]) if each["loc"] else ""
        field = kind.model_fields.get(name)
        title = (field.title if field else None) or name
        words = each["msg"].removeprefix("Value error, ")
        words += "" if words.endswith((".", "?", "!")) else "."
        told.append(f"{title}: {words}" if title else words)
    return " ".join(told)


def _load(kind: type[B], what: str, load: Callable[[], Any]) -> B | None:
    try:
        found: B = load()
    except ValueError:  # Prefect's way to say that there is none
        return None
    except RuntimeError as error:
        if problems := _problems(kind, error):
            raise InputError(f"The block {what} is not valid. {problems}") from None
        raise
    return found


def _problems(kind: type[Block], error: RuntimeError) -> str:
    cause = error.__cause__
    return f"{problems_of(kind, cause)} {_CORRECT_IT}" if isinstance(cause, ValidationError) else ""


def unusable_parameters(error: Exception) -> str:
    """What keeps a run from using the block that its parameters name; Prefect says only that something does.

    Args:
        error: What Prefect raised for the parameters. Empty for one that is not about a block.
    """
    cause = error.__cause__
    if isinstance(cause, RuntimeError) and isinstance(cause.__cause__, ValidationError):
        kinds = {kind.__name__: kind for kind in Block.__subclasses__()}
        if kind := kinds.get(cause.__cause__.title):
            return f"The block {kind._block_type_name} of this run is not valid. {_problems(kind, cause)}"
    if isinstance(cause, ValueError) and not isinstance(cause, ValidationError):
        return "A block that this run uses no longer exists. Choose another in the form, and start a new run."
    return ""


def load_referred(kind: type[B], parameter: Any) -> B | None:
    """The block that a run's parameter refers to, by id or by slug; None if it refers to none.

    Hooks run in another process and get the parameters as they were stored. `Block.load_from_ref` accepts ids only, but
    the parameters of a schedule refer to the block by its slug.

    Raises:
        InputError: the block no longer exists, or a field of it is not valid.
    """
    ref = parameter.get("$ref") if isinstance(parameter, dict) else None
    if ref is None:
        return None
    title = kind._block_type_name
    if isinstance(ref, dict) and "block_document_slug" in ref:
        found = load_saved(kind, str(ref["block_document_slug"]).rpartition("/")[2])
    else:
        found = _load(kind, f"{title} of this run", lambda: kind.load_from_ref(ref))
    if found is None:
        raise InputError(f"The block {title} of this run no longer exists.")
    return found
