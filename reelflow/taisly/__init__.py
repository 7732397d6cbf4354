"""Taisly's web API: posts one video to TikTok, Instagram Reels, YouTube Shorts, X and Facebook."""

from reelflow.taisly.client import TaislyClient

__all__ = ["TaislyClient"]
