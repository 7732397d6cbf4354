"""A process that fits a video: it prints a line when it waits for another one, for each step, and the result."""

import resource
import sys
from pathlib import Path

from reelflow.errors import InputError
from reelflow.video.fit import fit_video
from reelflow.video.fit_settings import FitSettings


def main(path: str, folder: str, most_bytes: str = "") -> None:
    """Fit the file at `path`; write no file beyond `most_bytes`."""
    if most_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(most_bytes), int(most_bytes)))
    try:
        fitted = fit_video(
            Path(path),
            FitSettings(),
            folder=Path(folder),
            progress=lambda done, total: print("progress", done, total, flush=True),
            waiting=lambda: print("waiting", flush=True),
        )
    except InputError as error:
        print("error", error, flush=True)
    else:
        print("fitted", fitted.path, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
