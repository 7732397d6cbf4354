"""Load the block that a run's parameters refer to."""

from typing import Any, TypeVar

from prefect.blocks.core import Block

from reelflow.errors import InputError

B = TypeVar("B", bound=Block)


def load_referred(kind: type[B], parameter: Any) -> B | None:
    """The block that a run's parameter refers to, by id or by slug; None if it refers to none.

    Hooks run in another process and get the parameters as they were stored. `Block.load_from_ref` accepts ids only, but
    the parameters of a schedule refer to the block by its slug.

    Raises:
        InputError: the block no longer exists.
    """
    ref = parameter.get("$ref") if isinstance(parameter, dict) else None
    if ref is None:
        return None
    try:
        if isinstance(ref, dict) and "block_document_slug" in ref:
            found: Any = kind.load(str(ref["block_document_slug"]).rpartition("/")[2])
        else:
            found = kind.load_from_ref(ref)
    except ValueError:
        raise InputError(f"The block {kind.get_block_type_slug()} of this run no longer exists.") from None
    return found  # type: ignore[no-any-return]
