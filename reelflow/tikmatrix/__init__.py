"""TikMatrix's local API: runs scripts on the user's own Android phones."""

from reelflow.tikmatrix.client import TikMatrixClient

__all__ = ["TikMatrixClient"]
