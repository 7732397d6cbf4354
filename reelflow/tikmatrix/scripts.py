"""The five scripts of TikMatrix: every setting, typed and bounded, in our words; and in the vendor's on the wire.

A script is part of a form, so a field's title and description are what people read in the Prefect UI. What a JSON
schema cannot say (this needs that) is in `Script.check`, and is checked before anything is sent.

Source: TikMatrix's API pages, "post", "follow", "unfollow", "account_warmup" and "comment".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from reelflow.errors import InputError

Platform = Literal["TikTok", "Instagram"]
Order = Literal["random", "sequential"]

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


def entry(position: int, title: str, description: str, default: Any = ..., **more: Any) -> Any:
    """A field of a form: where it stands, what it is called, and its help."""
    return Field(default, title=title, description=description, json_schema_extra={"position": position}, **more)


class Script(BaseModel):
    """One script with its settings."""

    model_config = ConfigDict(extra="forbid")

    script_name: ClassVar[str]
    job: ClassVar[str]
    """What one task of it is, for people: "comment"."""

    platform: Platform = entry(
        0, "Platform", "The app that the phones do it in. Only accounts of this platform are used.", "TikTok"
    )

    def check(self) -> None:
        """Raise InputError for settings that do not go together."""

    def targets(self) -> list[str]:
        """What the script acts on, as it is sent: users or post addresses. Empty for a script without targets."""
        return []

    def config(self, targets: list[str]) -> dict[str, Any]:
        """The ``script_config`` for these targets, in the vendor's spelling."""
        raise NotImplementedError


class WarmUp(Script):
    """Settings of ``account_warmup``: watch videos on a topic, and react to some of them."""

    script_name: ClassVar[str] = "account_warmup"
    job: ClassVar[str] = "warm-up"

    duration_seconds: int = entry(10, "Duration (seconds)", "How long each account watches.", 600, ge=10, le=14400)
    topics: list[str] = entry(
        11, "Topics", "Keywords to search videos by, one each. None: whatever the app shows.", [], max_length=100
    )
    min_seconds: int = entry(12, "Shortest look (seconds)", "Least time spent on one video.", 15, ge=1, le=3600)
    max_seconds: int = entry(13, "Longest look (seconds)", "Most time spent on one video.", 30, ge=1, le=3600)
    like_percent: int = entry(14, "Like (percent)", "Of the videos watched.", 0, ge=0, le=100)
    follow_percent: int = entry(
        15, "Follow (percent)", "Of the videos watched. The daily limit of follows does not count these.", 0,
        ge=0, le=100,
    )  # fmt: skip
    collect_percent: int = entry(16, "Save to favourites (percent)", "Of the videos watched.", 0, ge=0, le=100)
    comment_percent: int = entry(
        17, "Comment (percent)", "Of the videos watched; needs comments below, or ChatGPT. The daily limit of comments "
        "does not count these.", 0, ge=0, le=100,
    )  # fmt: skip
    comments: list[str] = entry(18, "Comments", "Texts to choose from, one each.", [], max_length=500)
    comment_order: Order = entry(19, "Order of comments", "How a text is chosen.", "random")
    insert_emoji: bool = entry(20, "Add emoji", "TikMatrix adds emoji to a comment.", False)
    write_with_chatgpt: bool = entry(
        21, "Comments by ChatGPT", "Let ChatGPT write them, with the settings of the block below.", False
    )

    def check(self) -> None:
        """Raise InputError for settings that do not go together."""
        if self.min_seconds > self.max_seconds:
            raise InputError(
                f"The shortest look ({self.min_seconds} s) is longer than the longest ({self.max_seconds} s)."
            )
        if self.comment_percent and not self.write_with_chatgpt and not texts(self.comments, "comment"):
            raise InputError(
                f"Comments are wanted for {self.comment_percent} percent of the videos, but there is no text. "
                "Give comments, or let ChatGPT write them."
            )

    def config(self, targets: list[str]) -> dict[str, Any]:
        """The ``script_config``; `floow_probable` is the vendor's own spelling."""
        return {
            "task_duration": self.duration_seconds,
            "topic": "\n".join(texts(self.topics, "topic")),
            "min_duration": self.min_seconds,
            "max_duration": self.max_seconds,
            "like_probable": self.like_percent,
            "floow_probable": self.follow_percent,
            "collect_probable": self.collect_percent,
            "comment_probable": self.comment_percent,
            "comment": "\n".join(texts(self.comments, "comment")),
            "comment_order": self.comment_order,
            "insert_emoji": self.insert_emoji,
            "generate_by_chatgpt": self.write_with_chatgpt,
        }


class Comment(Script):
    """Settings of ``comment``: write one comment under each post."""

    script_name: ClassVar[str] = "comment"
    job: ClassVar[str] = "comment"

    post_urls: list[str] = entry(
        10, "Posts", "Addresses of the posts: https://www.tiktok.com/@user/video/ID, https://vm.tiktok.com/CODE/, "
        "https://www.instagram.com/reel/CODE/ or https://www.instagram.com/p/CODE/.",
        min_length=1, max_length=500,
    )  # fmt: skip
    comments: list[str] = entry(11, "Comments", "Texts to choose from, one each.", min_length=1, max_length=500)
    comment_order: Order = entry(12, "Order of comments", "How a text is chosen.", "random")
    insert_emoji: bool = entry(13, "Add emoji", "TikMatrix adds emoji to a comment.", False)
    image_path: str = entry(
        14, "Picture", "TikTok only: path of a picture on the TikMatrix PC to comment with.", ""
    )  # fmt: skip

    def check(self) -> None:
        """Raise InputError for settings that do not go together."""
        texts(self.comments, "comment", needed=True)
        self.targets()
        if self.image_path.strip() and self.platform != "TikTok":
            raise InputError("A comment with a picture works on TikTok only. Leave 'Picture' empty.")

    def targets(self) -> list[str]:
        """The posts' addresses, each once."""
        urls = texts(self.post_urls, "post address", needed=True)
        return _each_once(urls, lambda url: post_key(url, self.platform))

    def config(self, targets: list[str]) -> dict[str, Any]:
        """The ``script_config``."""
        return {
            "target_post_urls": targets,
            "comment_content": "\n".join(texts(self.comments, "comment", needed=True)),
            "comment_order": self.comment_order,
            "insert_emoji": self.insert_emoji,
            **({"comment_image_path": self.image_path.strip()} if self.image_path.strip() else {}),
        }


class Follow(Script):
    """Settings of ``follow``."""

    script_name: ClassVar[str] = "follow"
    job: ClassVar[str] = "follow"

    users: list[str] = entry(10, "Users", "Whom; names with or without @, one each.", min_length=1, max_length=500)
    access: Literal["direct", "search"] = entry(
        11, "Way to the profile", "direct: by its address; search: through the app's search.", "direct"
    )

    def targets(self) -> list[str]:
        """The users, without @, each once."""
        names = [name.removeprefix("@") for name in texts(self.users, "user", needed=True)]
        if wrong := next((name for name in names if not re.fullmatch(r"[\w.]+", name)), None):
            raise InputError(f"{wrong!r} is not a user name: letters, digits, dots and underscores.")
        return _each_once(names, str.lower)

    def config(self, targets: list[str]) -> dict[str, Any]:
        """The ``script_config``."""
        return {"target_users": targets, "access_method": self.access}


class Unfollow(Follow):
    """Settings of ``unfollow``."""

    script_name: ClassVar[str] = "unfollow"
    job: ClassVar[str] = "unfollow"

    only_followed_here: bool = entry(
        12, "Only whom reelflow followed", "Leave out users whom the account did not follow through reelflow.", True
    )


_POST_WAYS = {"share": "share", "add button": "addButton", "use sound": "useSound"}
_SOURCES = {"material library": "materialLibrary", "local folder": "localFolder"}
_SOUNDS = {"default": "-1", "off": "0", "on": "1", "custom": "custom"}


class Post(Script):
    """Settings of ``post``: publish from the phone's own app. Every path is one on the TikMatrix PC."""

    script_name: ClassVar[str] = "post"
    job: ClassVar[str] = "post"

    content: Literal["video", "images"] = entry(10, "Content", "What to post.", "video")
    image_count: int = entry(11, "Images", "How many images, for image posts.", 1, ge=1, le=35)
    captions: str = entry(12, "Captions", "Text of the post; {a|b} chooses one of several words.", "", max_length=2200)
    material_source: Literal["material library", "local folder"] = entry(
        13, "Material from", "TikMatrix's material library, or a folder on its PC.", "material library"
    )
    material_folder: str = entry(14, "Folder", "On the TikMatrix PC; needed with 'local folder'.", "")
    material_files: list[str] = entry(
        15, "Files", "Absolute paths on the TikMatrix PC. If any are given, they count, and not the two before.", [],
        max_length=500,
    )  # fmt: skip
    material_tags: list[str] = entry(16, "Tags", "Only material with these tags.", [], max_length=50)
    post_way: Literal["share", "add button", "use sound"] = entry(
        17, "Way to post", "Through Android's share menu, the app's + button, or a sound's page.", "share"
    )
    sound_name: str = entry(18, "Sound", "Its name; needed with 'use sound'.", "", max_length=200)
    added_sound: Literal["default", "off", "on", "custom"] = entry(
        19, "Added sound", "default: as the app does; custom: found by the keyword below.", "default"
    )
    sound_keyword: str = entry(20, "Sound keyword", "Needed with the added sound 'custom'.", "", max_length=200)
    original_volume: int = entry(21, "Volume of the video (percent)", "Its own sound.", 50, ge=0, le=100)
    added_volume: int = entry(22, "Volume of the added sound (percent)", "Beside the video's own.", 50, ge=0, le=100)
    upload_wait_seconds: int = entry(23, "Wait for the upload (seconds)", "Before going on.", 30, ge=0, le=3600)
    sound_wait_seconds: int = entry(24, "Wait for the sound (seconds)", "Before going on.", 10, ge=0, le=3600)
    add_product_link: bool = entry(25, "Product link", "TikTok only: add a product link.", False)
    placement: Literal["reel", "story"] = entry(26, "Placement", "Instagram only.", "reel")

    def check(self) -> None:
        """Raise InputError for settings that do not go together."""
        files = texts(self.material_files, "file")
        if self.material_source == "local folder" and not self.material_folder.strip() and not files:
            raise InputError("Material from 'local folder' needs the folder, as a path on the TikMatrix PC.")
        if self.post_way == "use sound" and not self.sound_name.strip():
            raise InputError("The way 'use sound' needs the name of the sound.")
        if self.added_sound == "custom" and not self.sound_keyword.strip():
            raise InputError("The added sound 'custom' needs a keyword to find it by.")
        if self.add_product_link and self.platform != "TikTok":
            raise InputError("A product link works on TikTok only.")
        if self.placement != "reel" and self.platform != "Instagram":
            raise InputError("The placement 'story' is Instagram's only.")
        if tag := next((tag for tag in self.material_tags if "," in tag), None):
            raise InputError(f"The tag {tag!r} has a comma in it; give one tag in each row.")
        if file := next((f for f in files if not re.match(r"([A-Za-z]:)?[\\/]", f)), None):
            raise InputError(f"{file!r} is not an absolute path, such as C:\\videos\\one.mp4.")

    def config(self, targets: list[str]) -> dict[str, Any]:
        """The ``script_config``."""
        files = texts(self.material_files, "file")
        config: dict[str, Any] = {
            "content_type": 0 if self.content == "video" else 1,
            "image_count": self.image_count,
            "captions": self.captions,
            "post_way": _POST_WAYS[self.post_way],
            "material_source": _SOURCES[self.material_source],
            "materials_tags": ",".join(texts(self.material_tags, "tag")),
            "upload_wait_time": self.upload_wait_seconds,
            "sound_wait_time": self.sound_wait_seconds,
            "add_sound": _SOUNDS[self.added_sound],
            "origin_sound_volume": self.original_volume,
            "add_sound_volume": self.added_volume,
        }
        optional = {
            "material_path": self.material_folder.strip(),
            "material_list": files,
            "sound_name": self.sound_name.strip(),
            "custom_sound_keyword": self.sound_keyword.strip(),
        }
        own = {"add_product_link": int(self.add_product_link)} if self.platform == "TikTok" else {
            "placement": self.placement
        }  # fmt: skip
        return config | {name: value for name, value in optional.items() if value} | own


def texts(lines: list[str], what: str, *, needed: bool = False) -> list[str]:
    """The lines of a list field, trimmed; empty ones left out, unless that leaves none and some are needed.

    Raises:
        InputError: none is left of lines that are needed.
    """
    found = [line.strip() for text in lines for line in text.splitlines() if line.strip()]
    if needed and not found:
        raise InputError(f"There is no {what}: only empty rows were given.")
    return found


def _each_once(values: list[str], key: Callable[[str], str]) -> list[str]:
    """The first of the values that mean the same, in their order."""
    found: dict[str, str] = {}
    for value in values:
        found.setdefault(key(value), value)
    return list(found.values())


def post_key(url: str, platform: Platform) -> str:
    """What a post's address names, whatever way it is written: "TikTok 7231…".

    A short vm.tiktok.com address is known by its code alone; whether it is the post of another address is not known.

    Raises:
        InputError: it is no post's address on this platform.
    """
    pattern, like = _POST_URLS[platform]
    if match := pattern.fullmatch(url.strip()):
        return f"{platform} {next(part for part in match.groups() if part)}"
    for other, (its, _) in _POST_URLS.items():
        if its.fullmatch(url.strip()):
            raise InputError(f"{url} is a post on {other}, and this run is for {platform}.")
    raise InputError(f"{url!r} is not the address of a post on {platform}; those are like {like}.")


def target_of(script_args: Mapping[str, Any]) -> str:
    """The target that a task's arguments name, as it was sent; empty where they name none."""
    for name in ("target_user", "target_post_url", "target_users", "target_post_urls"):
        value = script_args.get(name)
        if isinstance(value, list):
            value = value[0] if len(value) == 1 else None
        if isinstance(value, str) and value.strip():
            return value.strip()
    return ""
