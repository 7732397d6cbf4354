"""The command line ``reelflow``: all its commands, and the one place where a failure becomes an exit code.

Commands that need Prefect are registered as "module:function" and imported when they run, with their help text here:
``reelflow --help`` and ``reelflow check`` must not wait two seconds for Prefect to be imported.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

from cyclopts import App, CycloptsError, Parameter, validators

from deployments.settings import use_quiet_defaults
from reelflow.errors import ReelflowError

MISUSED = 2
"""The exit code of a command whose words are not understood, as in shells."""
INTERRUPTED = 130
"""The exit code of a program that was stopped with Ctrl-C, as in shells."""
BROKEN_PIPE = 141
"""That of a program whose reader has gone, as in `reelflow check *.mp4 | head -1`."""

app = App(
    name="reelflow",
    help="Publish short vertical videos exactly once, and run scripts on your own phones.",
    version=lambda: importlib.metadata.version("reelflow"),
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,  # main() does it, for every command in the same way
)


@app.command
def check(files: list[str], /, *, json_lines: Annotated[bool, Parameter(name="--json", negative="")] = False) -> int:
    """Describe each video file and list what keeps it from being published.

    The exit code is 1 if any file has an error. Warnings do not count.

    Parameters
    ----------
    files
        The video files, or their https addresses.
    json_lines
        Print one JSON object per line, one for each file.
    """
    from deployments.progress import each_with_progress
    from deployments.videos import report_on

    reports = [report_on(file) for file in each_with_progress(files, "Videos checked", enabled=not json_lines)]
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
    port: Annotated[int, Parameter(validator=validators.Number(gte=0, lte=65535))] = 8099,
    host: Literal["127.0.0.1", "localhost"] = "127.0.0.1",
    plan: Literal["STARTER", "INFLUENCER", "PRO"] = "STARTER",
    license_plan: Annotated[Literal["Starter", "Pro", "Team", "Business"], Parameter(name="--license")] = "Pro",
    seed: int = 0,
    realtime: Annotated[bool, Parameter(negative="")] = False,
    auto_retry: int = 3,
    data: Path | None = None,
    requests_per_hour: int | None = None,
    client: Annotated[list[str] | None, Parameter(negative="")] = None,
) -> int:
    """Run stand-ins for Taisly and TikMatrix on this machine, until Ctrl-C.

    Parameters
    ----------
    port
        The port. If it is in use, the sandbox uses a free one.
    host
        The address. Only this machine can reach the sandbox.
    plan
        The Taisly plan: STARTER 50, INFLUENCER 200, PRO 1000 requests an hour.
    license_plan
        The TikMatrix licence. Starter does not include the API.
    seed
        The same seed gives the same random results.
    realtime
        Let posts and phone tasks take seconds. By default they advance each time they are read.
    auto_retry
        How many times TikMatrix automatically retries a failed task.
    data
        A folder that keeps everything across restarts.
    requests_per_hour
        Replace the plan's quota, for load tests.
    client
        The name of a further Taisly account, with a key, accounts and a quota of its own. Repeat it for several.
    """
    from reelflow.ports import listen
    from reelflow.sandbox.catalog import API_KEY, key_of
    from reelflow.sandbox.server import serve
    from reelflow.sandbox.world import World

    signal.signal(signal.SIGTERM, _interrupt)
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
            clients=client or (),
        )
        sock = listen(host, port)
        keys = [API_KEY, *map(key_of, client or ())]
        print(_addresses(sock.getsockname()[1], ", ".join(keys), plan, license_plan), flush=True)
        serve(world, sock)
    return 0


def _addresses(port: int, key: str, plan: str, license_plan: str) -> str:
    address = f"http://127.0.0.1:{port}"
    return (
        f"reelflow sandbox: {address}\n"
        f"  Taisly     {address}/api/private   API key: {key}   plan: {plan}\n"
        f"  TikMatrix  {address}/api/v1   licence: {license_plan}\n"
        f"  Open {address}/ to see posts and phones. Press Ctrl-C to stop."
    )


def _interrupt(*_: Any) -> NoReturn:
    raise KeyboardInterrupt


def _add(to: App, commands: dict[str, str]) -> None:
    """Register commands that are imported when they run: below deployments/, as "module:function", with their help."""
    for where, text in commands.items():
        to.command(f"deployments.{where}", name=where.partition(":")[2].replace("_", "-"), help=text)


_add(app, {
    "fit:fit":
        "Make a copy of a video that is right for publishing: 9:16, at most 1080x1920, H.264 in standard range. Needs "
        "no server.\n\n"
        "The original stays as it is. What is right already is not encoded again. A video of more than 90 s is "
        "refused, or trimmed with --too-long trim.",
    "publish:publish": "Publish one video, now or later, and report its outcome on every platform.",
    "publish:publish_and_engage": "Publish one video, then let your own phones warm up and comment on the post.",
    "campaign:campaign":
        "Publish a folder or a plan of videos, each post exactly once, at its time or in the next posting slot.\n\n"
        "The exit code is 1 if a person has to look; with --dry-run, if a row is wrong or its account is on hold.",
    "inbox:inbox":
        "Publish each new video of a folder in the next posting slot, and move it to 'done' or 'rejected'.\n\n"
        "The exit code is 1 if a person has to look; with --dry-run, if a video is wrong or its account is on hold.",
    "posts:posts":
        "List what is published, scheduled, open, unconfirmed or failed, with the IDs that resolve and cancel need.",
    "week:week": "Show the posts of the past and the coming days by day, and what waits for you.",
    "posts:resolve":
        "Resolve an unconfirmed post: record that it was published, or that it may be sent again. Sends nothing.",
    "posts:cancel": "Cancel a scheduled post before it is published. Taisly deletes it permanently.",
    "release:release":
        "Release accounts that are on hold after several failures in a row, or list them. Sends nothing.",
    "rotate_key:rotate_api_key":
        "Replace the Taisly API key of a block, or revoke it. Changes nothing without --no-dry-run.",
    "accounts:accounts":
        "List the accounts that are connected in Taisly, under the names that --to and the forms take.",
})  # fmt: skip
plan = App(name="plan", help="Write and check the plan of a campaign. Needs no server.")
plan.command(
    "deployments.campaign:plan_template",
    name="template",
    help="Show a sample plan: a CSV, JSON or YAML file, or the captions of a folder; or save it.",
)
plan.command(
    "deployments.campaign:check",
    name="check",
    help="Say what is wrong with a plan: its rows, videos, captions and times. Sends nothing.\n\n"
    "The exit code is 1 if a row is wrong. The wrong rows are saved beside the plan, as a plan to fix.",
)
app.command(plan)
phones = App(name="phones", help="List your phones, or run scripts on them: see the commands below.")


@phones.default
def list_phones(
    *,
    block: Annotated[str, Parameter(help='Name of the saved block "TikMatrix Host".')] = "main",
    as_json: Annotated[bool, Parameter(name="--json", negative="", show_default=False)] = False,
) -> int:
    """List the phones of a host block, with their usernames, and whether they are online.

    Parameters
    ----------
    as_json
        Print one JSON object per line, one for each phone, and nothing else.
    """
    from deployments.phones import show

    return show(block=block, as_json=as_json)


_add(phones, {
    "phones:warm_up": "Let accounts watch videos on a topic, and react to some of them.",
    "phones:comment": "Comment on posts from your own accounts, never twice on the same post.",
    "phones:follow": "Follow users from your own accounts.",
    "phones:unfollow": "Unfollow users; by default, only those that were followed through reelflow.",
    "phones:post": "Post from the apps on your phones, with material on the phone PC.",
    "phones:tasks": "List, stop, delete or retry phone tasks. Changes nothing without --no-dry-run.",
})  # fmt: skip
app.command(phones)
reposts = App(name="reposts", help="List Taisly's repost rules, or change them.")


@reposts.default
def list_reposts(
    *,
    block: Annotated[str, Parameter(help='Name of the saved block "Taisly Account".')] = "main",
    as_json: Annotated[bool, Parameter(name="--json", negative="", show_default=False)] = False,
) -> int:
    """List the repost rules, as `reelflow reposts apply` takes them.

    Parameters
    ----------
    as_json
        Print one JSON object per line, one for each rule, and nothing else.
    """
    from deployments.reposts import show

    return show(block=block, as_json=as_json)


_add(reposts, {
    "reposts:apply": "Add, remove and pause repost rules until they are those that you name. Dry run by default.",
})  # fmt: skip
app.command(reposts)
_add(app, {
    "setup.cli:setup":
        "Create blocks, work pools, deployments and automations on your Prefect server. Safe to run again.\n\n"
        "Setup reads the Taisly API key from TAISLY_API_KEY or asks for it, and never shows it. The schedules of "
        "upkeep are on; turn the others on in the UI. Setup keeps what you have changed there.",
    "setup.cli:teardown":
        "Remove what setup created on your Prefect server. Everything else there is kept, and so is the ledger.",
    "doctor:doctor": "Check the Prefect server, blocks, services, ledger and phones.",
})  # fmt: skip
ledger = App(name="ledger", help="Show the ledger of your Prefect server, move it, or use another one.")
_add(ledger, {
    "ledger:show": "Show where the ledger is, how many sends it has recorded, and what the Prefect server remembers.",
    "ledger:use":
        "Switch your Prefect server to another ledger, without the records of the current one.\n\n"
        "Before its first sends it searches Taisly's history for posts that it does not know. To keep what the present "
        "one knows, use `reelflow ledger move`.",
    "ledger:move":
        "Move everything from the ledger of your Prefect server to an empty database, and use that from then on.",
    "ledger:unblock": "End the pause after a 429 for all Taisly API keys.",
})  # fmt: skip
app.command(ledger)
_add(app, {
    "local.demo:demo": "Publish a real video to a sandbox, in a real Prefect server, and exit.",
    "local.up:up": "Start a sandbox and a Prefect server with everything ready to use, until Ctrl-C.",
})  # fmt: skip
app.command(
    "deployments.serve:serve_flows",
    name="serve",
    help="Serve every flow from one process, without workers, until Ctrl-C.",
    show=False,  # people know it as `python -m deployments.serve`
)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit with its code. An error is printed as one line on standard error."""
    use_quiet_defaults()
    try:
        code = app(arguments, result_action="return_value", exit_on_error=False, print_error=False)
    except CycloptsError as error:
        from deployments.usage import usage_sentence

        print(f"reelflow: {usage_sentence(error)}", file=sys.stderr)
        code = MISUSED
    except ReelflowError as error:
        from deployments.options import in_options

        print(f"reelflow: {in_options(str(error))}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the exit itself fails, on flushing
        code = BROKEN_PIPE
    sys.exit(code if isinstance(code, int) else 0)
