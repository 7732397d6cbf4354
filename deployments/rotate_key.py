"""``reelflow rotate-api-key``: the flow of the same name from a terminal, in this process."""

from __future__ import annotations

from typing import Any

from deployments.in_terminal import load_block, quieten_run_logs, run_flow
from deployments.options import AsJson, FormOptions, TaislyBlock, read_form, with_options_of
from reelflow.upkeep.form import RotateKeyForm


@with_options_of(FormOptions(RotateKeyForm))
def rotate_api_key(*, block: TaislyBlock = "main", as_json: AsJson = False, **values: Any) -> int:
    """Generate a new key at Taisly and save it into the block, or revoke the key."""
    form = read_form(RotateKeyForm, values)
    quieten_run_logs()
    from blocks import TaislyAccount
    from flows.rotate_key import rotate_api_key as flow
    from tasks.upkeep.key_blocks import KeyUse
    from tasks.upkeep.rotate_key import use_lines

    def lines(use: Any) -> list[str]:
        return use_lines(use, form) if form.dry_run and isinstance(use, KeyUse) else []

    taisly = load_block(TaislyAccount, block)
    return run_flow(flow, as_json=as_json, lines=lines, facts=_facts, taisly=taisly, key=form)


def _facts(use: Any) -> dict[str, Any]:
    """Who used the key before, for programs; nothing of a run that failed."""
    from tasks.upkeep.key_blocks import KeyUse

    return {"blocks": use.blocks, "runs": use.runs} if isinstance(use, KeyUse) else {}
