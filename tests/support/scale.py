"""The load of the scale run: the posts and the phone tasks of two clients, and what must have come of them."""

import collections
import csv
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from blocks import TikMatrixHost
from reelflow.sandbox.catalog import ACCOUNTS, DEVICES
from support.clips import AAC, H264, ffmpeg, picture, tone

PLATFORMS = [account["platform"] for account in ACCOUNTS if account["platform"] != "TikTok"]
"""Those with one account, so that the platform names it."""
COMMENT_URL = "https://www.tiktok.com/@mara.bakes/video/7300000000000000"
LIMITED, *USERNAMES = [name for names in DEVICES.values() for name in names]
"""The first account of the phones is asked for more than its daily limit; the others share the rest of the load."""
WARM_UP_OF_LIMITED = ("account_warmup", LIMITED, "")
"""As `phone_tasks_of` tells it."""
WARM_UPS_A_DAY = TikMatrixHost.model_fields["warm_ups_per_day"].default
"""Of each account, on whichever PC."""


class Client(NamedTuple):
    """A client of the agency, and the PC with its phones.

    Attributes:
        name: Of its block.
        pc: Of its PC.
        plan: At Taisly.
    """

    name: str
    pc: str
    plan: str


CLIENTS = [Client("main", "attic", "PRO"), Client("florist", "cellar", "INFLUENCER")]


class Job(NamedTuple):
    """A run to be started: of which flow, for whom, with which parameters."""

    flow: str
    client: Client
    parameters: dict[str, Any]


def make_videos(folder: Path, number: int) -> list[Path]:
    """`number` videos, each of another length, so that no two count as the same."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for index in range(number):
        path, seconds = folder / f"{index:03}.mp4", 3.2 + 0.12 * index
        ffmpeg(*picture("90x160", "5", seconds), *tone(seconds), *H264, *AAC, str(path))
        found.append(path)
    return found


class Load:
    """What is to be posted and done, and the jobs that do it.

    Args:
        folder: For the campaigns' plans.
        videos: Each is posted once by each client, at most.
    """

    def __init__(self, folder: Path, videos: list[Path]) -> None:
        self._folder = folder
        self._videos = {client.name: iter(videos) for client in CLIENTS}
        self._numbers = itertools.count()
        self.captions: dict[str, list[str]] = {client.name: [] for client in CLIENTS}
        """The captions of all posts by client; each is sent to one account."""
        self.at_once = set[str]()
        """Those of posts without a time."""
        self.phone_tasks: dict[str, int] = {client.pc: 0 for client in CLIENTS}
        """How many tasks each PC gets."""

    def forms(self, number: int, clients: list[Client] = CLIENTS) -> Iterator[Job]:
        """Jobs that publish `number` posts by the form, the clients taking turns."""
        for client, index in zip(itertools.cycle(clients), range(number), strict=False):
            video, caption = self._post(client, "form")
            self.at_once.add(caption)
            account = PLATFORMS[index // len(clients) % len(PLATFORMS)]
            post = {"video": str(video), "accounts": [account], "caption": caption, "watch_minutes": 5}
            yield Job("publish-video", client, {"post": post})

    def campaign(self, client: Client, number: int) -> Job:
        """A campaign of so many posts: a third is published now, the others in slots."""
        plan = self._folder / f"campaign-{next(self._numbers)}.csv"
        with plan.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["video", "caption", "when", "accounts"])
            for index in range(number):
                video, caption = self._post(client, "campaign")
                when = "" if index % 3 else "now"
                self.at_once.update([caption] if when else [])
                rows.writerow([video, caption, when, PLATFORMS[index % len(PLATFORMS)]])
        form = {"plan": str(plan), "minutes_apart": 0, "watch_minutes": 5}
        return Job("publish-campaign", client, {"campaign": form})

    def phones(self, client: Client, number: int) -> Iterator[Job]:
        """Runs with `number` tasks in all, of three kinds, one for each account that takes part.

        Both PCs have the same accounts, so each has users and posts of its own: an account does nothing twice. With
        more tasks some would warm up twice, and nothing tells one warm-up from the other.
        """
        assert number <= 4 * len(USERNAMES), number
        left = number
        for turn in itertools.count(100 * CLIENTS.index(client)):
            names = USERNAMES[: min(left, len(USERNAMES))]
            if not names:
                return
            left -= len(names)
            self.phone_tasks[client.pc] += len(names)
            kind = ("follow-users", "comment-on-posts", "warm-up-accounts")[turn % 3]
            form: dict[str, Any] = {"usernames": names, "watch_minutes": 60}
            if kind == "follow-users":
                form["users"] = [f"mara.number.{turn}"]
            elif kind == "comment-on-posts":
                form |= {"post_urls": [f"{COMMENT_URL}{turn:03}"], "comments": ["Looks delicious", "Lovely"]}
            else:
                form["duration_seconds"] = 60
            field = {"follow-users": "follows", "comment-on-posts": "comments"}.get(kind, "warm_up")
            yield Job(kind, client, {field: form})

    def over_the_limit(self, client: Client) -> Iterator[Job]:
        """As many runs as an account may warm up in a day, and as many again; each asks for one more warm-up of it."""
        for _ in range(2 * WARM_UPS_A_DAY):
            form = {"usernames": [LIMITED], "duration_seconds": 60, "watch_minutes": 60}
            yield Job("warm-up-accounts", client, {"warm_up": form})

    def _post(self, client: Client, way: str) -> tuple[Path, str]:
        caption = f"{client.name} {way} {len(self.captions[client.name]):03}"
        self.captions[client.name].append(caption)
        return next(self._videos[client.name]), caption


def wrong_posts(wanted: list[str], posts: list[dict[str, Any]]) -> tuple[list[str], list[str]]:
    """The captions that are missing at Taisly, and those that are there more than once or belong to another client."""
    there = collections.Counter(post["caption"] for post in posts for _ in post["platforms"])
    missing = [caption for caption in wanted if not there[caption]]
    too_many = [caption for caption, number in there.items() if number > 1 or caption not in wanted]
    return missing, too_many


def phone_tasks_of(tasks: list[dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Script, account and target of each phone task of the load: no two of them are the same."""
    for task in tasks:
        told = task["script_args"]
        target = told.get("target_post_url") or told.get("target_user") or ""
        yield task["script_name"], str(told.get("username") or task["serial"]), str(target)
