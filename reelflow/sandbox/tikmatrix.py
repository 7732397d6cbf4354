"""TikMatrix's endpoints, below ``/api/v1``."""

from __future__ import annotations

import itertools
import re
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from reelflow.sandbox.catalog import DEVICE_LIMIT, DEVICES, REAL_SERIALS
from reelflow.sandbox.dialect import spell
from reelflow.sandbox.records import COMPLETED, FAILED, PENDING, RUNNING, PhoneTask
from reelflow.sandbox.world import World

PREFIX = "/api/v1"
SCRIPTS = ("post", "follow", "unfollow", "account_warmup", "comment")
ANNOUNCED = ("like", "message", "super_marketing", "profile", "scrape_user")
"""Scripts that TikMatrix has announced for its API, which does not run them yet."""
_HTTP = {40301: 403, 40401: 404, 50001: 500}
"""The HTTP status of an error code, 200 for all others: clients must understand both ways."""
_POST_URL = re.compile(
    r"https://(www\.tiktok\.com/@[^/]+/video/\d+|vm\.tiktok\.com/\w+/?|www\.instagram\.com/(p|reel)/[\w-]+/?)(\?.*)?$"
)


class _Refused(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def _ok(data: Any = None) -> JSONResponse:
    return JSONResponse({"code": 0, "message": "success", "data": data})


def routes(world: World) -> list[Route]:
    """The endpoints, acting on `world`."""
    api = _TikMatrix(world)

    def route(method: str, path: str, endpoint: Any, *, needs_license: bool = True) -> Route:
        async def guarded(request: Request) -> Response:
            try:
                if needs_license:
                    api.require_license()
                answer = _ok(await endpoint(request))
            except _Refused as no:
                answer = JSONResponse({"code": no.code, "message": no.message, "data": None}, _HTTP.get(no.code, 200))
            world.save()
            return answer

        return Route(PREFIX + path, guarded, methods=[method])

    return [
        route("GET", "/license/check", api.license, needs_license=False),
        route("POST", "/task", api.create),
        route("GET", "/task", api.read_page),
        route("GET", "/task/stats", api.stats),
        route("POST", "/task/retry-all", api.retry_all),
        route("DELETE", "/task/batch", api.delete_batch),
        route("GET", "/task/{id:int}", api.read),
        route("DELETE", "/task/{id:int}", api.delete),
        route("POST", "/task/{id:int}/stop", api.stop),
        route("POST", "/task/{id:int}/retry", api.retry),
        route("GET", "/rpc/devices", api.devices),
    ]


class _TikMatrix:
    def __init__(self, world: World) -> None:
        self.world = world

    @property
    def tasks(self) -> list[PhoneTask]:
        return self.world.data.phone_tasks

    def require_license(self) -> None:
        """Only Pro, Team and Business licences have the API."""
        if self.world.license_plan == "Starter":
            raise _Refused(40301, "API access requires Pro, Team or Business plan")

    async def license(self, request: Request) -> Any:
        plan = self.world.license_plan
        enabled = plan != "Starter"
        if self.world.dialect["starter_license"] == "refuses":
            self.require_license()
        message = "API access enabled" if enabled else "API access requires Pro, Team or Business plan"
        return {
            "plan_name": plan, "api_enabled": enabled, "device_limit": DEVICE_LIMIT[plan], "message": message
        }  # fmt: skip

    async def create(self, request: Request) -> Any:
        body = await _object(request)
        script = body.get("script_name")
        if not script:
            raise _Refused(40002, "script_name is required")
        if script not in SCRIPTS:
            state = "not yet supported" if script in ANNOUNCED else "unknown"
            raise _Refused(40003, f"script '{script}' is {state} via API")
        config = body.get("script_config")
        if not isinstance(config, dict):
            raise _Refused(40001, "script_config must be an object")
        targets = _targets(script, config)
        if isinstance(settings := config.get("chatgpt_settings"), dict):  # a secret: never stored
            config = {**config, "chatgpt_settings": {k: v for k, v in settings.items() if k != "api_key"}}
        config = {k: v for k, v in config.items() if k not in ("target_users", "target_post_urls")}
        actors = self._actors(body)
        made = [
            self.world.add_task(
                script, {**config, **target, **({"username": user} if user else {})}, serial, body.get("start_time")
            )
            for (serial, user), target in itertools.product(actors, targets)
        ]
        return {"task_ids": [t.id for t in made], "created_count": len(made)}

    def _actors(self, body: dict[str, Any]) -> list[tuple[str, str | None]]:
        """Who runs the script: (serial, username); without a username, the account that is logged in."""
        serials, usernames = body.get("serials") or [], body.get("usernames") or []
        if not isinstance(serials, list) or not isinstance(usernames, list) or not (serials or usernames):
            raise _Refused(40001, "serials or usernames is required")
        start = body.get("start_time")
        if start is not None and not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", str(start)):
            raise _Refused(40001, "start_time must be HH:MM")
        if serials:
            phones = {**{serial: serial for serial in DEVICES}, **{real: s for s, real in REAL_SERIALS.items()}}
            if unknown := [s for s in serials if s not in phones]:
                raise _Refused(40001, f"unknown device: {', '.join(map(str, unknown))}")
            serials = [phones[s] for s in serials]
            if body.get("enable_multi_account"):
                return [(s, user) for s in serials for user in DEVICES[s]]
            return [(s, None) for s in serials]
        homes = {user: serial for serial, users in DEVICES.items() for user in users}
        if unknown := [u for u in usernames if u not in homes]:
            raise _Refused(40004, f"no account found: {', '.join(map(str, unknown))}")
        return [(homes[u], u) for u in usernames]

    def _find(self, request: Request) -> PhoneTask:
        wanted = request.path_params["id"]
        found = next((t for t in self.tasks if t.id == wanted), None)
        if found is None:
            raise _Refused(40401, f"task {wanted} not found")
        return found

    async def read(self, request: Request) -> Any:
        self.world.advance_phones()
        return self._show(self._find(request))

    async def read_page(self, request: Request) -> Any:
        query = request.query_params
        try:
            page = max(1, int(query.get("page", 1)))
            size = min(100, max(1, int(query.get("page_size", 20))))
            status = int(query["status"]) if "status" in query else None
        except ValueError:
            raise _Refused(40001, "page, page_size and status must be numbers") from None
        self.world.advance_phones()
        found = [
            t
            for t in reversed(self.tasks)
            if (status is None or t.status == status)
            and all(query.get(k) in (None, getattr(t, k)) for k in ("serial", "script_name", "source"))
        ]
        return {"total": len(found), "list": [self._show(t) for t in found[(page - 1) * size : page * size]]}

    async def stats(self, request: Request) -> Any:
        count = {
            name: sum(t.status == status for t in self.tasks)
            for name, status in (
                ("pending", PENDING),
                ("running", RUNNING),
                ("completed", COMPLETED),
                ("failed", FAILED),
            )
        }
        return {"total": len(self.tasks), **count}

    async def delete(self, request: Request) -> Any:
        self.tasks.remove(self._find(request))

    async def delete_batch(self, request: Request) -> Any:
        wanted = (await _object(request)).get("task_ids")
        if not isinstance(wanted, list) or not wanted:
            raise _Refused(40001, "task_ids is required")
        before = len(self.tasks)
        self.world.data.phone_tasks = [t for t in self.tasks if t.id not in wanted]
        return {"deleted_count": before - len(self.tasks)}

    async def stop(self, request: Request) -> Any:
        task = self._find(request)
        if task.status in (PENDING, RUNNING):
            task.status, task.remark = FAILED, "stopped"
            task.retry_count = max(task.retry_count, self.world.auto_retry)  # not retried automatically
            task.end_time = self.world.local_time(self.world.now())

    async def retry(self, request: Request) -> Any:
        task = self._find(request)
        if task.status != FAILED:
            raise _Refused(40001, "only a failed task can be retried")
        _requeue(task)

    async def retry_all(self, request: Request) -> Any:
        failed = [t for t in self.tasks if t.status == FAILED]
        for task in failed:
            _requeue(task)
        return {"retried_count": len(failed)}

    async def devices(self, request: Request) -> Any:
        busy = {t.serial for t in self.tasks if t.status == RUNNING}
        way = self.world.dialect["devices"]
        if way == "not offered":
            raise _Refused(40401, "not found")
        return [
            {"serial": serial, **({"real_serial": REAL_SERIALS[serial]} if way == "both serials" else {}),
             "busy": serial in busy}
            for serial in DEVICES
        ]  # fmt: skip

    def _show(self, task: PhoneTask) -> dict[str, Any]:
        return spell(as_task(task), task, DEVICES[task.serial][0], self.world.dialect)


def _requeue(task: PhoneTask) -> None:
    task.status, task.remark, task.end_time, task.retry_count = PENDING, "", None, 0


def _targets(script: str, config: dict[str, Any]) -> list[dict[str, Any]]:
    """Check the script's configuration, and list the targets: each is one task on every phone."""
    if script in ("follow", "unfollow"):
        users = config.get("target_users") or re.split(r"[\n,]", str(config.get("target_user") or ""))
        users = [str(u).strip() for u in users if str(u).strip()]
        if not users:
            raise _Refused(40001, "target_user or target_users is required")
        _choice(config, "access_method", ("direct", "search"))
        return [{"target_user": user} for user in users]
    if script == "comment":
        urls = config.get("target_post_urls") or re.split(r"[\n,]", str(config.get("target_post_url") or ""))
        urls = [str(u).strip() for u in urls if str(u).strip()]
        if not urls:
            raise _Refused(40001, "target_post_url or target_post_urls is required")
        if wrong := [u for u in urls if not _POST_URL.match(u)]:
            raise _Refused(40001, f"not a post URL: {wrong[0]}")
        if not str(config.get("comment_content") or "").strip():
            raise _Refused(40001, "comment_content is required")
        _choice(config, "comment_order", ("random", "sequential"))
        return [{"target_post_url": url} for url in urls]
    if script == "account_warmup":
        for name in ("like_probable", "floow_probable", "collect_probable", "comment_probable"):
            _number(config, name, 0, 100)
        _number(config, "task_duration", 1, 86_400)
        _choice(config, "comment_order", ("random", "sequential"))
        if config.get("generate_by_chatgpt") and not (config.get("chatgpt_settings") or {}).get("api_key"):
            raise _Refused(40001, "chatgpt_settings.api_key is required")
    if script == "post":
        _choice(config, "post_way", ("share", "addButton", "useSound"))
        _choice(config, "material_source", ("materialLibrary", "localFolder"))
        _choice(config, "placement", ("reel", "story"))
        _choice(config, "add_sound", ("-1", "0", "1", "custom"))
        for name in ("origin_sound_volume", "add_sound_volume"):
            _number(config, name, 0, 100)
        for name, value, needed in (
            ("material_source", "localFolder", "material_path"),
            ("post_way", "useSound", "sound_name"),
            ("add_sound", "custom", "custom_sound_keyword"),
        ):
            if config.get(name) == value and not config.get(needed) and not config.get("material_list"):
                raise _Refused(40001, f"{needed} is required with {name} {value}")
    return [{}]


def _choice(config: dict[str, Any], name: str, allowed: tuple[str, ...]) -> None:
    if config.get(name) is not None and str(config[name]) not in allowed:
        raise _Refused(40001, f"{name} must be one of {', '.join(allowed)}")


def _number(config: dict[str, Any], name: str, low: float, high: float) -> None:
    value = config.get(name)
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise _Refused(40001, f"{name} must be a number from {low:g} to {high:g}")


async def _object(request: Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except ValueError:
        raise _Refused(40001, "the body is not JSON") from None
    if not isinstance(body, dict):
        raise _Refused(40001, "the body must be a JSON object")
    return body


def as_task(task: PhoneTask) -> dict[str, Any]:
    """One task as the API shows it."""
    return {
        "id": task.id,
        "script_name": task.script_name,
        "script_args": task.script_args,
        "serial": task.serial,
        "status": task.status,
        "remark": task.remark,
        "source": task.source,
        "retry_count": task.retry_count,
        "start_time": task.start_time,
        "end_time": task.end_time,
    }
