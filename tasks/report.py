"""Show what became of a post, where people look: an artifact of the run."""

import base64

from prefect import get_run_logger
from prefect.artifacts import create_markdown_artifact

from reelflow.models import CheckedPost, PublishReport, State
from reelflow.publishing import describe
from reelflow.video import VideoUnreadable
from reelflow.video.probe import poster

POSTER_HEIGHT = 240
_WORDS = {
    State.SUCCESS: "published",
    State.FAILED: "**failed**",
    State.PENDING: "no outcome yet",
    State.REFUSED: "**refused**",
    State.UNCONFIRMED: "**unconfirmed**",
    State.CANCELLED: "withdrawn",
    State.CLAIMED: "not sent",
}


def show_report(report: PublishReport) -> None:
    """Publish the report as an artifact. Never disturbs the run: the post is out, whatever happens here."""
    try:
        # Without a key: one click in the run opens it; with one, a list of versions would stand between.
        create_markdown_artifact(markdown=markdown(report), description=report.sentence)
    except Exception as error:  # noqa: BLE001 - see above
        get_run_logger().warning("The report could not be shown: %s", error)


def markdown(report: PublishReport) -> str:
    """The report as Markdown: picture, caption and one row for each account."""
    post = report.post
    lines = [f"# {_text(post.video.path.name)}", "", _text(report.sentence), ""]
    if picture := _picture(post):
        lines += [picture, ""]
    if report.dry_run:
        lines += ["**Dry run: nothing was sent.** This would be:", "", f"- {_text(describe(post))}", ""]
    if post.caption:
        lines += [*(f"> {_text(line)}" for line in post.caption.splitlines()), ""]
    if report.outcomes:
        lines += ["| Account | Outcome | |", "|---|---|---|"]
        lines += [
            f"| {_text(o.account.label)} | {_WORDS[o.state]} | {_link(o.link) or _text(o.detail)} |"
            for o in report.outcomes
        ]
        lines.append("")
    if post.video.warnings:
        lines += ["Platforms may not like:", "", *(f"- {_text(w)}" for w in post.video.warnings), ""]
    if report.history_ids:
        ids = ", ".join(f"`{_text(i)}`" for i in report.history_ids)
        lines += [f"Taisly's history id: {ids}. File sha256: `{post.video.sha256[:16]}…`"]
    return "\n".join(lines)


def _picture(post: CheckedPost) -> str | None:
    try:
        jpeg = poster(post.video.path, at=post.preview_second, height=POSTER_HEIGHT)
    except (VideoUnreadable, OSError):
        return None
    return f"![preview picture](data:image/jpeg;base64,{base64.b64encode(jpeg).decode()})"


def _text(words: str) -> str:
    """Words from outside as plain text inside Markdown and its tables."""
    for character in "\\`*_[]<>|#":
        words = words.replace(character, f"\\{character}")
    return " ".join(words.split())


def _link(url: str | None) -> str | None:
    if url is None or not url.startswith("https://") or any(c in url for c in " |<>()[]\n"):
        return _text(url) if url else None
    return f"[open the post]({url})"
