"""How TikMatrix spells what it shows: its pages leave it open, so each way can be ordered."""

from __future__ import annotations

from typing import Any

from reelflow.sandbox.catalog import REAL_SERIALS
from reelflow.sandbox.records import PhoneTask

DIALECT: dict[str, tuple[str, ...]] = {
    "serials": ("serial", "real_serial"),
    "usernames": ("as sent", "with @", "in capitals"),
    "statuses": ("numbers", "digits", "words"),
    "logged_in": ("not named", "named"),
    "devices": ("both serials", "serial", "not offered"),
    "starter_license": ("answers", "refuses"),
}
"""Each thing that can be spelled, and how; the first is the usual way."""
_STATUS_WORDS = ("pending", "running", "completed", "failed")


def read_dialect(body: dict[str, Any]) -> dict[str, str]:
    """A dialect as it is ordered; what is not named is the usual way.

    Raises:
        ValueError: There is no such thing to spell, or no such way.
    """
    if unknown := set(body) - set(DIALECT):
        raise ValueError(f"Unknown field: {', '.join(sorted(unknown))}. Use {', '.join(DIALECT)}.")
    for name, way in body.items():
        if way not in DIALECT[name]:
            raise ValueError(f"'{name}' must be one of {', '.join(map(repr, DIALECT[name]))}.")
    return {**{name: ways[0] for name, ways in DIALECT.items()}, **body}


def spell(task: dict[str, Any], original: PhoneTask, account: str, dialect: dict[str, str]) -> dict[str, Any]:
    """A task as the API shows it, in a dialect; `account` is logged in on its phone."""
    args, username = dict(original.script_args), original.script_args.get("username")
    if username is None and dialect["logged_in"] == "named":
        username = account
    if username is not None:
        args["username"] = _name(str(username), dialect["usernames"])
    if "target_user" in args:
        args["target_user"] = _name(str(args["target_user"]), dialect["usernames"])
    status: dict[str, Any] = {
        "numbers": original.status, "digits": str(original.status), "words": _STATUS_WORDS[original.status]
    }  # fmt: skip
    serial = REAL_SERIALS[original.serial] if dialect["serials"] == "real_serial" else original.serial
    return {**task, "script_args": args, "serial": serial, "status": status[dialect["statuses"]]}


def _name(name: str, way: str) -> str:
    return f"@{name.removeprefix('@')}" if way == "with @" else name.upper() if way == "in capitals" else name
