"""What a campaign says of itself."""

import pytest

from reelflow.campaigns.report import CampaignLine, CampaignReport, summarize


@pytest.mark.parametrize(
    ("outcomes", "said"),
    [
        ([("published", False), ("scheduled", False)], "All of these had been sent before; nothing was sent again."),
        ([("published", False), ("scheduled", True)], "1 of these had been sent before and was not sent again."),
        ([("published", False), ("not sent", False)], "1 of these had been sent before and was not sent again."),
        ([("published", True), ("scheduled", True)], ""),
        ([("not sent", False)], ""),
    ],
    ids=str,
)
def test_a_summary_says_what_was_sent_before(outcomes: list[tuple[str, bool]], said: str) -> None:
    """It says "All" only if that is so of every post that it has just counted."""
    lines = [CampaignLine(number=n, video="a.mp4", outcome=word, is_new=new) for n, (word, new) in enumerate(outcomes)]

    summary = summarize(CampaignReport(name="week", rows=2, lines=lines))

    assert summary.partition("Posts: ")[2].partition(". ")[2] == said
