"""Taisly's JSON as pydantic models.

The published pages name some fields and omit others; clients seen in public disagree on a few. So every
model takes the spellings that were seen, ignores what is new, and keeps a value it does not know instead of
failing on it.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AliasChoices, AliasPath, FailFast, Field, field_validator, model_validator

from reelflow.wire_types import Id, Shown, Wire, is_name
from reelflow.wording import one_line

log = logging.getLogger(__name__)

LONGEST_LINK = 2000
"""Characters; the limit of most browsers."""


class Status(StrEnum):
    """The outcome of one platform of one post. Everything but SUCCESS and FAILED is still open."""

    PENDING = "PENDING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"


class KeyInfo(Wire):
    """What GET ``/user/api-key`` tells about a key. No field is documented: what is not known is not shown.

    The key itself, of which the answer may have a part, is never read.
    """

    plan: Shown = Field("", validation_alias=AliasChoices("plan", "planName"))
    active: bool | None = Field(None, validation_alias=AliasChoices("active", "isActive"))
    created: datetime | None = Field(None, validation_alias=AliasChoices("createdAt", "created"))
    last_used: datetime | None = Field(None, validation_alias=AliasChoices("lastUsedAt", "lastUsed"))

    @field_validator("plan", mode="before")
    @classmethod
    def _plan_text(cls, value: Any) -> Any:
        return value if isinstance(value, str) else ""

    @field_validator("active", mode="before")
    @classmethod
    def _yes_or_no(cls, value: Any) -> Any:
        return value if isinstance(value, bool) else None

    @field_validator("created", "last_used", mode="before")
    @classmethod
    def _when(cls, value: Any) -> datetime | None:
        return value if isinstance(value, datetime) else _moment(value)


class ConnectedAccount(Wire):
    """One entry of GET ``/platform/platforms``: a platform account connected in Taisly."""

    id: Id = Field(validation_alias=AliasChoices("id", "_id"))
    platform: Shown = Field(validation_alias=AliasChoices("platform", "identifier"))
    display_name: Shown = Field("", validation_alias=AliasChoices("displayName", "username", "name"))

    @model_validator(mode="before")
    @classmethod
    def _told_fields(cls, value: Any) -> Any:
        return _told(value)


class PlatformResult(Wire):
    """What one platform made of a post. `raw_status` keeps a value that is not documented."""

    platform: Shown = Field("", validation_alias=AliasChoices("platform", "identifier"))
    platform_id: str | None = Field(None, validation_alias=AliasChoices("platformId", "accountId"))
    raw_status: Shown = Field("PENDING", validation_alias="status")
    reason: Shown | None = Field(
        None, validation_alias=AliasChoices("error", "reason", "message", "detailMessage", "failReason")
    )
    link: str | None = Field(None, validation_alias=AliasChoices("url", "link", "postUrl", "permalink"))

    @model_validator(mode="before")
    @classmethod
    def _flatten(cls, value: Any) -> Any:
        # "platform" may be a name or an object that has the name and the id.
        value = _told(value)
        if isinstance(value, dict) and isinstance(inner := value.get("platform"), dict):
            value = {**value, "platform": inner.get("platform") or inner.get("identifier") or ""}
            value.setdefault("platformId", inner.get("id") or inner.get("_id"))
        return value

    @field_validator("platform", mode="before")
    @classmethod
    def _name_only(cls, value: Any) -> Any:
        return value if isinstance(value, str | int) else ""

    @field_validator("platform_id", mode="before")
    @classmethod
    def _id_only(cls, value: Any) -> Any:
        return value if is_name(value) else None

    @field_validator("reason", mode="before")
    @classmethod
    def _text_only(cls, value: Any) -> Any:
        return value if isinstance(value, str) else None

    @field_validator("link", mode="before")
    @classmethod
    def _whole_link(cls, value: Any) -> Any:
        # Part of an address leads nowhere, so an odd one counts as none.
        address = value.strip() if isinstance(value, str) else ""
        return address if len(address) <= LONGEST_LINK and address.isprintable() else None

    @field_validator("raw_status", mode="before")
    @classmethod
    def _status_text(cls, value: Any) -> Any:
        return value if isinstance(value, str | int) else repr(value)

    @property
    def status(self) -> Status:
        """The documented status; an unknown one counts as not finished."""
        try:
            return Status(self.raw_status.strip().upper())
        except ValueError:
            log.warning("Taisly reports a status that is not documented: %r; taken as not finished", self.raw_status)
            return Status.PENDING


def _told(value: Any) -> Any:
    """An object without its nulls, which say no more than a field that is missing."""
    return {k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else value


def _moment(value: Any) -> datetime | None:
    """A time as Taisly may write it: Unix ms (or s), as number or text, or ISO 8601; None if it is none."""
    if value in (None, "", 0) or isinstance(value, bool):  # "scheduled" may say no more than that it is
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = None
    try:
        if number is not None:
            return datetime.fromtimestamp(number / 1000 if number > 1e11 else number, UTC)
        moment = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError):
        log.warning("Taisly sent a time that cannot be read: %r", one_line(str(value)))
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class AcceptedPost(Wire):
    """The answer to POST ``/post``. It means accepted, not published."""

    history_id: Id = Field(
        validation_alias=AliasChoices(
            "historyId",
            "id",
            AliasPath("data", "historyId"),
            AliasPath("data", "id"),
            AliasPath("data", "_id"),
            "_id",
        ),
        min_length=1,
    )


class HistoryItem(Wire):
    """One post in the history. Documented are `id` and `result`; the rest is read where it is there.

    An entry without an id, or that is no object at all, becomes an item with an empty id: nothing can be done with it,
    but it may be the very post that is looked for.
    """

    id: str = Field("", validation_alias=AliasChoices("id", "_id", "historyId"))
    result: Annotated[list[PlatformResult], FailFast()] = Field(default_factory=list)
    caption: str | None = Field(None, validation_alias=AliasChoices("description", "caption", "text"))
    account_ids: tuple[str, ...] = Field((), validation_alias=AliasChoices("platforms", "platformIds"))
    created: datetime | None = Field(None, validation_alias=AliasChoices("date", "createdAt", "created"))
    scheduled: datetime | None = None

    @model_validator(mode="before")
    @classmethod
    def _any_entry(cls, value: Any) -> Any:
        return _told(value) if isinstance(value, dict | cls) else {}

    @field_validator("id", mode="before")
    @classmethod
    def _id_text(cls, value: Any) -> Any:
        return value if is_name(value) else ""

    @field_validator("caption", mode="before")
    @classmethod
    def _caption_text(cls, value: Any) -> Any:
        return value if isinstance(value, str) else None

    @field_validator("created", "scheduled", mode="before")
    @classmethod
    def _when(cls, value: Any) -> datetime | None:
        return value if isinstance(value, datetime) else _moment(value)

    @field_validator("account_ids", mode="before")
    @classmethod
    def _ids(cls, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list | tuple):
            return ()
        found = (v.get("id") or v.get("_id") if isinstance(v, dict) else v for v in value)
        return tuple(str(v) for v in found if v is not None)

    @field_validator("result", mode="before")
    @classmethod
    def _list(cls, value: Any) -> Any:
        return [each for each in value if isinstance(each, dict | PlatformResult)] if isinstance(value, list) else []


class RepostRule(Wire):
    """One rule: what is posted to `source` is posted to `targets` too."""

    id: Id = Field(validation_alias=AliasChoices("_id", "id"))
    source: Id = Field(validation_alias="from")
    targets: tuple[Id, ...] = Field((), validation_alias="to")
    paused: bool = Field(False, validation_alias="isPaused")

    @model_validator(mode="before")
    @classmethod
    def _told_fields(cls, value: Any) -> Any:
        return _told(value)

    @field_validator("source", mode="before")
    @classmethod
    def _one_id(cls, value: Any) -> Any:
        return (value.get("id") or value.get("_id")) if isinstance(value, dict) else value

    @field_validator("targets", mode="before")
    @classmethod
    def _many_ids(cls, value: Any) -> Any:
        # A target that is not understood must not be taken for none: the rule would count as one that copies nothing.
        several = value if isinstance(value, list | tuple) else [value]
        return tuple(cls._one_id(each) for each in several)
