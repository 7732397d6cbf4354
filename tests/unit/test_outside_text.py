"""Text that others write: of failures, accounts, phones and files. It stands in logs, states, tables and messages."""

import pytest

from reelflow.errors import UnreadableAnswer
from reelflow.posts.form import PostForm
from reelflow.records.posts import Account, PostRequest, Video, file_name
from reelflow.taisly.wire import AcceptedPost, ConnectedAccount, HistoryItem, PlatformResult
from reelflow.tikmatrix.wire import Device, License, PhoneTask
from reelflow.wire_types import parse
from reelflow.wording import one_line
from tasks.artifacts import bullets, plain_text, table

NASTY = "\x1b[31mno\x00 |\n\n# more\u202e \ud800\u2028\r\tend" + " long" * 200_000


def _is_safe(text: str) -> bool:
    return text.isprintable() and 0 < len(text) <= 300 and "no" in text


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("as it is", "as it is"),
        ("", ""),
        ("  two\n lines\t\x0b", "two lines"),
        ("bell\x07, escape\x1b[0m, nothing\x00", "bell, escape[0m, nothing"),
        ("next\x85line\u2028and\u2029paragraph", "next line and paragraph"),
        ("\u202egpj.exe\u202c \u2066a\u2069", "gpj.exe a"),
        ("half \ud83d of one", "half \ufffd of one"),
        ("Zoë 日本 👩‍🍳 سلام", "Zoë 日本 👩‍🍳 سلام"),
        ("x" * 301, "x" * 299 + "…"),
        ("x" * 300, "x" * 300),
        ("x " * 1_000_000, "x " * 149 + "x…"),
        (" " * 1_000_000, "…"),
    ],
    ids=lambda text: repr(text[:12]),
)
def test_one_line_is_safe_everywhere(text: str, line: str) -> None:
    """No control characters, nothing that turns the text around, no half characters, one line, an end."""
    assert one_line(text) == line


def test_what_taisly_says_is_cleaned_where_it_enters() -> None:
    account = ConnectedAccount.model_validate({"_id": "7", "identifier": NASTY, "displayName": NASTY})
    result = PlatformResult.model_validate({"platform": NASTY, "status": NASTY, "error": NASTY})

    assert all(map(_is_safe, (account.platform, account.display_name)))
    assert all(map(_is_safe, (result.platform, result.raw_status, str(result.reason))))


@pytest.mark.parametrize("link", ["https://x.example/\x00", "https://x.example/" + "a" * 3000, "two\nlines"])
def test_an_odd_link_is_none(link: str) -> None:
    """Part of an address leads nowhere."""
    assert PlatformResult.model_validate({"status": "SUCCESS", "url": link}).link is None


@pytest.mark.parametrize("odd", ["a\nb", "a\x00", "\u202e7", "x" * 201])
def test_an_odd_id_is_refused_and_never_fixed(odd: str) -> None:
    """It is sent back as it came, so a part of it would be another id. In the history, such a post has none."""
    assert HistoryItem.model_validate({"id": odd}).id == ""
    for model, value in (
        (AcceptedPost, {"historyId": odd}),
        (ConnectedAccount, {"id": odd, "platform": "X"}),
    ):
        with pytest.raises(UnreadableAnswer):
            parse(value, model, service="Taisly")


def test_a_caption_in_the_history_stays_as_it_is() -> None:
    """It is compared with ours, which may have many lines."""
    caption = "Fresh bread!\n\n\t- rye\r\n" + "crumbs " * 300

    assert HistoryItem.model_validate({"id": "7", "description": caption}).caption == caption


def test_what_tikmatrix_says_is_cleaned_where_it_enters() -> None:
    task = PhoneTask.model_validate(
        {"id": 1, "serial": NASTY, "remark": NASTY, "start_time": NASTY, "script_args": {"username": NASTY}}
    )

    assert all(map(_is_safe, (task.serial, task.remark, str(task.start_time), str(task.username))))
    assert _is_safe(License.model_validate({"plan_name": NASTY}).plan_name)
    assert _is_safe(Device.model_validate({"serial": NASTY}).serial)


def test_the_target_of_a_phone_task_is_one_line() -> None:
    """As it was sent, whatever else stands around it."""
    url = "https://www.tiktok.com/@mara.bakes/video/" + "7" * 400
    args = {"target_post_urls": [f"{url}\n"], "comment_content": "one\ntwo"}

    assert PhoneTask.model_validate({"id": 1, "script_args": args}).script_args == {
        "target_post_urls": [url],
        "comment_content": "one\ntwo",
    }


def test_a_file_name_is_one_line() -> None:
    """In the names of runs, before the file itself has been looked at."""
    assert file_name("/videos/a\n# b\u202e.mp4") == "a # b.mp4"
    assert PostForm(video="C:\\a\tb.mp4", accounts=["all"]).file_name == "a b.mp4"


def test_text_from_outside_stays_in_its_cell_and_its_line() -> None:
    """In Markdown, beside what Markdown itself would read into it."""
    lines = table({"Details": [plain_text("a | b\n| c\x0b# d\u202e")]}) + bullets("Problems:", ["<b>\n- x"])

    assert lines[2] == "| a \\| b \\| c \\# d |"
    assert lines[-2] == "- \\<b\\> - x"


def test_a_long_caption_is_shown_whole() -> None:
    """A line of it may be as long as a caption may be."""
    assert plain_text("x" * 2200) == "x" * 2200


@pytest.mark.parametrize(("caption", "warned"), [("", True), (" \n", True), ("Bread", False)])
def test_an_empty_caption_is_worth_a_warning(caption: str, warned: bool) -> None:
    """Taisly takes it; its own tools do not."""
    video = Video(
        path="/v.mp4", sha256="0", size_bytes=1, modified_ns=1, width=9, height=16, duration=5, warnings=["x"]
    )
    account = Account(id="a", platform="X")
    post = PostRequest(video=video, accounts=[account], caption=caption, scheduled_for=None, preview_second=0)

    assert post.warnings[-1] == "x"
    assert [w for w in post.warnings if w.startswith("caption: empty")] == post.warnings[: int(warned)]
