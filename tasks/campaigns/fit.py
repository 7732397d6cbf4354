"""Make the videos of a campaign right that do not fit."""

from prefect import get_run_logger

from reelflow.campaigns.form import CampaignForm
from reelflow.campaigns.posts import CheckedPlan
from reelflow.campaigns.videos import fit_videos, needs_fit
from tasks.artifacts import ProgressBar
from tasks.campaigns.check import is_blocked, warn_of
from tasks.posts.fit import WAITING, fitted_sentence
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
    before, warned = len(checked.problems), len(checked.warnings)
    checked = fit_videos(checked, ProgressBar("Videos fitted"), lambda: log.info("%s", WAITING))
    fitted = {post.request.video.path: post.request.video for post in checked.posts if post.request.video.changes}
    for video in fitted.values():
        log.info("%s", fitted_sentence(video))
    if len(checked.problems) > before:
        log.warning("Some videos could not be made right; the report says which, and why.")
    warn_of(checked.warnings[warned:])
    return checked
