"""The command line: what ``reelflow`` does in a terminal.

The engine never imports Prefect. So the commands that need it live in deployments/ and are started from here by
their module's name; this file is only the door.
"""

from __future__ import annotations

import json
import runpy
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

from cyclopts import App, Parameter

from reelflow.errors import ReelflowError

app = App(
    name="reelflow",
    help="Publish short vertical videos exactly once, and run scripts on your own phones.",
    version_flags=["--version"],
)


@app.command
def check(files: list[Path], /, *, json_lines: Annotated[bool, Parameter(name="--json", negative="")] = False) -> int:
    """Say what each video file is, and what keeps it from being published.

    Ends with exit code 1 if any file has an error; warnings do not count.

    Parameters
    ----------
    files
        The video files.
    json_lines
        Print one JSON object a line for each file.
    """
    from reelflow.video import check_video

    reports = [check_video(file) for file in files]
    for report in reports:
        if json_lines:
            print(json.dumps(report.as_json(), ensure_ascii=False), flush=True)
            continue
        print(f"{'ok   ' if report.ok else 'ERROR'} {report.file}")
        if report.facts:
            f = report.facts
            print(f"      {f.width}x{f.height}, {f.duration:.1f} s, {f.video_codec}, {f.size_bytes / 1e6:.1f} MB")
        for problem in report.problems:
            print(f"      {problem.level}: {problem}")
    return 0 if all(report.ok for report in reports) else 1


@app.command
def sandbox(
    *,
    port: int = 8099,
    host: Literal["127.0.0.1", "localhost"] = "127.0.0.1",
    plan: Literal["STARTER", "INFLUENCER", "PRO"] = "STARTER",
    license_plan: Annotated[Literal["Starter", "Pro", "Team", "Business"], Parameter(name="--license")] = "Pro",
    seed: int = 0,
    realtime: Annotated[bool, Parameter(negative="")] = False,
    auto_retry: int = 3,
    data: Path | None = None,
    requests_per_hour: int | None = None,
) -> int:
    """Serve stand-ins for Taisly and TikMatrix on this machine, until Ctrl-C.

    Parameters
    ----------
    port
        The port; a free one is taken instead if it is in use.
    host
        The address. The sandbox is for this machine only.
    plan
        Taisly's plan: 50, 200 or 1000 requests an hour.
    license_plan
        TikMatrix's licence; Starter has no API.
    seed
        What happens by chance is the same for the same seed.
    realtime
        Let posts and phone tasks take seconds. By default they advance each time they are read.
    auto_retry
        How often TikMatrix repeats a failed task by itself.
    data
        A folder in which everything is kept over a restart.
    requests_per_hour
        Another quota than the plan's, for tests under load.
    """
    from reelflow.sandbox.server import bind, serve
    from reelflow.sandbox.world import API_KEY, World

    def stop(*_: Any) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    with tempfile.TemporaryDirectory(prefix="reelflow-sandbox-") if data is None else nullcontext(data) as folder:
        world = World(
            Path(folder),
            plan=plan,
            license_plan=license_plan,
            seed=seed,
            realtime=realtime,
            auto_retry=auto_retry,
            keep=data is not None,
            requests_per_hour=requests_per_hour,
        )
        sock = bind(host, port)
        address = f"http://127.0.0.1:{sock.getsockname()[1]}"
        print(
            f"reelflow sandbox: {address}\n"
            f"  Taisly     {address}/api/private   API key: {API_KEY}   plan: {plan}\n"
            f"  TikMatrix  {address}/api/v1   licence: {license_plan}\n"
            f"  Look at the posts and phones at {address}/   End with Ctrl-C.",
            flush=True,
        )
        serve(world, sock)
    return 0


def _behind(module: str) -> Any:
    """A command that lives in deployments/ and takes the rest of the line."""

    def run(*words: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> int:
        sys.argv = [f"reelflow {module.rpartition('.')[2]}", *words]
        runpy.run_module(module, run_name="__main__")
        return 0

    return run


for _name, _help in (
    ("demo", "Publish a real video to an embedded sandbox, in a real Prefect server, and end."),
    ("up", "Start a sandbox and a Prefect server with everything ready, and stay until Ctrl-C."),
    ("publish", "Publish one video now, or at a time; --help says how."),
    ("setup", "Make blocks, work pools, deployments and alarms on your Prefect server; safe to run again."),
    ("teardown", "Take back what setup made."),
    ("doctor", "Say where everything is and whether it works: server, blocks, services, ledger, quota."),
):
    app.command(_behind(f"deployments.{_name}"), name=_name, help=_help, help_flags=[], version_flags=[])


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code; what goes wrong is one line on standard error."""
    try:
        code = app(arguments, result_action="return_value")
    except ReelflowError as error:
        print(f"reelflow: {error}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        code = 141
    sys.exit(code if isinstance(code, int) else 0)
