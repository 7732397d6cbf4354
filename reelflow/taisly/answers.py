"""What an answer of Taisly means: a body, a post, or one of our errors. HTTP 200 may be a refusal, too."""

from __future__ import annotations

import logging
from typing import Any

import httpx

from reelflow.errors import NotAllowed, OutcomeUnknown, ReelflowError, Refused, UnreadableAnswer
from reelflow.taisly.wire import AcceptedPost
from reelflow.transport import from_status, redact
from reelflow.wire_types import is_name, parse
from reelflow.wording import one_line

log = logging.getLogger(__name__)

SERVICE = "Taisly"


def accepted_post(response: httpx.Response, *, key: str) -> AcceptedPost:
    """The post that an answer to POST ``/post`` names. One with a history id is stored, whatever else the answer says.

    Args:
        response: The answer, already read.
        key: The API key, which no error may contain.

    Raises:
        Refused: with `by_service`, only if the answer names nothing at all that may have been stored.
        OutcomeUnknown: it may be stored.
    """
    try:
        answer = body_of(response, key=key)
    except ReelflowError as error:
        body = _json_of(response)
        if (history_id := _history_id(body)) is not None:
            log.warning("Taisly named the post %s in an answer that says: %s", history_id, error)
            return AcceptedPost(history_id=history_id)
        if isinstance(error, Refused) and _names_something(body):
            raise OutcomeUnknown(
                f"Taisly's answer reads like a refusal, but names something that may be the post: {error}",
                service=SERVICE,
            ) from None
        raise
    return parse(answer, AcceptedPost, service=SERVICE)


def body_of(response: httpx.Response, *, key: str) -> dict[str, Any]:
    """The body of a success; a bare list as its `data`.

    Args:
        response: The answer, already read.
        key: The API key, which no error may contain.

    Raises:
        ServiceError: what the answer means if it is no success.
    """
    body, status = _json_of(response), response.status_code
    code, words = _said(body, key)
    is_refusal = isinstance(body, dict) and body.get("success") is False
    refusal: dict[str, Any] = {"service": SERVICE, "status": status, "code": code, "by_service": True}
    if code == "LIMIT" and is_refusal:  # whatever the status: the plan's posts are used up, and waiting does not help
        raise Refused(
            f"Taisly refused the post: {words}. The plan's posting limit is used up: "
            "wait until it renews, or change the plan in Taisly.",
            **refusal,
        )
    error = from_status(response, service=SERVICE, code=code, words=words, by_service=is_refusal)
    if error is not None:
        raise _explained(error)
    if isinstance(body, list):
        return {"success": True, "data": body}
    if not isinstance(body, dict):
        raise UnreadableAnswer(
            f"Taisly answered {status} with something that is not JSON.", service=SERVICE, status=status
        )
    if is_refusal:
        said = f": {words}" if words else ""
        raise Refused(f"Taisly refused the request{said}.", **refusal)
    return body


def _json_of(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None


def _said(body: Any, key: str) -> tuple[str | None, str | None]:
    """The machine code and the words for people in a body; neither ever contains the key."""
    if not isinstance(body, dict):
        return None, None
    agent = body.get("agent")
    candidates = [
        body.get("error"),
        body.get("detailMessage"),
        agent.get("message") if isinstance(agent, dict) else None,
    ]
    code = body.get("message") if isinstance(body.get("message"), str) else None
    words = next((w for w in candidates if isinstance(w, str) and w.strip()), code)
    return (
        one_line(redact(code, key)) if code else None,
        one_line(redact(words, key)).rstrip(".") if words else None,
    )


def _explained(error: ReelflowError) -> ReelflowError:
    if isinstance(error, NotAllowed) and error.status == 403:
        error.message = (
            f"{error.message} The API needs the plan STARTER, INFLUENCER or PRO; the FREE plan does not include it."
        )
    return error


def _history_id(body: Any) -> str | None:
    """The id of a post in an answer that is no success: only under its own name, since `id` may be the request's."""
    for place in (body, body.get("data") if isinstance(body, dict) else None):
        if isinstance(place, dict) and (found := place.get("historyId")) and is_name(found):
            return str(found)
    return None


def _names_something(value: Any) -> bool:
    """Whether an answer names a thing by an id, or has results: a refusal has neither."""
    if isinstance(value, list):
        return any(map(_names_something, value))
    if not isinstance(value, dict):
        return False
    return any(
        (each and (name.casefold().endswith(("id", "ids")) or name in ("result", "results"))) or _names_something(each)
        for name, each in value.items()
    )
