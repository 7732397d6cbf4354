"""How a parameter's value refers to a saved block: by its id, or by its slug, such as "taisly-account/main"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def block_reference(value: Any) -> dict[str, Any] | None:
    """The reference to a block in a parameter's value: {"block_document_id": …} or {"block_document_slug": …}."""
    reference = value.get("$ref") if isinstance(value, dict) else None
    return reference if isinstance(reference, dict) else None


def block_slug(value: Any) -> str | None:
    """The slug in a parameter's value, if it refers to a block by slug."""
    reference = block_reference(value) or {}
    return str(reference["block_document_slug"]) if "block_document_slug" in reference else None


def saved_block(value: Any, ids: Mapping[str, str]) -> str | None:
    """Which of the saved blocks a parameter's value refers to; None if it is none of them.

    Args:
        value: The parameter's value.
        ids: The ids of the saved blocks by slug; or by name, if all are of one kind.

    Returns:
        The slug or the name, as in `ids`.
    """
    id_, slug = (block_reference(value) or {}).get("block_document_id"), block_slug(value) or ""
    return next((name for name, saved in ids.items() if saved == id_ or name in (slug, slug.rpartition("/")[2])), None)
