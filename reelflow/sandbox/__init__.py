"""Taisly and TikMatrix over real HTTP, to develop and test against.

Faithful to what the two vendors document; what is assumed is listed in docs/sandbox.md. It shares none of the
clients' models: the two sides meet only in the payloads of tests/contract.

`Sandbox` runs one in this process, `SandboxControl` controls one anywhere. Both are loaded when they are first used,
since importing this package must not import a web server.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reelflow.sandbox.control import SandboxControl
    from reelflow.sandbox.embedded import Sandbox

__all__ = ["Sandbox", "SandboxControl"]
_MODULES = {"Sandbox": "reelflow.sandbox.embedded", "SandboxControl": "reelflow.sandbox.control"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
