"""Taisly's endpoints, below ``/api/private``."""

from __future__ import annotations

import json
import secrets
from typing import Any
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from reelflow.sandbox.catalog import FREE_KEY
from reelflow.sandbox.records import Post
from reelflow.sandbox.uploads import BadForm, Form, receive_form
from reelflow.sandbox.world import World
from reelflow.video import check_video

PREFIX = "/api/private"
PAGE = 10
"""Posts on one page of the history."""


def _refusal(message: str, error: str, status: int = 200, **more: Any) -> JSONResponse:
    """A refusal: `message` is the code, `error` the text for people. Taisly refuses with HTTP 200 too."""
    return JSONResponse({"success": False, "message": message, "error": error, **more}, status)


def _success(**fields: Any) -> JSONResponse:
    return JSONResponse({"success": True, **fields})


def _key(request: Request) -> str:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def routes(world: World) -> list[Route]:
    """The endpoints, acting on `world`."""
    api = _Taisly(world)

    def route(method: str, path: str, endpoint: Any) -> Route:
        async def guarded(request: Request) -> Response:
            if _key(request) == FREE_KEY:
                return _refusal("PLAN_REQUIRED", "Your plan has no access to the API. Please upgrade.", 403)
            if _key(request) not in world.data.keys:
                world.data.dead_key_requests += _key(request) in world.data.dead_keys
                return _refusal("UNAUTHORIZED", "Invalid API key", 401)
            if (wait := world.use_quota(world.client_of(_key(request)))) is not None:
                return _refusal("RATE_LIMIT", "Too many requests", 429, retryAfter=max(1, round(wait)))
            answer: Response = await endpoint(request)
            world.save()
            return answer

        return Route(PREFIX + path, guarded, methods=[method])

    return [
        route("GET", "/user/api-key", api.key_info),
        route("POST", "/user/api-key/generate", api.generate_key),
        route("POST", "/user/api-key/revoke", api.revoke_key),
        route("GET", "/platform/platforms", api.platforms),
        route("POST", "/post", api.create_post),
        route("GET", "/post/history", api.history),
        route("GET", "/post/cancelSchedule", api.cancel),
        route("GET", "/reposts", api.reposts),
        route("POST", "/repost/add", api.add_repost),
        route("POST", "/repost/delete", api.delete_repost),
        route("POST", "/repost/pause", api.pause_repost),
    ]


class _Taisly:
    def __init__(self, world: World) -> None:
        self.world = world

    def _client(self, request: Request) -> str:
        return self.world.client_of(_key(request))

    def _accounts(self, request: Request) -> list[dict[str, str]]:
        return self.world.accounts[self._client(request)]

    def _posts(self, request: Request) -> list[Post]:
        client = self._client(request)
        return [post for post in self.world.data.posts if post.client == client]

    def _rules(self, request: Request) -> list[dict[str, Any]]:
        others = {
            a["id"] for client, mine in self.world.accounts.items() if client != self._client(request) for a in mine
        }
        return [rule for rule in self.world.data.repost_rules if rule["from"] not in others]

    async def key_info(self, request: Request) -> Response:
        return _success(data={"plan": self.world.plan, "apiKey": f"{_key(request)[:7]}…", "active": True})

    async def generate_key(self, request: Request) -> Response:
        fresh = f"taisly_{secrets.token_hex(16)}"
        client = self._client(request)
        if client:
            self.world.data.owners[fresh] = client
        others = [key for key in self.world.data.keys if self.world.client_of(key) != client]
        self.world.replace_keys("generated", [*others, fresh], fresh)
        return _success(apiKey=fresh)

    async def revoke_key(self, request: Request) -> Response:
        key = _key(request)
        self.world.replace_keys("revoked", [k for k in self.world.data.keys if k != key], key)
        return _success()

    async def platforms(self, request: Request) -> Response:
        return _success(data=[_account(each) for each in self._accounts(request)])

    async def create_post(self, request: Request) -> Response:
        try:
            async with receive_form(request, self.world.videos) as form:
                return await self._accept_post(request, form)
        except BadForm as error:
            return _refusal("INVALID_FORM", f"Send the post as multipart/form-data: {error}")

    async def _accept_post(self, request: Request, form: Form) -> Response:
        fields, video = form.fields, form.video
        if video is None:
            return _refusal("NO_VIDEO", "The field 'video' is missing")
        if refused := self._check_fields(fields, self._accounts(request)):
            return refused
        report = await run_in_threadpool(check_video, video, with_fingerprint=True)
        if report.fingerprint is None:
            return _refusal("INVALID_VIDEO", "; ".join(f"{p.code}: {p.found}" for p in report.errors))
        scheduled = int(fields["scheduled"]) if fields.get("scheduled") else None
        post = self.world.add_post(
            sha256=report.fingerprint.sha256,
            file=video.name,
            caption=fields.get("description", ""),
            preview=float(fields.get("previewTime") or 0),
            accounts=_listed_ids(fields["platforms"]),
            scheduled=scheduled,
            looks=(report.facts.width, report.facts.height, report.facts.duration) if report.facts else (0, 0, 0.0),
            client=self._client(request),
        )
        form.keep_video = True
        return _success(
            historyId=post.id,
            scheduled=scheduled is not None,
            date=scheduled or post.created,
            result=_results(post),
        )

    def _check_fields(self, fields: dict[str, str], accounts: list[dict[str, str]]) -> Response | None:
        ids = _listed_ids(fields.get("platforms", ""))
        if not isinstance(ids, list) or not ids or not all(isinstance(i, str) for i in ids):
            return _refusal("INVALID_PLATFORMS", "'platforms' must be a JSON array of account ids, sent as one string")
        known = {a["id"] for a in accounts}
        if unknown := [i for i in ids if i not in known]:
            return _refusal("PLATFORM_NOT_FOUND", f"Not connected: {', '.join(unknown)}")
        if fields.get("scheduled") and not fields["scheduled"].isdigit():
            return _refusal("INVALID_DATE", "'scheduled' must be a Unix time in milliseconds")
        try:
            float(fields.get("previewTime") or 0)
        except ValueError:
            return _refusal("INVALID_PREVIEW", "'previewTime' must be a number of seconds")
        return None

    async def history(self, request: Request) -> Response:
        query = request.query_params
        style, now = self.world.data.history, self.world.now()
        newest_first = [p for p in reversed(self._posts(request)) if style.shows(p.created / 1000, now)]
        if ("startTime" in query or "endTime" in query) and not style.ignores_range:
            try:
                start, end = int(query.get("startTime", 0)), int(query.get("endTime", 1 << 62))
            except ValueError:
                return _refusal("INVALID_DATE", "'startTime' and 'endTime' must be Unix times in milliseconds")
            shown = [p for p in newest_first if start <= (p.scheduled or p.created) <= end]
        else:
            page = max(1, int(query.get("page", "1") if query.get("page", "1").isdigit() else 1))
            shown = newest_first[(page - 1) * PAGE : page * PAGE]
        for post in shown:
            self.world.advance_post(post)
        return _success(data=style.listed([_history_item(post) for post in shown]))

    async def cancel(self, request: Request) -> Response:
        post_id = request.query_params.get("id", "")
        post = next((p for p in self._posts(request) if p.id == post_id), None)
        if post is None:
            return _refusal("NOT_FOUND", "No such scheduled post")
        if post.scheduled is None or post.scheduled <= self.world.now() * 1000:
            return _refusal("NOT_SCHEDULED", "This post is not scheduled, or is already published")
        self.world.data.posts.remove(post)
        return _success()

    async def reposts(self, request: Request) -> Response:
        shown = {a["id"]: _account(a) for a in self._accounts(request)}  # one that is gone is shown by its ID alone
        return _success(
            data=[
                {**rule, "from": shown.get(rule["from"], rule["from"]), "to": [shown.get(t, t) for t in rule["to"]]}
                for rule in self._rules(request)
            ]
        )

    async def add_repost(self, request: Request) -> Response:
        body = await json_object(request)
        source, targets = body.get("from"), body.get("to")
        known = {a["id"] for a in self._accounts(request)}
        if source not in known or not isinstance(targets, list) or not targets or not set(targets) <= known:
            return _refusal("INVALID_PLATFORMS", "'from' and 'to' must be ids of connected accounts", 400)
        if self.world.is_circular(str(source), targets):
            self.world.note_rule("refused", source, targets)
            return _refusal("CIRCULAR_REPOST", "This rule would close a circle", 400)
        rule = {"_id": self.world.new_id(), "from": source, "to": targets, "isPaused": False}
        self.world.data.repost_rules.append(rule)
        self.world.note_rule("added", source, targets)
        return _success(data=rule)

    async def delete_repost(self, request: Request) -> Response:
        rule = self._rule(request, await json_object(request))
        if rule is None:
            return _refusal("NOT_FOUND", "No such repost rule")
        self.world.data.repost_rules.remove(rule)
        self.world.note_rule("removed", rule["from"], rule["to"])
        return _success()

    async def pause_repost(self, request: Request) -> Response:
        body = await json_object(request)
        rule = self._rule(request, body)
        if rule is None:
            return _refusal("NOT_FOUND", "No such repost rule")
        rule["isPaused"] = bool(body.get("isPaused"))
        self.world.note_rule("paused" if rule["isPaused"] else "resumed", rule["from"], rule["to"])
        return _success(data=rule)

    def _rule(self, request: Request, body: dict[str, Any]) -> dict[str, Any] | None:
        return next((r for r in self._rules(request) if r["_id"] == body.get("id")), None)


def _account(account: dict[str, str]) -> dict[str, str]:
    """An account as Taisly lists it: its clients read either name of the ID."""
    return {"_id": account["id"], **account}


def _listed_ids(text: str) -> Any:
    """The array in a form field; None if it is none. The documentation's own example has single quotes."""
    for spelling in (text, text.replace("'", '"')):
        try:
            return json.loads(spelling)
        except ValueError:
            continue
    return None


async def json_object(request: Request) -> dict[str, Any]:
    """The JSON object in a request; an empty one if there is none."""
    try:
        body = await request.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _results(post: Post) -> list[dict[str, Any]]:
    return [
        {
            "platform": d.platform,
            "platformId": d.account,
            "status": d.status,
            **({"error": d.reason} if d.reason else {}),
            **({"url": d.link} if d.status == "SUCCESS" else {}),
        }
        for d in post.destinations
    ]


def _history_item(post: Post) -> dict[str, Any]:
    return {
        "id": post.id,
        "description": post.caption,
        "platforms": [d.account for d in post.destinations],
        "date": post.created,
        "scheduled": post.scheduled,
        "result": _results(post),
    }


def as_state(post: Post) -> dict[str, Any]:
    """One post as GET /sandbox/state shows it."""
    return {
        "historyId": post.id,
        "sha256": post.sha256,
        "caption": post.caption,
        "platforms": [d.account for d in post.destinations],
        "scheduled": post.scheduled,
        "result": _results(post),
        "client": post.client,
        "createdAt": post.created,
        "previewTime": post.preview,
        "repostOf": post.repost_of,
        "video": f"/sandbox/videos/{quote(post.file)}",
    }
