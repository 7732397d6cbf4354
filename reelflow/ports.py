"""Ports of this machine: the one that is wanted, or a free one."""

from __future__ import annotations

import socket

BACKLOG = 2048
"""Connections that may wait to be accepted."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket on `port`, or on a free port if that one is in use (or 0)."""
    # The protocol is named because asyncio turns Nagle's algorithm off only where it is; 40 ms an answer otherwise.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    # A port in TIME_WAIT after the last run is free; Windows gives this option another, unwanted meaning.
    if hasattr(socket, "SO_REUSEPORT"):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(BACKLOG)  # fails, too: two may bind before either listens
    except OSError:
        sock.close()
        if port == 0:
            raise
        return listen(host, 0)
    return sock


def free_port(wanted: int = 0) -> int:
    """`wanted`, or a free port if it is in use (or 0), for a program that is about to be started."""
    with listen("127.0.0.1", wanted) as sock:
        return int(sock.getsockname()[1])
