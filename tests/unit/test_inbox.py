"""An inbox without Prefect: what is taken, what waits, what is ignored, and where files are moved."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reelflow.campaigns.filing import Fate, fate_of, file_away, finish_moves, text_about
from reelflow.campaigns.inbox import Inbox, InboxOptions, look_into
from reelflow.campaigns.looking import InboxVideo, look
from reelflow.campaigns.report import CampaignLine
from reelflow.campaigns.rows import RowProblem
from reelflow.errors import InputError

HOUR = 3600.0


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def put(folder: Path, *names: str, text: str = "something") -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def find(folder: Path, meanwhile: Callable[[], object] = lambda: None, *, later: float = HOUR, **options: Any) -> Inbox:
    """What is found `later` seconds after the files were put there."""
    slept = list[float]()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        meanwhile()

    given = {"accounts": ("Instagram",)} | options
    found = look_into(folder, InboxOptions(sleep=sleep, clock=lambda: time.time() + later, **given))
    assert len(slept) <= 1
    return found


def names(found: Inbox) -> list[str]:
    return [video.path.name for video in found.videos.values()]


def first(found: Inbox) -> InboxVideo:
    return found.videos[1]


def line(outcome: str, **more: Any) -> CampaignLine:
    return CampaignLine(**({"number": 1, "video": "cake.mp4", "account": "Instagram"} | more), outcome=outcome)


def test_complete_videos_become_rows_with_their_captions(inbox: Path) -> None:
    """In the order in which people number files."""
    put(inbox, "clip 10.mp4", "clip 2.MOV")
    put(inbox, "clip 2.txt", text="Fresh bread\n")
    put(inbox, "clip 2.tiktok.txt", text="Bread")

    found = find(inbox)

    assert names(found) == ["clip 2.MOV", "clip 10.mp4"]
    row = found.plan.rows[0]
    assert (row.caption, dict(row.captions), row.accounts, row.when) == (
        "Fresh bread", {"tiktok": "Bread"}, ("Instagram",), None,
    )  # fmt: skip
    assert (found.remarks(), found.problems) == ([], ())


def test_an_empty_inbox_is_looked_at_once(inbox: Path) -> None:
    """Every ten minutes, for years."""
    (inbox / "done").mkdir()

    found = find(inbox, lambda: pytest.fail("waited for nothing"))

    assert (found.videos, found.plan.rows, found.remarks()) == ({}, (), [])


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("the video grows", lambda f: (f / "cake.mp4").write_text("something more")),
        ("the video is written again", lambda f: os.utime(f / "cake.mp4", (1, 1))),
        ("the video goes", lambda f: (f / "cake.mp4").unlink()),
        ("a folder takes its place", lambda f: ((f / "cake.mp4").unlink(), (f / "cake.mp4").mkdir())),
        ("its caption grows", lambda f: (f / "cake.txt").write_text("something more")),
        ("its caption goes", lambda f: (f / "cake.txt").unlink()),
        ("another caption comes", lambda f: put(f, "cake.tiktok.txt")),
        ("its accounts come", lambda f: put(f, "accounts.txt")),
        ("a download begins", lambda f: put(f, "cake.mp4.crdownload")),
        ("it is emptied", lambda f: (f / "cake.mp4").write_text("")),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_changes_between_two_looks_is_left_to_the_next_run(
    inbox: Path, name: str, change: Callable[[Path], object]
) -> None:
    """Also where only its caption is not complete yet; others are taken."""
    put(inbox, "sub/bread.mp4", "cake.mp4", "cake.txt")

    found = find(inbox, lambda: change(inbox))

    assert names(found) == ["bread.mp4"]
    assert found.waiting == (() if not (inbox / "cake.mp4").is_file() else ("cake.mp4",))


def test_a_video_without_a_caption_waits_for_one(inbox: Path) -> None:
    """A caption may come after its video; one that never comes holds the video up for two minutes."""
    put(inbox, "cake.mp4", "bread.mp4", "bread.txt")

    early, late = find(inbox, later=60), find(inbox, later=150)

    assert (names(early), early.waiting) == (["bread.mp4"], ("cake.mp4",))
    assert names(late) == ["bread.mp4", "cake.mp4"]


@pytest.mark.parametrize(
    ("folder", "captions", "is_taken"),
    [
        ("TikTok @mara + Instagram", ["tiktok"], False),
        ("TikTok @mara, Instagram", ["tiktok"], False),
        ("all", ["tiktok", "instagram"], False),
        ("TikTok @mara + Instagram", ["tiktok", "instagram"], True),
        ("tiktok", ["tiktok"], True),
    ],
)
def test_a_caption_for_one_platform_does_not_end_the_wait_of_others(
    inbox: Path, folder: str, captions: list[str], is_taken: bool
) -> None:
    """Else they would be posted without a caption, of which not all was there yet."""
    put(inbox, f"{folder}/cake.mp4", *(f"{folder}/cake.{platform}.txt" for platform in captions))

    early, late = find(inbox, later=60), find(inbox, later=150)

    assert (bool(names(early)), names(late)) == (is_taken, ["cake.mp4"])


def test_a_time_that_is_to_come_holds_nothing_up(inbox: Path) -> None:
    """A camera's clock may be years ahead."""
    put(inbox, "cake.mp4")
    os.utime(inbox / "cake.mp4", (4e9, 4e9))

    assert names(find(inbox)) == ["cake.mp4"]


def test_files_that_nobody_put_there_are_ignored(inbox: Path) -> None:
    """Of systems, of NAS devices, of programs that synchronise or download, and our own."""
    put(
        inbox, ".hidden.mp4", "._cake.mp4", ".syncthing.cake.mp4.tmp", "cake.mp4.part", "cake.mp4.crdownload",
        "~$cake.mp4", "Thumbs.db", "desktop.ini", "old.mp4.reelflow.txt", "done/a.mp4", "REJECTED/b.mp4",
        "@eaDir/c.mp4", ".stfolder/d.mp4", "#recycle/e.mp4",
    )  # fmt: skip

    found = find(inbox)

    assert (names(found), found.remarks()) == ([], [])


def test_what_is_never_taken_is_named(inbox: Path) -> None:
    """Nobody should wait for it."""
    put(inbox, "notes.pdf", "sub/week/cake.mp4", "cake.txt")
    put(inbox.parent / "elsewhere", "far.mp4")
    (inbox / "far.mp4").symlink_to(inbox.parent / "elsewhere" / "far.mp4")
    for name in ("further", "done"):
        (inbox / name).symlink_to(inbox.parent / "elsewhere")

    now, tomorrow = find(inbox), find(inbox, later=25 * HOUR)

    assert names(now) == []
    assert [remark.rpartition(": ")[2] for remark in now.remarks()] == [
        "notes.pdf.", "sub/week.", "far.mp4, further.",
    ]  # fmt: skip
    assert "Captions without a video for more than a day: cake.txt." in tomorrow.remarks()


def test_a_subfolder_names_accounts(inbox: Path) -> None:
    """By its name, or by a file in it, which counts more."""
    put(inbox, "TikTok @mara + Instagram/a.mp4", "X, YouTube/b.mp4", "Monday/c.mp4")
    put(inbox, "Monday/accounts.txt", text="\ufeff# mine\nTikTok @mara.bakes\n\nFacebook\n")

    found = find(inbox)

    assert {row.video.rpartition("/")[2]: row.accounts for row in found.plan.rows} == {
        "a.mp4": ("TikTok @mara", "Instagram"),
        "b.mp4": ("X, YouTube",),
        "c.mp4": ("TikTok @mara.bakes", "Facebook"),
    }


def test_folders_without_accounts_are_problems_and_the_others_are_taken(inbox: Path) -> None:
    """Nothing is guessed."""
    put(inbox, "a.mp4", "b/b.mp4", "X/c.mp4")
    put(inbox, "b/accounts.txt", text="# nobody\n")

    found = find(inbox, accounts=())

    assert names(found) == ["c.mp4"]
    assert ["a.mp4" in found.problems[0], "b/accounts.txt names no account" in found.problems[1]] == [True, True]


def test_a_run_takes_so_many_and_each_folder_has_its_turn(inbox: Path) -> None:
    """Hundreds at once do not use up the plan; a folder whose videos have to stay keeps no other from being taken."""
    put(inbox, *(f"a/{number}.mp4" for number in range(9)), "b/x.mp4")

    found = find(inbox, most=4)

    assert (names(found), found.left) == (["0.mp4", "x.mp4", "1.mp4", "2.mp4"], 6)
    assert found.remarks() == ["6 more videos left for the next run."]


def test_a_folder_that_is_not_there_is_said(inbox: Path) -> None:
    """A drive that is not connected."""
    with pytest.raises(InputError, match=r"The inbox .* cannot be read"):
        find(inbox / "none")


def test_a_caption_that_cannot_be_read_is_a_problem_of_its_row(inbox: Path) -> None:
    """Too long to be one."""
    put(inbox, "cake.mp4", "bread.mp4")
    put(inbox, "cake.txt", text="x" * 200_000)

    found = find(inbox)

    assert [(problem.number, problem.code) for problem in found.plan.problems] == [(2, "caption_file")]


@pytest.mark.parametrize(
    ("codes", "outcomes", "fate"),
    [
        ([], ["scheduled", "published", "open", "unconfirmed"], Fate.DONE),
        ([], ["scheduled", "not sent"], Fate.STAYS),
        ([], ["scheduled", "on hold"], Fate.STAYS),
        ([], ["scheduled", "failed"], Fate.REJECTED),
        ([], ["refused"], Fate.REJECTED),
        ([], [], Fate.STAYS),
        (["accounts"], ["wrong"], Fate.STAYS),
        (["no_slot", "caption"], ["wrong"], Fate.STAYS),
        (["caption"], ["wrong"], Fate.REJECTED),
        (["sent_before"], ["wrong"], Fate.REJECTED),
        (["twice"], ["wrong"], Fate.LATER),
        (["slots_paused"], ["wrong"], Fate.LATER),
        (["video"], ["wrong"], Fate.REJECTED),
    ],
)
def test_what_becomes_of_a_video(inbox: Path, codes: list[str], outcomes: list[str], fate: Fate) -> None:
    """What is wrong with the video, a person fixes; what is wrong with anything else, the video waits for."""
    put(inbox, "cake.mp4")
    problems = [RowProblem(1, "", code, "") for code in codes]

    found = fate_of(first(find(inbox)), problems, [line(o) for o in outcomes], now=time.time() + HOUR, wait=60)

    assert found is fate


def test_a_video_of_which_not_all_may_be_there_is_not_rejected(inbox: Path) -> None:
    """A copy that stalled for longer than two looks; and one that has gone on since."""
    put(inbox, "cake.mp4")
    video, wrong = first(find(inbox)), [RowProblem(1, "video", "video", "")]

    young = fate_of(video, wrong, [line("wrong")], now=time.time(), wait=120)
    (inbox / "cake.mp4").write_text("something more")
    changed = fate_of(video, wrong, [line("wrong")], now=time.time() + HOUR, wait=120)

    assert (young, changed) == (Fate.LATER, Fate.LATER)


def test_a_new_file_in_the_place_of_one_that_was_sent_stays(inbox: Path) -> None:
    """It was written while the run was at work, and is the next run's."""
    put(inbox, "cake.mp4")
    video = first(find(inbox))
    put(inbox, "cake.mp4", text="the next one")

    assert fate_of(video, [], [line("scheduled")], now=time.time() + HOUR, wait=0) is Fate.LATER


def test_a_video_is_moved_with_its_captions_and_a_text(inbox: Path) -> None:
    """Below the name of its subfolder; the text is never taken for a caption."""
    put(inbox, "TikTok/cake.mp4", "TikTok/cake.txt", "TikTok/cake.x.txt")
    video = first(find(inbox))
    text = text_about(video, Fate.DONE, [line("scheduled", send_id="s1", history_id="h1")])

    moved = file_away(inbox, video, Fate.DONE, text)

    place = inbox / "done" / "TikTok"
    assert moved == place / "cake.mp4"
    assert sorted(p.name for p in place.iterdir()) == [
        "cake.mp4", "cake.mp4.reelflow.txt", "cake.txt", "cake.x.txt",
    ]  # fmt: skip
    assert "Instagram: scheduled (send ID s1, history ID h1)" in (place / "cake.mp4.reelflow.txt").read_text("utf-8")
    assert list((inbox / "TikTok").iterdir()) == []


def test_a_name_that_is_there_gets_a_number(inbox: Path) -> None:
    """The next cake.mp4 has a caption of its own; neither replaces what is there."""
    for text in ("one", "two", "three"):
        put(inbox, "cake.mp4", "cake.txt", text=text)
        file_away(inbox, first(find(inbox)), Fate.REJECTED, "why")

    place = inbox / "rejected"
    assert {p.name: p.read_text() for p in place.iterdir() if not p.name.endswith(".reelflow.txt")} == {
        "cake.mp4": "one", "cake.txt": "one", "cake (2).mp4": "two", "cake (2).txt": "two",
        "cake (3).mp4": "three", "cake (3).txt": "three",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("outcomes", "says_back", "says_again"),
    [(["wrong"], True, False), (["scheduled", "failed"], False, True), (["refused", "failed"], True, True)],
)
def test_the_text_says_what_truly_helps(inbox: Path, outcomes: list[str], says_back: bool, says_again: bool) -> None:
    """A post that a platform has failed would be rejected again each time that its video is put back."""
    put(inbox, "cake.mp4")

    text = text_about(first(find(inbox)), Fate.REJECTED, [line(o) for o in outcomes], "Send it again like this.")

    assert ("put the video back" in text, "Send it again like this." in text) == (says_back, says_again)


def test_a_move_that_fails_leaves_everything_where_it_was(inbox: Path) -> None:
    """Something else has the name of the folder."""
    put(inbox, "cake.mp4", "cake.txt")
    video = first(find(inbox))
    put(inbox, "done")

    with pytest.raises(OSError, match=r"exists|Not a directory"):
        file_away(inbox, video, Fate.DONE, "text")

    assert sorted(p.name for p in inbox.iterdir()) == ["cake.mp4", "cake.txt", "done"]


def test_a_video_that_is_gone_leaves_no_text(inbox: Path) -> None:
    """A person, or another run, was faster."""
    put(inbox, "cake.mp4")
    video = first(find(inbox))
    video.path.unlink()

    with pytest.raises(FileNotFoundError):
        file_away(inbox, video, Fate.DONE, "text")

    assert list((inbox / "done").iterdir()) == []


def test_two_videos_of_one_name_share_their_caption_to_the_end(inbox: Path) -> None:
    """cake.mp4 is moved, cake.mov stays for now: it keeps its caption."""
    put(inbox, "cake.mov", "cake.mp4", "cake.txt")
    found = find(inbox)
    mov, mp4 = found.videos[1], found.videos[2]

    file_away(inbox, mp4, Fate.DONE, "text")
    kept = (inbox / "cake.txt").exists()
    file_away(inbox, mov, Fate.DONE, "text")

    assert kept
    assert sorted(p.name for p in inbox.iterdir()) == ["done"]
    assert sorted(p.name for p in (inbox / "done").iterdir() if "reelflow" not in p.name) == [
        "cake (2).mov", "cake (2).txt", "cake.mp4", "cake.txt",
    ]  # fmt: skip


def test_captions_that_an_interrupted_move_has_left_are_moved_after_their_video(inbox: Path) -> None:
    """Else they would be taken for those of the next cake.mp4."""
    put(inbox, "done/cake.mp4", "X/cake.mp4", "X/cake.x.txt", "cake.mp4", "cake.txt")
    for video in find(inbox).videos.values():
        caption = video.captions[0]
        text = text_about(video, Fate.DONE, [line("scheduled")])
        kept = caption.read_bytes()
        file_away(inbox, video, Fate.DONE, text)
        moved = next(p for p in (inbox / "done" / video.folder).glob("cake*.txt") if "reelflow" not in p.name)
        moved.unlink()  # as it was before the captions were moved
        caption.write_bytes(kept)
        os.utime(caption, (1, 1))
        for note in (inbox / "done" / video.folder).glob("*.reelflow.txt"):
            os.utime(note, (time.time() + 60, time.time() + 60))

    moved = finish_moves(inbox)

    assert sorted(str(p.relative_to(inbox / "done")) for p in moved) == ["X/cake.x.txt", "cake (2).txt"]
    assert all(not folder.strays for folder in look(inbox))


def test_a_caption_that_comes_before_its_video_stays(inbox: Path) -> None:
    """It has the name of one that was published last week."""
    put(inbox, "cake.mp4", "cake.txt")
    video = first(find(inbox))
    file_away(inbox, video, Fate.DONE, text_about(video, Fate.DONE, [line("scheduled")]))
    put(inbox, "cake.txt")

    assert finish_moves(inbox) == []
    assert (inbox / "cake.txt").exists()
