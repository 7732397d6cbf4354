"""Ask a person at a terminal whether to send the posts of a campaign."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

from deployments.in_terminal import row_line
from deployments.progress import without_bars
from reelflow.campaigns.approval import GivenAnswer
from reelflow.campaigns.posts import PlannedPost
from reelflow.time_zones import shown
from reelflow.wording import one_line


def ask_in_terminal(
    what: str, posts: Sequence[PlannedPost], phones_of: Callable[[PlannedPost], str] = lambda post: ""
) -> GivenAnswer:
    """Show the posts with their whole captions, and ask whether to send them; the end of the input is a no."""
    with without_bars():
        for post in posts:
            request = post.request
            at = shown(request.scheduled_for) if request.scheduled_for else "now"
            print(row_line(post.number, request.video.name, request.account_names, at))
            for line in filter(None, request.caption.splitlines()):
                print(f"           {one_line(line, len(line))}")
            if phones := phones_of(post):
                print(f"           phones: {phones}")
        print(what)
        print("To change a caption, answer no, change it in the plan, and start again.")
        _forget_typed()
        while True:
            answer = _input("Send them? yes, no, or the rows to drop, such as 3, 5-7: ")
            if answer in ("yes", "no"):
                return GivenAnswer(approves=answer == "yes")
            if not any(letter.isdigit() for letter in answer):
                print("Answer yes, no, or numbers of rows.")
            elif _input(f"Drop {answer}, and send the others? yes or no: ") == "yes":
                return GivenAnswer(approves=True, drop=answer)


def _input(question: str) -> str:
    """A person's answer; "yes" and "no" as they are, and "no" at the end of the input."""
    try:
        answer = input(question).strip()
    except EOFError:  # Ctrl-D
        print()
        return "no"
    return {"y": "yes", "n": "no"}.get(answer.casefold(), answer.casefold())


def _forget_typed() -> None:
    """Forget what was typed before the question could be read: a key that was hit meanwhile approves nothing."""
    if sys.platform == "win32":
        import msvcrt

        while msvcrt.kbhit():
            msvcrt.getwch()
    else:
        import termios

        with suppress(OSError, termios.error, ValueError):  # no terminal
            termios.tcflush(sys.stdin, termios.TCIFLUSH)
