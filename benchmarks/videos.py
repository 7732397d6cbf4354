"""Many small videos of which no two look alike, made without an encoder's whole start for each."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

WIDTH, HEIGHT, RATE, SECONDS = 270, 480, 5, 3.4
BLOCK = 30
"""Pixels of one block of colour."""


def make_videos(folder: Path, number: int, *, size: int = 0) -> list[Path]:
    """So many videos of random blocks of colour, each of `size` bytes if that is more than it needs."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for n in range(number):
        path = folder / f"{n:04}.mp4"
        _make(path, np.random.default_rng(n))
        path.with_suffix(".txt").write_text(f"Video {n} of the campaign #bench", "utf-8")
        if size:
            _grow(path, size)
        made.append(path)
    return made


def _make(path: Path, chance: np.random.Generator) -> None:
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        blocks = chance.integers(0, 255, (HEIGHT // BLOCK, WIDTH // BLOCK, 3), dtype=np.uint8)
        picture = np.kron(blocks, np.ones((BLOCK, BLOCK, 1), dtype=np.uint8))
        for _ in range(round(SECONDS * RATE)):
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def _grow(path: Path, size: int) -> None:
    """Make a whole video bigger with an empty box at its end, which takes no room on the disk."""
    before = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(before)
        file.write((size - before).to_bytes(4, "big") + b"free")
        file.truncate(size)
