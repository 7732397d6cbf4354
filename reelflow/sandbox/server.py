"""The sandbox as one HTTP server: both APIs, its control below ``/sandbox``, and a page at ``/``."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from reelflow.sandbox import taisly, tikmatrix
from reelflow.sandbox.dialect import read_dialect
from reelflow.sandbox.faults import CuttableProtocol, Fault, FaultLayer, Faults
from reelflow.sandbox.history import HistoryStyle
from reelflow.sandbox.shown import state_of
from reelflow.sandbox.world import World

STOP_SECONDS = 1
"""How long a running request may take to end once the server is told to stop."""


def build_app(world: World) -> FaultLayer:
    """The whole sandbox as one ASGI application around `world`."""
    control = _Control(world)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        world.save()

    app = Starlette(
        routes=[
            *taisly.routes(world),
            *tikmatrix.routes(world),
            Route("/", control.page),
            Route("/sandbox/reset", control.reset, methods=["POST"]),
            Route("/sandbox/state", control.state),
            Route("/sandbox/faults", control.list_faults, methods=["GET"]),
            Route("/sandbox/faults", control.order_fault, methods=["POST"]),
            Route("/sandbox/faults", control.clear_faults, methods=["DELETE"]),
            Route("/sandbox/fail-next", control.fail_next, methods=["POST"]),
            Route("/sandbox/restart-phones", control.restart_phones, methods=["POST"]),
            Route("/sandbox/dialect", control.set_dialect, methods=["POST"]),
            Route("/sandbox/clock", control.set_clock, methods=["POST"]),
            Route("/sandbox/history", control.style_history, methods=["POST"]),
            Route("/sandbox/videos/{name}", control.video),
        ],
        lifespan=lifespan,
    )
    return FaultLayer(app, lambda: control.faults, lambda: world.data.requests, world.now)


class _Control:
    def __init__(self, world: World) -> None:
        self.world = world
        self.faults = Faults(world.seed)

    async def page(self, request: Request) -> Response:
        return HTMLResponse(files("reelflow.sandbox").joinpath("page.html").read_text("utf-8"))

    async def reset(self, request: Request) -> Response:
        self.world.reset()
        self.faults.clear()
        self.faults = Faults(self.world.seed)
        return JSONResponse({"ok": True})

    async def state(self, request: Request) -> Response:
        return JSONResponse(state_of(self.world))

    async def list_faults(self, request: Request) -> Response:
        return JSONResponse({"faults": self.faults.as_json()})

    async def order_fault(self, request: Request) -> Response:
        try:
            self.faults.waiting.append(Fault.from_json(await request.json()))
        except (ValueError, TypeError) as error:
            return _bad_request(str(error))
        return JSONResponse({"faults": self.faults.as_json()})

    async def clear_faults(self, request: Request) -> Response:
        self.faults.clear()
        return JSONResponse({"faults": []})

    async def fail_next(self, request: Request) -> Response:
        body = await taisly.json_object(request)
        by = [name for name in ("platform", "script_name", "serial") if isinstance(body.get(name), str)]
        if len(by) != 1:
            return _bad_request("Send exactly one of 'platform', 'script_name' and 'serial', and a 'reason'.")
        times = body.get("times", 1)
        if not isinstance(times, int) or times < 1:
            return _bad_request("'times' must be a whole number of at least 1.")
        reason = str(body.get("reason") or "Failure ordered in the sandbox")
        self.world.data.fail_next.append({by[0]: body[by[0]], "reason": reason, "times": times})
        self.world.save()
        return JSONResponse({"fail_next": self.world.data.fail_next})

    async def restart_phones(self, request: Request) -> Response:
        body = await taisly.json_object(request)
        self.world.restart_phones(lost=body.get("lost") is True, ids_from_1=body.get("ids_from_1") is True)
        return JSONResponse({"phone_tasks": len(self.world.data.phone_tasks)})

    async def set_dialect(self, request: Request) -> Response:
        try:
            self.world.data.dialect = read_dialect(await taisly.json_object(request))
        except ValueError as error:
            return _bad_request(str(error))
        self.world.save()
        return JSONResponse({"dialect": self.world.dialect})

    async def set_clock(self, request: Request) -> Response:
        body = await taisly.json_object(request)
        offset, advance = body.get("offset", self.world.data.clock_offset), body.get("advance", 0)
        if not isinstance(offset, int | float) or not isinstance(advance, int | float):
            return _bad_request("'offset' and 'advance' must be numbers of seconds.")
        self.world.data.clock_offset = offset + advance
        self.world.save()
        return JSONResponse({"offset": self.world.data.clock_offset, "now": round(self.world.now() * 1000)})

    async def style_history(self, request: Request) -> Response:
        try:
            self.world.data.history = HistoryStyle.from_json(await taisly.json_object(request))
        except (ValueError, TypeError) as error:
            return _bad_request(str(error))
        self.world.save()
        return JSONResponse(asdict(self.world.data.history))

    async def video(self, request: Request) -> Response:
        path = self.world.videos / Path(request.path_params["name"]).name
        if not path.is_file():
            return JSONResponse({"error": "Video not found."}, 404)
        return FileResponse(path)


def _bad_request(reason: str) -> Response:
    return JSONResponse({"error": reason}, 400)


def make_server(world: World, **settings: Any) -> uvicorn.Server:
    """The server around `world`, not yet started; `settings` are uvicorn's own."""
    return uvicorn.Server(
        uvicorn.Config(
            build_app(world),
            http=CuttableProtocol,
            log_level="warning",
            access_log=False,
            date_header=False,  # FaultLayer sends the sandbox's own time
            timeout_graceful_shutdown=STOP_SECONDS,
            lifespan="on",
            **settings,
        )
    )


def serve(world: World, sock: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM."""
    with contextlib.suppress(KeyboardInterrupt):
        make_server(world).run(sockets=[sock])
