"""What scripts act on: posts by their URLs, on one platform, and the targets of tasks as TikMatrix shows them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from reelflow.errors import InputError

Platform = Literal["TikTok", "Instagram"]

_POST_URLS: dict[str, tuple[re.Pattern[str], str]] = {
    "TikTok": (
        re.compile(r"https://(?:www\.tiktok\.com/@[^/?#\s]+/video/(\d+)|vm\.tiktok\.com/(\w+))/?(?:[?#].*)?"),
        "https://www.tiktok.com/@user/video/ID or https://vm.tiktok.com/CODE/",
    ),
    "Instagram": (
        re.compile(r"https://www\.instagram\.com/(?:p|reel)/([\w-]+)/?(?:[?#].*)?"),
        "https://www.instagram.com/reel/CODE/ or https://www.instagram.com/p/CODE/",
    ),
}


def post_key(url: str, platform: Platform) -> str:
    """The post that a URL points to, however it is written: "TikTok 7231…".

    A short vm.tiktok.com URL is identified by its code alone, so it never equals the full URL of the same post.

    Raises:
        InputError: it is not the URL of a post on this platform.
    """
    pattern, like = _POST_URLS[platform]
    if match := pattern.fullmatch(url.strip()):
        return f"{platform} {next(part for part in match.groups() if part)}"
    for other, (its, _) in _POST_URLS.items():
        if its.fullmatch(url.strip()):
            raise InputError(f"{url} is a post on {other}, but this run is for {platform}.")
    raise InputError(f"{url!r} is not the URL of a post on {platform}. Use {like}.")


def target_of(script_args: Mapping[str, Any]) -> str:
    """The target in a task's arguments, as it was sent; empty if there is none."""
    for name in ("target_user", "target_post_url", "target_users", "target_post_urls"):
        value = script_args.get(name)
        if isinstance(value, list):
            value = value[0] if len(value) == 1 else None
        if isinstance(value, str) and value.strip():
            return value.strip()
    return ""
