"""Find a video, wherever it is, as a file of this machine."""

from __future__ import annotations

from reelflow.addresses import is_address
from reelflow.downloads.folder import Downloads, default_folder
from reelflow.downloads.from_storage import StoredVideos
from reelflow.downloads.from_web import WebVideos
from reelflow.downloads.source import LocalVideo, Storages


def local_video(source: str, storages: Storages | None = None) -> LocalVideo:
    """A video from elsewhere as a file of this machine, downloaded once; see `is_elsewhere`.

    Args:
        source: As people write it.
        storages: Finds files in storages; None where no server is asked.

    Raises:
        InputError: there is no such video, or it may not be loaded.
        NothingSent, OutcomeUnknown: where it is from cannot be reached, or the connection was lost.
    """
    downloads = Downloads(default_folder())
    if is_address(source):
        return WebVideos(downloads).get(source)
    return StoredVideos(downloads, storages).get(source)
