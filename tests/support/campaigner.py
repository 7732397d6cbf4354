"""A process of the campaign's fault suite: reads a folder, checks it, gives it slots and sends it, as a run would.

Usage: campaigner.py CONFIG.json. Started again after it was killed, it does all of that once more. The pauses are cut
short, everything else is as in a real run.
"""

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from reelflow.campaigns.carrying_out import Carrier
from reelflow.campaigns.check import Checker
from reelflow.campaigns.form import CampaignForm
from reelflow.campaigns.placing import Placer, PostOptions, posts_elsewhere
from reelflow.campaigns.reading import ReadingOptions, read_plan
from reelflow.campaigns.slot_rules import read_rules
from reelflow.campaigns.slots import SlotBook
from reelflow.errors import ReelflowError
from reelflow.ledger import Ledger
from reelflow.posts.rate_limited import RateLimitedTaisly
from reelflow.posts.watching import watch_posts
from reelflow.taisly import TaislyClient

SHORT = 0.05
KEY = "taisly_sandbox"


def main() -> None:
    """Send the folder of the configuration, and look for what was lost."""
    config = json.loads(Path(sys.argv[1]).read_text())
    service, ledger = config["url"] + "/api/private", Ledger(config["ledger"], patience=60)
    book = SlotBook(read_rules(config["slots"]), ZoneInfo("Europe/Berlin"))
    form = CampaignForm(plan=config["folder"], accounts=config["accounts"])
    taisly = RateLimitedTaisly(
        TaislyClient(KEY, service), ledger, api_key=KEY, service=service, plan="PRO",
        sleep=lambda seconds: time.sleep(min(seconds, SHORT)),
    )  # fmt: skip
    taisly.per_hour = 1_000_000
    print("begun", flush=True)
    with taisly:
        try:
            now = datetime.now(UTC)
            plan = read_plan(form.plan, folder=None, options=ReadingOptions(), now=now)
            others = posts_elsewhere(taisly, taisly.connected_accounts())
            placer = Placer(ledger, service, book, others, options=PostOptions(patience=20))
            checked = Checker(taisly, form, placer).check(plan, now)
            for problem in checked.problems:
                print(f"row {problem.number}: {problem.sentence}", flush=True)
            posts, _ = placer.place(checked.right_drafts(), dry_run=False)
            carried = Carrier(taisly, placer, grace=config["grace"]).carry_out(posts)
            watch_posts(taisly, None, seconds=2, first_pause=SHORT, grace=config["grace"])
        except ReelflowError as error:
            print(f"{type(error).__name__}: {error}", flush=True)
            sys.exit(1)
    for each in carried:
        if each.failure:
            print(f"row {each.post.number}: {each.failure}", flush=True)
    sys.exit(any(each.failure for each in carried))


if __name__ == "__main__":
    main()
