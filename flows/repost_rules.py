"""Make Taisly's repost rules those of a list: which accounts' posts Taisly copies to which other accounts.

When: from the form in the Prefect UI, or from ``reelflow reposts apply``. Dry run by default.
Needs: a saved block "Taisly Account".
"""

from typing import Any

from prefect.client.schemas.objects import State

from blocks import TaislyAccount
from reelflow.posts.form import RepostRulesForm
from tasks.posts.repost_rules import apply_rules, check_rules, final_state, report_rules, rules_run_name
from tasks.step import flow


@flow(name="apply-repost-rules", alarms=False, flow_run_name=rules_run_name)
def apply_repost_rules(taisly: TaislyAccount, reposts: RepostRulesForm) -> State[Any]:
    """Add, remove and pause Taisly's repost rules until they are those of the list.

    Reads the rules first, and shows what would change. Rules that would copy posts in a circle are refused, whatever
    its length. Starting it again changes nothing that is right already, and finishes what was interrupted.

    Args:
        taisly: The Taisly account that has the rules.
        reposts: The rules that it is to have.
    """
    plan = check_rules(taisly, reposts)
    if reposts.dry_run:
        return final_state(report_rules(plan, dry_run=True))

    failure = apply_rules(taisly, plan)

    return final_state(report_rules(plan, dry_run=False, failure=failure))
