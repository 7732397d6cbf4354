"""What a person is asked to approve, as Markdown: every post with its picture, caption, accounts and time."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import accumulate

from reelflow.campaigns.posts import PlannedPost
from reelflow.errors import VideoUnreadable
from reelflow.time_zones import shown_zone
from reelflow.video.poster import poster
from reelflow.wording import count, one_line
from tasks.artifacts import LONGEST_TEXT, MOST_BYTES, picture, plain_text, table
from tasks.campaigns.wording import zone_shown

POSTER_HEIGHT, POSTER_WIDTH = 120, 54
"""Pixels."""
MOST_ASKED = 60
"""Posts that the dialog shows, with pictures of 4 to 7 KB each."""
ASKED_BYTES = 480_000
"""Of the dialog. The server keeps it for each question."""
CAPTION_LENGTHS = (LONGEST_TEXT, 300, 80)
"""Characters of a caption of the others, in the run's artifact: the first with which all of them have room."""

Row = tuple[str, str, str]
PhonesOf = Callable[[PlannedPost], str]
"""What the phones do for a post once it is published, in words; empty for nothing."""


def question_of(
    name: str, note: str, what: str, posts: Sequence[PlannedPost], phones_of: PhonesOf = lambda post: ""
) -> tuple[list[str], list[str]]:
    """The lines of the dialog, and those of the run's artifact, which lists what the dialog has no room for.

    Args:
        name: Of the campaign.
        note: What is to be said first.
        what: What is asked, in one line.
        posts: With their times.
        phones_of: What the phones do for a post, in words.
    """
    head = [f"**{plain_text(note)}**", ""] if note else []
    head += [f"{plain_text(name)}: {what} {zone_shown()}", ""]
    asked = _within([*_with_posters(posts[:MOST_ASKED], phones_of)], ASKED_BYTES)
    others = posts[len(asked) :]
    listed = _others(others, phones_of, MOST_BYTES - _bytes(asked))
    first = [*head, *_table(asked)]
    if not others:
        return first, first
    more = f"And {count(len(others), 'more post')}, listed under *Artifacts* of this run. Your answer counts for all."
    beyond = len(others) - len(listed)
    rest = ["", *_table(listed)]
    if beyond:
        are, them = ("is", "it") if beyond == 1 else ("are", "them")
        rest += ["", f"{count(beyond, 'more post')} {are} not shown. Your answer counts for {them} too."]
    return [*first, "", more], [*first, *rest]


def _others(posts: Sequence[PlannedPost], phones_of: PhonesOf, room: int) -> list[Row]:
    rows: list[Row] = []
    for longest in CAPTION_LENGTHS:
        rows = [_row(post, phones_of(post), longest) for post in posts]
        if _bytes(rows) <= room:
            break
    return _within(rows, room)


def _within(rows: Sequence[Row], room: int) -> list[Row]:
    sizes = accumulate(_bytes([row]) for row in rows)
    return [row for row, size in zip(rows, sizes, strict=True) if size <= room]


def _bytes(rows: Sequence[Row]) -> int:
    return sum(len(cell.encode()) + 3 for row in rows for cell in row)


def _table(rows: Sequence[Row]) -> list[str]:
    """The dialog of the UI has 430 pixels for it: three columns, with the picture below the time."""
    numbers, times, posts = zip(*rows, strict=True)
    return table({"Row": numbers, "When": times, "Post": posts})


def _with_posters(posts: Sequence[PlannedPost], phones_of: PhonesOf) -> list[Row]:
    """Rows with a small picture of each video, where that can be made: once, at its first row."""
    rows, seen = [], set[str]()
    for post in posts:
        number, when, what = _row(post, phones_of(post))
        path = post.request.video.path
        if str(path) not in seen:
            seen.add(str(path))
            with suppress(VideoUnreadable, OSError):
                jpeg = poster(path, at=post.request.preview_second, height=POSTER_HEIGHT)
                when += picture(jpeg, POSTER_WIDTH)
        rows.append((number, when, what))
    return rows


def _row(post: PlannedPost, phones: str, longest: int = LONGEST_TEXT) -> Row:
    request = post.request
    parts = [request.video.name, one_line(request.caption, longest), request.account_names]
    parts += [f"Phones: {phones}"] if phones else []
    name, *rest = map(plain_text, parts)
    return str(post.number), _when(post), "<br>".join(filter(None, [f"**{name}**", *rest]))


def _when(post: PlannedPost) -> str:
    due = post.request.scheduled_for
    local = due.astimezone(shown_zone()) if due else None
    return f"{local:%a} {local.day} {local:%b}<br>{local:%H:%M}" if local else "now"
