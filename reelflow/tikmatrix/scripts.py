"""The TikMatrix scripts: every setting typed and bounded, with our names in the form and TikMatrix's on the wire.

A script is part of a form, so people read a field's title and description in the Prefect UI. Rules that a JSON schema
cannot express (one setting needs another) are in `Script.check`, and are checked before anything is sent.

Source: TikMatrix's API pages, "post", "follow", "unfollow", "account_warmup" and "comment".
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Literal

from reelflow.errors import InputError
from reelflow.fields import Form, entry
from reelflow.tikmatrix.targets import Platform, post_key

Order = Literal["random", "sequential"]


class Script(Form):
    """One script with its settings."""

    script_name: ClassVar[str]
    job: ClassVar[str]
    """The word for one of its tasks in messages: "comment"."""
    target_field: ClassVar[str] = ""
    """The name of its targets in ``script_config``; empty for a script without targets."""

    platform: Platform = entry(
        0, "Platform", "The app to use on the phones. Only accounts of this platform are used.", "TikTok"
    )

    @property
    def needs_chatgpt(self) -> bool:
        """Whether ChatGPT writes the comments."""
        return False

    @property
    def only_followed(self) -> bool:
        """Whether to skip users whom the account did not follow through reelflow."""
        return False

    def check(self) -> None:
        """Raise InputError for settings that contradict each other."""

    def targets(self) -> dict[str, str]:
        """What the script acts on: users or post URLs as they are sent, by what each is known by, without duplicates.

        Empty for a script without targets.

        Raises:
            InputError: one is not a username or the URL of a post on this platform, or all rows are empty.
        """
        return {}

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """The ``script_config`` without the targets, in TikMatrix's spelling."""


class WarmUp(Script):
    """Settings of ``account_warmup``: watch videos on a topic and react to some of them."""

    script_name: ClassVar[str] = "account_warmup"
    job: ClassVar[str] = "warm-up"

    duration_seconds: int = entry(
        10, "Duration (seconds)", "How long each account watches videos.", 600, ge=10, le=14400
    )  # fmt: skip
    topics: list[str] = entry(
        11,
        "Topics",
        "Keywords to search for videos, one per row. Leave empty for the app's own feed.",
        [],
        max_length=100,
    )
    min_seconds: int = entry(
        12, "Minimum view (seconds)", "Shortest time spent on one video.", 15, ge=1, le=3600, advanced=True
    )
    max_seconds: int = entry(
        13, "Maximum view (seconds)", "Longest time spent on one video.", 30, ge=1, le=3600, advanced=True
    )
    like_percent: int = entry(14, "Likes (percent)", "Share of watched videos to like.", 0, ge=0, le=100, advanced=True)
    follow_percent: int = entry(
        15, "Follows (percent)", "Share of watched videos whose author to follow. These follows do not count towards "
        "the daily limit.", 0, ge=0, le=100, advanced=True,
    )  # fmt: skip
    collect_percent: int = entry(
        16, "Favourites (percent)", "Share of watched videos to save.", 0, ge=0, le=100, advanced=True
    )
    comment_percent: int = entry(
        17, "Comments (percent)", "Share of watched videos to comment on. Needs texts below, or ChatGPT. These "
        "comments do not count towards the daily limit.", 0, ge=0, le=100, advanced=True,
    )  # fmt: skip
    comments: list[str] = entry(18, "Comments", "Texts to choose from, one per row.", [], max_length=500, advanced=True)
    comment_order: Order = entry(19, "Comment order", "How the next text is chosen.", "random", advanced=True)
    insert_emoji: bool = entry(20, "Add emoji", "Let TikMatrix add emoji to the comments.", False, advanced=True)
    write_with_chatgpt: bool = entry(
        21,
        "Comments by ChatGPT",
        "Let ChatGPT write the comments, using a ChatGPT Settings block.",
        False,
        advanced=True,
    )

    @property
    def needs_chatgpt(self) -> bool:
        """Whether ChatGPT writes the comments."""
        return self.write_with_chatgpt

    def check(self) -> None:
        """Raise InputError for settings that do not go together."""
        if self.min_seconds > self.max_seconds:
            raise InputError(
                f"The minimum view ({self.min_seconds} s) is longer than the maximum ({self.max_seconds} s)."
            )
        if self.comment_percent and not self.write_with_chatgpt and not texts(self.comments, "comment"):
            raise InputError(
                f"Comments are set for {self.comment_percent} percent of the videos, but there are no comment texts. "
                "Add some, or let ChatGPT write them."
            )

    def settings(self) -> dict[str, Any]:
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
    target_field: ClassVar[str] = "target_post_urls"

    post_urls: list[str] = entry(
        10, "Posts", "URLs of the posts, one per row: https://www.tiktok.com/@user/video/ID, "
        "https://vm.tiktok.com/CODE/, https://www.instagram.com/reel/CODE/ or https://www.instagram.com/p/CODE/.",
        min_length=1, max_length=500,
    )  # fmt: skip
    comments: list[str] = entry(11, "Comments", "Texts to choose from, one per row.", min_length=1, max_length=500)
    comment_order: Order = entry(12, "Comment order", "How the next text is chosen.", "random", advanced=True)
    insert_emoji: bool = entry(13, "Add emoji", "Let TikMatrix add emoji to the comments.", False, advanced=True)
    image_path: str = entry(
        14, "Image", "TikTok only: path on the phone PC to an image to comment with.", "", advanced=True,
    )  # fmt: skip

    def check(self) -> None:
        """Raise InputError for settings that do not go together."""
        texts(self.comments, "comment", needed=True)
        if self.image_path.strip() and self.platform != "TikTok":
            raise InputError("Comments with an image work on TikTok only. Leave 'Image' empty.")

    def targets(self) -> dict[str, str]:
        """The URLs of the posts, by the post that each points to."""
        urls = texts(self.post_urls, "post URL", needed=True)
        return _each_once(urls, lambda url: post_key(url, self.platform))

    def settings(self) -> dict[str, Any]:
        """The ``script_config`` without the posts."""
        return {
            "comment_content": "\n".join(texts(self.comments, "comment", needed=True)),
            "comment_order": self.comment_order,
            "insert_emoji": self.insert_emoji,
            **({"comment_image_path": self.image_path.strip()} if self.image_path.strip() else {}),
        }


class Follow(Script):
    """Settings of ``follow``."""

    script_name: ClassVar[str] = "follow"
    job: ClassVar[str] = "follow"
    target_field: ClassVar[str] = "target_users"

    users: list[str] = entry(10, "Users", "Usernames with or without @, one per row.", min_length=1, max_length=500)
    access: Literal["direct", "search"] = entry(
        11,
        "Open profiles by",
        "direct: the profile's URL. search: the app's search.",
        "direct",
        advanced=True,
    )

    def targets(self) -> dict[str, str]:
        """The users without @, by their names in lower case."""
        rows = texts(self.users, "user", needed=True)
        names = [name.strip().removeprefix("@") for row in rows for name in row.split(",") if name.strip()]
        if wrong := next((name for name in names if not re.fullmatch(r"[\w.]+", name)), None):
            raise InputError(f"{wrong!r} is not a username. Use letters, digits, dots and underscores only.")
        return _each_once(names, str.lower)

    def settings(self) -> dict[str, Any]:
        """The ``script_config`` without the users."""
        return {"access_method": self.access}


class Unfollow(Follow):
    """Settings of ``unfollow``."""

    script_name: ClassVar[str] = "unfollow"
    job: ClassVar[str] = "unfollow"

    only_followed_here: bool = entry(
        12,
        "Only users followed by reelflow",
        "Skip users that the account did not follow through reelflow.",
        True,
        advanced=True,
    )

    @property
    def only_followed(self) -> bool:
        """Whether to skip users whom the account did not follow through reelflow."""
        return self.only_followed_here


_POST_WAYS = {"share": "share", "add button": "addButton", "use sound": "useSound"}
_SOURCES = {"material library": "materialLibrary", "local folder": "localFolder"}
_SOUNDS = {"default": "-1", "off": "0", "on": "1", "custom": "custom"}


class Post(Script):
    """Settings of ``post``: publish from the app on the phone. All paths are on the phone PC."""

    script_name: ClassVar[str] = "post"
    job: ClassVar[str] = "post"

    content: Literal["video", "images"] = entry(10, "Content", "What to post.", "video", advanced=True)
    image_count: int = entry(11, "Images", "Number of images in an image post.", 1, ge=1, le=35, advanced=True)
    captions: str = entry(12, "Caption", "Text of the post. {a|b} picks one of several words.", "", max_length=2200)
    material_source: Literal["material library", "local folder"] = entry(
        13, "Material from", "TikMatrix's material library, or a folder on the phone PC.", "material library"
    )
    material_folder: str = entry(14, "Folder", "Path on the phone PC. Required for 'local folder'.", "")
    material_files: list[str] = entry(
        15, "Files", "Absolute paths on the phone PC. If you list any, 'Material from' and 'Folder' are ignored.", [],
        max_length=500, advanced=True,
    )  # fmt: skip
    material_tags: list[str] = entry(16, "Tags", "Only material with these tags.", [], max_length=50, advanced=True)
    post_way: Literal["share", "add button", "use sound"] = entry(
        17,
        "Post with",
        "Android's share menu, the app's + button, or the page of a sound.",
        "share",
        advanced=True,
    )
    sound_name: str = entry(
        18, "Sound", "Name of the sound. Required for 'use sound'.", "", max_length=200, advanced=True
    )
    added_sound: Literal["default", "off", "on", "custom"] = entry(
        19,
        "Added sound",
        "default: the app decides. custom: found by the sound keyword.",
        "default",
        advanced=True,
    )
    sound_keyword: str = entry(
        20, "Sound keyword", "Required if the added sound is 'custom'.", "", max_length=200, advanced=True
    )
    original_volume: int = entry(
        21, "Video volume (percent)", "Volume of the video's own sound.", 50, ge=0, le=100, advanced=True
    )
    added_volume: int = entry(
        22, "Added sound volume (percent)", "Volume of the added sound.", 50, ge=0, le=100, advanced=True
    )
    upload_wait_seconds: int = entry(
        23, "Upload wait (seconds)", "How long the upload may take.", 30, ge=0, le=3600, advanced=True
    )
    sound_wait_seconds: int = entry(
        24,
        "Sound wait (seconds)",
        "How long the sound may take to load.",
        10,
        ge=0,
        le=3600,
        advanced=True,
    )
    add_product_link: bool = entry(25, "Product link", "TikTok only: add a product link.", False, advanced=True)
    placement: Literal["reel", "story"] = entry(
        26, "Placement", "Instagram only: post as a reel or a story.", "reel", advanced=True
    )

    def check(self) -> None:
        """Raise InputError for settings that do not go together."""
        files = texts(self.material_files, "file")
        if self.material_source == "local folder" and not self.material_folder.strip() and not files:
            raise InputError("Material from 'local folder' needs a folder: enter its path on the phone PC.")
        if self.post_way == "use sound" and not self.sound_name.strip():
            raise InputError("Posting with 'use sound' needs the name of the sound.")
        if self.added_sound == "custom" and not self.sound_keyword.strip():
            raise InputError("The added sound 'custom' needs a sound keyword.")
        if self.add_product_link and self.platform != "TikTok":
            raise InputError("Product links work on TikTok only. Turn 'Product link' off.")
        if self.placement != "reel" and self.platform != "Instagram":
            raise InputError("The placement 'story' works on Instagram only. Choose 'reel'.")
        if tag := next((tag for tag in self.material_tags if "," in tag), None):
            raise InputError(f"The tag {tag!r} contains a comma. Put each tag in its own row.")
        if file := next((f for f in files if not re.match(r"([A-Za-z]:)?[\\/]", f)), None):
            raise InputError(f"{file!r} is not an absolute path such as C:\\videos\\one.mp4.")

    def settings(self) -> dict[str, Any]:
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


JOBS = {script.script_name: script.job for script in (WarmUp, Comment, Follow, Unfollow, Post)}
"""TikMatrix's name of each script, and the word for one of its tasks."""


_JOBS = {script.script_name: script.job for script in (WarmUp, Comment, Follow, Unfollow, Post)}


def job_of(script_name: str) -> str:
    """The word for one task of a script: "warm-up"; TikMatrix's own name of a script that is not among these."""
    return _JOBS.get(script_name, script_name)


def texts(lines: list[str], what: str, *, needed: bool = False) -> list[str]:
    """The lines of a list field, trimmed and without empty ones.

    Raises:
        InputError: `needed` is set, and all lines are empty.
    """
    found = [line.strip() for text in lines for line in text.splitlines() if line.strip()]
    if needed and not found:
        raise InputError(f"Add at least one {what}: all rows are empty.")
    return found


def _each_once(values: list[str], key: Callable[[str], str]) -> dict[str, str]:
    """The first of the values with each `key`, in their order."""
    found: dict[str, str] = {}
    for value in values:
        found.setdefault(key(value), value)
    return found
