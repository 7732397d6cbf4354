"""``reelflow reposts``: Taisly's repost rules, and the flow that changes them, from a terminal, in this process."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from deployments.in_terminal import load_block, print_json, quieten_run_logs, run_flow
from deployments.options import AsJson, FormOptions, TaislyBlock, read_form, with_options_of
from reelflow.posts.accounts import account_names, gone_name
from reelflow.posts.form import RepostRulesForm
from reelflow.posts.rules_report import RulesReport

ELSEWHERE = {"rules": "--rule"}
"""The field of the form that the command has in another way."""


def show(*, block: str, as_json: bool) -> int:
    """Print each rule as Taisly has it now, written as ``--rule`` takes it if all its accounts are connected."""
    quieten_run_logs()
    from blocks import TaislyAccount
    from tasks.ledger import open_ledger

    with load_block(TaislyAccount, block).get_rate_limited(open_ledger()) as client:
        rules, accounts = client.repost_rules(), client.connected_accounts()
    names = dict(zip((account.id for account in accounts), account_names(accounts), strict=True))
    for rule in rules:
        source, *targets = (names.get(each) or gone_name(each) for each in (rule.source, *rule.targets))
        if as_json:
            print_json({"id": rule.id, "from": source, "to": targets, "paused": rule.paused})
        else:
            print(f"{source} -> {', '.join(targets)}{' (paused)' if rule.paused else ''}")
    if not rules and not as_json:
        print("Taisly has no repost rules.")
    if any(each not in names for rule in rules for each in (rule.source, *rule.targets)) and not as_json:
        print("--rule does not take an account that is no longer connected; apply --remove-gone removes it.")
    return 0


@with_options_of(FormOptions(RepostRulesForm, without=ELSEWHERE))
def apply(
    *,
    rule: Annotated[list[str] | None, Parameter(negative="")] = None,
    block: TaislyBlock = "main",
    as_json: AsJson = False,
    **values: Any,
) -> int:
    """Change the rules to match those that you name. Changes nothing without --no-dry-run.

    Parameters
    ----------
    rule
        All accounts that one account's posts are copied to, such as "TikTok @mara -> Instagram, X", with "(paused)" at
        its end for a rule that is paused, and nothing after the arrow to remove its rules. Repeat the option for
        several.
    """
    form = read_form(RepostRulesForm, values | {"rules": rule or []}, names=ELSEWHERE)
    quieten_run_logs()
    from blocks import TaislyAccount
    from flows.repost_rules import apply_repost_rules

    taisly = load_block(TaislyAccount, block)
    return run_flow(apply_repost_rules, as_json=as_json, lines=_lines, facts=_facts, taisly=taisly, reposts=form)


def _lines(report: Any) -> list[str]:
    if not isinstance(report, RulesReport):
        return []
    rules = [f"  {line.source} → {', '.join(line.after)}" for line in report.lines if line.after]
    return [*rules, *(f"  note: {note}" for note in report.notes)]


def _facts(report: Any) -> dict[str, Any]:
    if not isinstance(report, RulesReport):
        return {}
    return report.model_dump(exclude={"summary", "failure"})
