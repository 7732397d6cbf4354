"""``reelflow rotate-api-key``: the flow of the same name from a terminal, in this process."""

from __future__ import annotations

from typing import Any

from deployments.in_terminal import load_block, nothing_more, quieten_run_logs, run_flow
from deployments.options import AsJson, FormOptions, TaislyBlock, read_form, with_options_of
from reelflow.upkeep.form import RotateKeyForm


@with_options_of(FormOptions(RotateKeyForm))
def rotate_api_key(*, block: TaislyBlock = "main", as_json: AsJson = False, **values: Any) -> int:
    """Generate a new key at Taisly and save it into the block, or revoke the key."""
    form = read_form(RotateKeyForm, values)
    quieten_run_logs()
    from blocks import TaislyAccount
    from flows.rotate_key import rotate_api_key as flow

    taisly = load_block(TaislyAccount, block)
    return run_flow(flow, as_json=as_json, lines=nothing_more, facts=nothing_more, taisly=taisly, key=form)
