"""Show what became of a post, where people look: an artifact of the run."""

import base64

from prefect import get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.runtime import flow_run

from reelflow.models import CheckedPost, PostForm, PublishReport, State
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


def post_run_name() -> str:
    """A name for runs whose form is a post: "bread.mp4 to TikTok, Instagram"."""
    post = flow_run.parameters["post"]
    form = post if isinstance(post, PostForm) else PostForm.model_construct(**post)
    what = "dry run: " if form.dry_run else ""
    return f"{what}{form.file_name} to {', '.join(form.accounts)}"


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
    lines = [f"# {plain_text(post.video.path.name)}", "", plain_text(report.sentence), ""]
    if picture := _picture(post):
        lines += [picture, ""]
    if report.dry_run:
        lines += ["**Dry run: nothing was sent.** This would be:", "", f"- {plain_text(describe(post))}", ""]
    if post.caption:
        lines += [*(f"> {plain_text(line)}" for line in post.caption.splitlines()), ""]
    if report.outcomes:
        lines += ["| Account | Outcome | |", "|---|---|---|"]
        lines += [
            f"| {plain_text(o.account.label)} | {_WORDS[o.state]} | {_link(o.link) or plain_text(o.detail)} |"
            for o in report.outcomes
        ]
        lines.append("")
    if post.video.warnings:
        lines += ["Platforms may not like:", "", *(f"- {plain_text(w)}" for w in post.video.warnings), ""]
    if report.history_ids:
        ids = ", ".join(f"`{plain_text(i)}`" for i in report.history_ids)
        lines += [f"Taisly's history id: {ids}. File sha256: `{post.video.sha256[:16]}…`"]
    return "\n".join(lines)


def _picture(post: CheckedPost) -> str | None:
    try:
        jpeg = poster(post.video.path, at=post.preview_second, height=POSTER_HEIGHT)
    except (VideoUnreadable, OSError):
        return None
    return f"![preview picture](data:image/jpeg;base64,{base64.b64encode(jpeg).decode()})"


def plain_text(words: str) -> str:
    """Words from outside as plain text inside Markdown and its tables."""
    for character in "\\`*_[]<>|#":
        words = words.replace(character, f"\\{character}")
    return " ".join(words.split())


def _link(url: str | None) -> str | None:
    if url is None or not url.startswith("https://") or any(c in url for c in " |<>()[]\n"):
        return plain_text(url) if url else None
    return f"[open the post]({url})"
