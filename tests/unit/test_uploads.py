"""Receiving a post's video: what a sandbox stores, and what it leaves behind when something is wrong."""

import hashlib
import json
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.waiting import until

from reelflow.sandbox.catalog import ACCOUNTS, API_KEY

Clip = Callable[[str], Path]
HEADERS = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "multipart/form-data; boundary=cut-here"}
PLATFORMS = json.dumps([ACCOUNTS[0]["id"]]).encode()


def text(name: str, value: bytes) -> bytes:
    return f'--cut-here\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + value + b"\r\n"


def file(content: bytes, filename: str = "clip.mp4", name: str = "video") -> bytes:
    head = f'--cut-here\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n\r\n'
    return head.encode() + content + b"\r\n"


def send(sandbox: Any, *parts: bytes, end: bytes = b"--cut-here--\r\n", **headers: str) -> dict[str, Any]:
    """The answer to a post of these parts, with the field ``platforms``."""
    content = b"".join([text("platforms", PLATFORMS), *parts, end])
    answer = httpx.post(
        f"{sandbox.taisly_url}/post", content=content, headers={**HEADERS, **headers}, trust_env=False, timeout=30
    )
    found: dict[str, Any] = answer.json()
    return found


def stored(sandbox: Any) -> list[Path]:
    return list(sandbox.world.videos.iterdir())


@pytest.mark.parametrize(
    ("parts", "end", "words"),
    [
        ([text("description", b"x" * 64_001)], b"--cut-here--\r\n", "'description' is longer than 64000 bytes"),
        ([], b"", "closing boundary"),
        ([], b"--cut-here", "closing boundary"),
        ([b"--cut-here\r\nno header\r\n"], b"", "header"),
    ],
    ids=["text too long", "no closing boundary", "half a closing boundary", "no header"],
)
def test_a_form_that_is_not_whole_is_no_post_and_leaves_no_file(
    sandbox: Any, clip: Clip, parts: list[bytes], end: bytes, words: str
) -> None:
    """The video before it was complete, and is deleted."""
    answer = send(sandbox, file(clip("small.mp4").read_bytes()), *parts, end=end)

    assert (answer["success"], answer["message"]) == (False, "INVALID_FORM")
    assert words in answer["error"]
    assert sandbox.posts == []
    assert stored(sandbox) == []


def test_another_content_type_is_refused(sandbox: Any, clip: Clip) -> None:
    """Whatever the body is."""
    answer = send(sandbox, file(clip("small.mp4").read_bytes()), **{"Content-Type": "application/octet-stream"})

    assert answer["message"] == "INVALID_FORM"
    assert stored(sandbox) == []


def test_the_video_is_on_the_disk_while_it_arrives_and_gone_when_its_client_goes_away(sandbox: Any) -> None:
    """Not first in memory: half of it is there to be read before the other half was sent."""
    half, url = 1 << 20, httpx.URL(sandbox.url)
    a_little_more = bytes(half + (1 << 16))  # what comes last may wait in a buffer
    head = "".join(f"{name}: {value}\r\n" for name, value in {**HEADERS, "Content-Length": str(2 << 20)}.items())
    with socket.create_connection((url.host, url.port)) as client:
        client.sendall(f"POST /api/private/post HTTP/1.1\r\nHost: {url.host}\r\n{head}\r\n".encode())
        client.sendall(file(a_little_more))

        until("half of the upload", lambda: bool(stored(sandbox)) and stored(sandbox)[0].stat().st_size >= half)

    until("the end of the upload", lambda: stored(sandbox) == [])
    assert sandbox.posts == []


@pytest.mark.parametrize(
    ("filename", "extension"),
    [
        ("clip.MOV", ".mov"),
        ("clip", ".mp4"),
        ("../../escaped.mp4", ".mp4"),
        ("/etc/escaped.mov", ".mov"),
        ("C:\\\\escaped.webm", ".webm"),
        ("clip.mp4/../escaped", ".mp4"),
        ("clip.m p4", ".mp4"),
        ("clip.\x00mov", ".mp4"),
        ("clip." + "v" * 300, ".mp4"),
    ],
    ids=repr,
)
def test_a_name_from_outside_decides_only_a_plain_extension(
    sandbox: Any, clip: Clip, filename: str, extension: str
) -> None:
    """The file lies in the sandbox's folder under a random name, byte for byte."""
    content = clip("small.mp4").read_bytes()

    assert send(sandbox, file(content, filename))["success"] is True

    (path,) = stored(sandbox)
    assert re.fullmatch(r"[0-9a-f]{16}" + re.escape(extension), path.name)
    assert path.read_bytes() == content
    assert sandbox.posts[0]["video"] == f"/sandbox/videos/{path.name}"


def test_only_the_first_video_counts(sandbox: Any, clip: Clip) -> None:
    """A second one, and a file in another field, are ignored."""
    content = clip("small.mp4").read_bytes()

    answer = send(sandbox, file(bytes(100_000), name="cover"), file(content), file(bytes(100_000)))

    assert answer["success"] is True
    assert sandbox.posts[0]["sha256"] == hashlib.sha256(content).hexdigest()
    assert len(stored(sandbox)) == 1


def test_a_post_without_a_video_is_refused(sandbox: Any) -> None:
    """A file in another field is none, and a text is none."""
    for part in (file(b"x", name="cover"), text("video", b"x"), b""):
        assert send(sandbox, part)["message"] == "NO_VIDEO"


def test_a_refused_video_is_not_stored(sandbox: Any, clip: Clip) -> None:
    """Of the wrong kind, or for an account that is not connected."""
    assert send(sandbox, file(clip("sound.mp4").read_bytes()))["message"] == "INVALID_VIDEO"
    unknown = text("platforms", b'["nobody"]')
    assert send(sandbox, file(clip("small.mp4").read_bytes()), unknown)["message"] == "PLATFORM_NOT_FOUND"

    assert stored(sandbox) == []
