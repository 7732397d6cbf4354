"""Replace the Taisly API key of a block with a new one, or revoke it.

When: from the form, if the key may have become known to somebody, or as often as your rules ask for it.
Needs: a saved block "Taisly Account". Campaigns that are at work go on with the new key. The key is never shown.
"""

from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed

from blocks import TaislyAccount
from reelflow.upkeep.form import RotateKeyForm
from tasks.step import flow
from tasks.upkeep import rotate_key as steps


@flow(name="rotate-api-key", alarms=False, flow_run_name="{key.action} the API key")
def rotate_api_key(taisly: TaislyAccount, key: RotateKeyForm) -> State[Any]:
    """Generate a new key at Taisly and save it into the block, or revoke the key.

    Args:
        taisly: The block with the key.
        key: What to do.
    """
    use = steps.find_users(taisly, key)
    if key.dry_run:
        steps.check_key(taisly)
        return Completed(name="Dry run", message=steps.dry_run_message(taisly, key, use), data=use)
    if key.action == "revoke":
        return Completed(message=steps.revoke_key(taisly, key), data=use)
    return Completed(message=steps.replaced_message(use, steps.replace_key(taisly, key)), data=use)
