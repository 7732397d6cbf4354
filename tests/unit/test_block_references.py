"""Which saved block a parameter's value refers to."""

from __future__ import annotations

from typing import Any

import pytest

from reelflow.block_references import saved_block

BY_SLUG = {"taisly-account/main": "id-1", "taisly-account/bakery": "id-2", "tikmatrix-host/main": "id-3"}
BY_NAME = {"main": "id-1", "bakery": "id-2"}


@pytest.mark.parametrize(
    ("value", "slug", "name"),
    [
        ({"$ref": {"block_document_id": "id-2"}}, "taisly-account/bakery", "bakery"),
        ({"$ref": {"block_document_slug": "taisly-account/bakery"}}, "taisly-account/bakery", "bakery"),
        ({"$ref": {"block_document_slug": "taisly-account/main"}}, "taisly-account/main", "main"),
        ({"$ref": {"block_document_id": "gone"}}, None, None),
        ({"$ref": {"block_document_slug": "taisly-account/gone"}}, None, None),
        ({"$ref": "#/definitions/anything"}, None, None),
        ({}, None, None),
        ("main", None, None),
        (None, None, None),
    ],
)
def test_a_value_refers_to_a_saved_block_by_id_or_slug(value: Any, slug: str | None, name: str | None) -> None:
    """The saved blocks are known by slug, or those of one kind by name."""
    assert saved_block(value, BY_SLUG) == slug
    assert saved_block(value, BY_NAME) == name
