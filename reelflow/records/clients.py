"""Clients: whose Taisly account a post goes through, known by the name of the saved block."""

from __future__ import annotations

USUAL = ("", "main", "sandbox")
"""Names that say nothing to people: of a block that was not saved, of setup's own, and of the one of `reelflow up`."""


def shown_client(name: str) -> str:
    """The name of a client as people are told it; empty for the usual one, which needs no name."""
    return "" if name in USUAL else name


def for_client(name: str, words: str) -> str:
    """Words about something of a client, with its name in front: "bakery: TikTok @mara.bakes"."""
    return f"{shown}: {words}" if (shown := shown_client(name)) else words
