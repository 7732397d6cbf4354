"""How the sandbox's Taisly lists its posts: plainly, or in one of the ways in which a history can mislead.

What a real history does to a caption, when it shows a new post and which fields it has is not documented, so a test
can order each of them.
"""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import Any

CAPTIONS = ("whole", "trimmed", "crlf", "escaped", "cut", "added", "none")
SPELLINGS = ("date_is_scheduled", "scheduled_is_flag", "platform_names", "other_ids")
"""Other ways to write the fields of an item."""
FIELDS = ("result", "platforms", "date", "description", "scheduled")
CUT_AT = 24
"""Characters of a caption that is shown cut."""
ODD_ENTRIES: tuple[Any, ...] = (
    None,
    "post",
    {"description": "no id"},
    {"id": None, "result": [None]},
    {"id": "odd-1", "result": [None, {"platform": None, "status": None}]},
    {"id": "odd-2", "description": {"text": "hi"}, "platforms": "all", "date": "yesterday", "result": "none"},
)
"""What no history should have."""


@dataclass
class HistoryStyle:
    """How the history shows posts.

    Attributes:
        stale_seconds: A post is shown only when it is that old.
        caption: One of `CAPTIONS`.
        without: Fields of `FIELDS` that items lack.
        odd_entries: Whether entries that cannot be read stand among the posts.
        spelling: Of `SPELLINGS`.
        ignores_range: Whether a range of time is not understood: the newest ten posts are shown instead.
    """

    stale_seconds: float = 0.0
    caption: str = "whole"
    without: list[str] = field(default_factory=list)
    odd_entries: bool = False
    spelling: list[str] = field(default_factory=list)
    ignores_range: bool = False

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> HistoryStyle:
        """Read an order; what it does not name is as usual.

        Raises:
            ValueError: Something is wrong with it; the message says what.
        """
        if unknown := set(body) - set(cls.__dataclass_fields__):
            raise ValueError(f"Unknown field: {', '.join(sorted(unknown))}.")
        style = cls(**body)
        if style.caption not in CAPTIONS:
            raise ValueError(f"'caption' must be one of {', '.join(CAPTIONS)}.")
        if not isinstance(style.without, list) or not set(style.without) <= set(FIELDS):
            raise ValueError(f"'without' must be a list of {', '.join(FIELDS)}.")
        if not isinstance(style.spelling, list) or not set(style.spelling) <= set(SPELLINGS):
            raise ValueError(f"'spelling' must be a list of {', '.join(SPELLINGS)}.")
        if isinstance(style.stale_seconds, bool) or not isinstance(style.stale_seconds, int | float):
            raise ValueError("'stale_seconds' must be a number.")  # noqa: TRY004 - what the caller catches
        return style

    def shows(self, created: float, now: float) -> bool:
        """Whether a post is shown yet; both in Unix seconds."""
        return now - created >= self.stale_seconds

    def listed(self, items: list[dict[str, Any]]) -> list[Any]:
        """The items as this history shows them."""
        shown: list[Any] = [
            {name: value for name, value in self._spelled(item).items() if name not in self.without} for item in items
        ]
        return [*ODD_ENTRIES, *shown] if self.odd_entries else shown

    def _spelled(self, item: dict[str, Any]) -> dict[str, Any]:
        spelled = {**item, **self._caption(item)}
        if "date_is_scheduled" in self.spelling:
            spelled["date"] = item["scheduled"] or item["date"]
        if "scheduled_is_flag" in self.spelling:
            spelled["scheduled"] = item["scheduled"] is not None
        if "platform_names" in self.spelling:
            spelled["platforms"] = [result["platform"] for result in item["result"]]
        if "other_ids" in self.spelling:
            spelled["platforms"] = [f"73{n}" for n, _ in enumerate(item["platforms"])]
            spelled["result"] = [{**result, "platformId": f"73{n}"} for n, result in enumerate(item["result"])]
        return spelled

    def _caption(self, item: dict[str, Any]) -> dict[str, str]:
        text = item["description"]
        styles = {
            "trimmed": " ".join(text.split()),
            "crlf": text.replace("\n", "\r\n") + "\r\n",
            "escaped": html.escape(text).replace("\n", "\\n"),
            "cut": text if len(text) <= CUT_AT else text[:CUT_AT] + "…",
            "added": f"{text}\n\nPosted with Taisly",
            "none": "",
        }
        return {"description": styles.get(self.caption, text)}
