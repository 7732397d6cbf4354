"""A client for TikMatrix's local API: one method per endpoint, each of which sends one request once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

import httpx
from pydantic import BaseModel

from reelflow.addresses import check_url
from reelflow.errors import (
    InputError,
    NotAllowed,
    NotFound,
    OutcomeUnknown,
    Refused,
    ServiceError,
    UnreadableAnswer,
)
from reelflow.tikmatrix.wire import (
    CreatedTasks,
    Device,
    License,
    PhoneTask,
    TaskPage,
    TaskStats,
    TaskStatus,
    first_list,
)
from reelflow.transport import ServiceClient, exchange, from_status, open_client
from reelflow.wire_types import parse
from reelflow.wording import one_line

SERVICE = "TikMatrix"
BASE_URL = "http://localhost:50809/api/v1"
MAX_PAGE_SIZE = 100
"""Tasks; the most that TikMatrix sends on one page."""

M = TypeVar("M", bound=BaseModel)

_CODES: dict[int, tuple[type[ServiceError], str]] = {
    40001: (Refused, "TikMatrix rejected the parameters"),
    40002: (Refused, "TikMatrix received no script name"),
    40003: (Refused, "TikMatrix does not run this script through its API"),
    40004: (Refused, "TikMatrix found no account for this task"),
    40301: (NotAllowed, "The TikMatrix licence does not include the API (it needs Pro, Team or Business)"),
    40401: (NotFound, "TikMatrix has no such task"),
    50001: (OutcomeUnknown, "Internal error at TikMatrix"),
}
"""Its codes, by what the caller can do about each."""


class TikMatrixClient(ServiceClient):
    """The API of one PC, which has no authentication: whoever reaches it controls its phones.

    Args:
        base_url: An address on this machine, unless `allow_remote`.
        allow_remote: Permit plain http to another machine. Only for networks that are wholly trusted.
        transport: For tests: an ``httpx.BaseTransport`` to use in place of the network.

    Every method raises the errors of `reelflow.errors`.
    """

    def __init__(
        self,
        base_url: str = BASE_URL,
        *,
        allow_remote: bool = False,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        url = check_url(base_url, service=SERVICE, plain_http_anywhere=allow_remote)
        super().__init__(url, open_client(url, transport=transport))

    def license(self) -> License:
        """GET ``/license/check``."""
        return self._parse(self._data("GET", "/license/check"), License)

    def create_task(
        self,
        script_name: str,
        script_config: Mapping[str, Any],
        *,
        serials: Sequence[str] = (),
        usernames: Sequence[str] = (),
        multi_account: bool = False,
        start_time: str | None = None,
    ) -> CreatedTasks:
        """POST ``/task``: one script on devices or as accounts.

        There is no idempotency key: after `OutcomeUnknown`, list before sending again.

        Args:
            script_name: ``post``, ``follow``, ``unfollow``, ``account_warmup`` or ``comment``.
            script_config: The script's own settings, in the vendor's spelling.
            serials: Devices. Either these or `usernames`, never both.
            usernames: Accounts.
            multi_account: Run for every account of each device; with `serials` only.
            start_time: "HH:MM" by the PC's clock. What a time already past does is not documented.

        Raises:
            InputError: both devices and accounts are named, or neither.
        """
        if bool(serials) == bool(usernames):
            raise InputError("Name either devices (serials) or accounts (usernames), not both.")
        body: dict[str, Any] = {"script_name": script_name, "script_config": dict(script_config)}
        if serials:
            body |= {"serials": list(serials), "enable_multi_account": multi_account}
        else:
            body["usernames"] = list(usernames)
        if start_time is not None:
            body["start_time"] = start_time
        return self._parse(self._data("POST", "/task", json=body), CreatedTasks)

    def tasks(
        self,
        *,
        status: TaskStatus | None = None,
        serial: str | None = None,
        script_name: str | None = None,
        source: Literal["ui", "api"] | None = None,
        page: int = 1,
        page_size: int = MAX_PAGE_SIZE,
    ) -> TaskPage:
        """GET ``/task``: one page of tasks; at most 100 a page."""
        asked = {
            "status": None if status is None else int(status),
            "serial": serial,
            "script_name": script_name,
            "source": source,
            "page": page,
            "page_size": page_size,
        }
        data = self._data("GET", "/task", params={k: v for k, v in asked.items() if v is not None})
        found = first_list(data)
        if found is None:
            raise UnreadableAnswer("TikMatrix sent no list of tasks.", service=SERVICE)
        total = data.get("total") if isinstance(data, dict) else None
        return self._parse({"tasks": found, "total": total}, TaskPage)

    def task(self, task_id: int) -> PhoneTask:
        """GET ``/task/{id}``."""
        return self._parse(self._data("GET", f"/task/{task_id}"), PhoneTask)

    def delete_task(self, task_id: int) -> None:
        """DELETE ``/task/{id}``: a running task is stopped first."""
        self._data("DELETE", f"/task/{task_id}")

    def delete_tasks(self, task_ids: Sequence[int]) -> None:
        """DELETE ``/task/batch``."""
        self._data("DELETE", "/task/batch", json={"task_ids": list(task_ids)})

    def stop_task(self, task_id: int) -> None:
        """POST ``/task/{id}/stop``. The status afterwards is not documented."""
        self._data("POST", f"/task/{task_id}/stop")

    def retry_task(self, task_id: int) -> None:
        """POST ``/task/{id}/retry``: the same task goes back to pending."""
        self._data("POST", f"/task/{task_id}/retry")

    def retry_all(self) -> None:
        """POST ``/task/retry-all``: every failed task on the PC, whoever made it. No flow of ours calls this."""
        self._data("POST", "/task/retry-all")

    def stats(self) -> TaskStats:
        """GET ``/task/stats``: counts of all tasks on the PC."""
        return self._parse(self._data("GET", "/task/stats"), TaskStats)

    def devices(self) -> list[Device] | None:
        """GET ``/rpc/devices``: the devices that are online; None where this build does not offer it."""
        try:
            data = self._data("GET", "/rpc/devices")
        except NotFound:
            return None
        found = first_list(data if not isinstance(data, dict) else {**data, "list": data.get("devices")})
        if found is None:
            raise UnreadableAnswer("TikMatrix sent no list of devices.", service=SERVICE)
        return [self._parse(item, Device) for item in found]

    # How an answer is read

    @staticmethod
    def _parse(value: Any, model: type[M]) -> M:
        return parse(value, model, service=SERVICE)

    def _data(self, method: str, path: str, **kwargs: Any) -> Any:
        """The `data` of a success, or the error that the answer means: HTTP 200 may be one too."""
        request = self._request(method, path, **kwargs)
        response = exchange(self._http, request, service=SERVICE)
        status = response.status_code
        try:
            body = response.json()
        except ValueError:
            body = None
        is_envelope = isinstance(body, dict) and "code" in body
        code = _as_int(body["code"]) if is_envelope else None
        words = _words(body) or (_start(response) if status >= 400 and body is None else None)
        if code in _CODES:
            kind, meaning = _CODES[code]
            said = f": {words}" if words else ""
            raise kind(f"{meaning} ({code}{said}).", service=SERVICE, status=status, code=str(code), by_service=True)
        error = from_status(
            response, service=SERVICE, code=None if code is None else str(code), words=words, by_service=is_envelope
        )
        if error is not None:
            raise error
        if not is_envelope or code is None:
            raise UnreadableAnswer(
                f"TikMatrix answered {status} with something that is not its usual reply.",
                service=SERVICE,
                status=status,
            )
        if code != 0:
            said = f": {words}" if words else ""
            raise Refused(
                f"TikMatrix refused the request (code {code}{said}).",
                service=SERVICE,
                status=status,
                code=str(code),
                by_service=True,
            )
        return body.get("data")


def _as_int(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _start(response: httpx.Response) -> str:
    """The beginning of an answer that is not JSON, whatever charset it claims to be in."""
    return one_line(response.content[:2000].decode("utf-8", "replace"))


def _words(body: Any) -> str | None:
    message = body.get("message") or body.get("error") if isinstance(body, dict) else None
    return one_line(message).rstrip(".") if isinstance(message, str) and message.strip() else None
