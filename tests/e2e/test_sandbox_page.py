"""The sandbox's page in a real Chromium, light and dark, wide and narrow."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reelflow.errors import NotAllowed
from reelflow.sandbox.catalog import ACCOUNTS, DEVICES

pytestmark = pytest.mark.slow
TIKTOK, X = ACCOUNTS[0]["id"], ACCOUNTS[4]["id"]
MARKUP = "<img src=x onerror=alert(1)>"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 420)])
def test_the_page_shows_each_and_only_as_text(
    sandbox: Any, clip: Callable[[str], Path], browser: Any, scheme: str, width: int
) -> None:
    """Comments, rules, keys and the size of what was sent, and nothing runs past the edge of the page."""
    client = sandbox.taisly()
    client.add_repost(TIKTOK, [X])
    client.create_post(clip("small.mp4"), [TIKTOK, X], "Bread <b>& salt</b>")
    for _ in range(6):
        client.history_page(1)
    phones, link = sandbox.tikmatrix(), sandbox.posts[0]["result"][0]["url"]
    config = {"target_post_urls": [link], "comment_content": MARKUP, "username": "ada.daily"}
    phones.create_task("comment", config, serials=list(DEVICES)[:1])
    phones.create_task("comment", {**config, "username": ""}, serials=list(DEVICES)[1:2])
    for _ in range(8):
        phones.tasks()
    client.generate_key()
    with pytest.raises(NotAllowed):
        client.reposts()

    page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(sandbox.url)
    page.get_by_text("Repost rules (1)").wait_for(timeout=20_000)
    text = page.locator("main").inner_text()
    comments = page.locator(".comments li").all_inner_texts()
    too_wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    images = page.locator("main img, main b b").count()
    page.close()

    for words in (
        "Bread <b>& salt</b>", "270x480", "Twice on X @marabakes.", f"ada.daily {MARKUP}",
        "TikTok @mara.bakes → X @marabakes", "added TikTok @mara.bakes → X @marabakes", "it replaced taisly_…dbox",
        "Refused 1 request with a key that no longer works.",
    ):  # fmt: skip
        assert words in text
    assert [comment.count(serial) for comment, serial in zip(comments, list(DEVICES)[:2], strict=True)] == [1, 1]
    assert (errors, too_wide, images) == ([], False, 0)
