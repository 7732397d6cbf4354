"""What a person does in Prefect's UI."""

import contextlib
from collections.abc import Callable
from typing import Any

from support.waiting import until


def submit(page: Any, is_taken: Callable[[], bool] | None = None, *, button: str = "Submit") -> None:
    """Click on Submit until the form is taken: a click that comes while the form still settles goes nowhere.

    Args:
        page: With the form.
        is_taken: Whether it was taken; by default, whether the page has moved on to the runs.
        button: The words on it.
    """
    answers: list[str] = []
    page.on("response", lambda r: answers.append(f"{r.status} {r.url}") if r.request.method == "POST" else None)
    page.on("requestfailed", lambda r: answers.append(f"{r.failure} {r.url}"))
    page.wait_for_timeout(1000)
    for _ in range(4):
        page.get_by_role("button", name=button).click()
        with contextlib.suppress(AssertionError):
            until("the form is taken", is_taken or (lambda: "tab=Runs" in page.evaluate("location.href")), seconds=15)
            return
    raise AssertionError(f"the form was not taken: {answers[-10:]}\n{page.locator('body').inner_text()}")
