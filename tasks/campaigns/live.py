"""The table of a campaign's posts while they are sent: one artifact, from the first look on to the final report."""

import time
from collections import Counter
from collections.abc import Sequence

from reelflow.campaigns.carrying_out import Carried
from reelflow.campaigns.form import CampaignForm
from reelflow.campaigns.posts import PlannedPost
from reelflow.wording import one_line
from tasks.artifacts import plain_text, show_live, table
from tasks.campaigns.wording import time_shown, zone_shown
from tasks.progress import tell_progress

SENT = "Posts sent"
"""What is counted while posts are sent."""
LIVE_SECONDS = 10.0
"""Between two updates: each costs the server some 75 ms."""
MOST_POSTS = 100
"""Posts that the table lists while they are sent: those that are not sent yet first."""


class LivePosts:
    """Shows every post with its time before the first is sent, and then how far it is.

    Args:
        form: The campaign's.
        posts: What is to be sent.
        note: What is to be said of all of them.
    """

    def __init__(self, form: CampaignForm, posts: Sequence[PlannedPost], note: str = "") -> None:
        self._form, self._posts, self._note = form, posts, note
        self._words: dict[int, str] = {}
        self._shown_at = 0.0
        if posts:
            self._show()

    def on_carried(self, place: int, parts: Sequence[Carried]) -> None:
        """Note what became of a post, or of the parts of one whose accounts got different slots."""
        words = set(map(_word, parts))
        self._words[place] = words.pop() if len(words) == 1 else "partly sent"

    def progress(self, done: int, total: int) -> None:
        """Show how far it is, every few seconds."""
        tell_progress(SENT, done, total)
        if done < total and time.monotonic() - self._shown_at >= LIVE_SECONDS:
            self._show()

    def _show(self) -> None:
        self._shown_at = time.monotonic()
        words, numbers = self._words, Counter(self._words.values())
        left = len(self._posts) - len(words)
        summary = ", ".join([f"{left} to be sent", *(f"{number} {word}" for word, number in sorted(numbers.items()))])
        places = sorted(range(len(self._posts)), key=lambda place: place in words)[:MOST_POSTS]
        posts = [self._posts[place] for place in places]
        columns = {
            "Row": [str(post.number) for post in posts],
            "Video": [plain_text(post.request.video.name) for post in posts],
            "Accounts": [plain_text(post.request.account_names) for post in posts],
            "Time": [time_shown(post.request.scheduled_for) for post in posts],
            "Caption": [plain_text(one_line(post.request.caption, 60)) for post in posts],
            "": [words.get(place, "to be sent") for place in places],
        }
        more = len(self._posts) - len(places)
        head = f"{summary}. {zone_shown()} {self._note}".strip()
        lines = [f"# {plain_text(self._form.name)}", "", head, "", *table(columns)]
        show_live([*lines, *(["", f"And {more} more."] if more else [])], f"Sending: {summary}.")


def _word(carried: Carried) -> str:
    return "not sent" if carried.failure or not carried.post.request.accounts else "sent"
