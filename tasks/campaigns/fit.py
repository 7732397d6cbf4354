"""Make the videos of a campaign right that do not fit."""

from prefect import get_run_logger

from reelflow.campaigns.form import CampaignForm
from reelflow.campaigns.posts import CheckedPlan
from reelflow.campaigns.videos import fit_videos, needs_fit
from tasks.artifacts import ProgressBar
from tasks.campaigns.check import is_blocked
from tasks.posts.fit import WAITING
from tasks.step import step


def fit_campaign(form: CampaignForm, checked: CheckedPlan) -> CheckedPlan:
    """The plan with its videos made right; no step where there is nothing to do, or nothing may be sent anyway."""
    return _fit(form, checked) if needs_fit(checked) and not is_blocked(checked, form) else checked


@step("fit videos of {form.name}")
def _fit(form: CampaignForm, checked: CheckedPlan) -> CheckedPlan:
    """Make a copy of each video that does not fit, one after the other; a row for which that fails is wrong.

    Copies that were made before are used again, so a run that was killed goes on where it was.
    """
    log = get_run_logger()
    before = len(checked.problems)
    checked = fit_videos(checked, ProgressBar("Videos fitted"), lambda: log.info("%s", WAITING))
    changed = {post.request.video.name: post.request.video.changes for post in checked.posts}
    for name, changes in changed.items():
        if changes:
            log.info("%s was fitted: %s.", name, "; ".join(changes))
    if len(checked.problems) > before:
        log.warning("Some videos could not be made right; the report says which, and why.")
    return checked
