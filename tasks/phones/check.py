"""Check the form of a phone flow before anything is sent."""

from prefect import get_run_logger

from blocks import ChatGPTSettings, TikMatrixHost
from reelflow.errors import InputError
from reelflow.phones.form import PhoneForm
from reelflow.phones.requests import make_request
from reelflow.records.phones import PhoneRequest
from tasks.step import Retry, step


@step("check {host.key}", retry=Retry.READ)
def check_phones(host: TikMatrixHost, form: PhoneForm, chatgpt: ChatGPTSettings | None = None) -> PhoneRequest:
    """Check the form, and that TikMatrix is running with a licence for its API; returns the exact request.

    Raises:
        InputError: the form has a mistake.
        NotAllowed: the licence does not include the API.
        ServiceError: TikMatrix does not answer.
    """
    request = make_request(form, host.guardrails)
    if request.needs_chatgpt and chatgpt is None:
        raise InputError("Comments by ChatGPT need a block 'ChatGPT Settings'. Choose one, or turn them off.")
    log = get_run_logger()
    licence = host.check()
    log.info("TikMatrix licence: %s, %s phones at once.", licence.plan_name, licence.device_limit or "several")
    if licence.device_limit is not None and len(request.serials) > licence.device_limit:
        log.warning(
            "You chose %d phones, but the licence runs %d at once. The others wait for their turn.",
            len(request.serials),
            licence.device_limit,
        )
    with host.get_client() as client:
        online = client.devices()
    away = [] if online is None else sorted(request.serials - {name for device in online for name in device.names})
    if away:
        log.warning("Phones that are not online in TikMatrix: %s. Their tasks wait until they are.", ", ".join(away))
    return request
