"""Go to an address on the web that somebody names, and where it leads: within limits, and without a name or a key."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import httpx

from reelflow.errors import InputError

R = TypeVar("R", bound=httpx.Response)

MOST_REDIRECTS = 5
"""A shared file of Google or Dropbox takes two."""
_CODES_OF_REDIRECTS = (301, 302, 303, 307, 308)


def follow(address: str, name: str, get: Callable[[httpx.URL], R], *, instead: str) -> tuple[R, httpx.URL, httpx.URL]:
    """The answer at the end of the redirects, the address first asked, and the one that answered.

    Args:
        address: Where to begin.
        name: What it is called in the sentence that refuses it.
        get: Asks one address; closed by us if its answer is a redirect.
        instead: What else to do, as the end of a sentence that refuses it.

    Raises:
        InputError: an address on the way is none of the web, has a password, is not encrypted, or they do not end.
        httpx.InvalidURL, ValueError: an address cannot be read.
    """
    url = first = _checked(httpx.URL(address), name, instead)
    for _ in range(MOST_REDIRECTS + 1):
        answer = get(url)
        if answer.status_code not in _CODES_OF_REDIRECTS or not (place := answer.headers.get("Location")):
            return answer, first, url
        answer.close()
        following = _checked(url.join(place), name, instead)
        if url.scheme == "https" and following.scheme == "http":
            raise InputError(f"{name} leads to an address that is not encrypted. {instead}")
        url = following
    raise InputError(f"{name} redirects too many times. {instead}")


def _checked(url: httpx.URL, name: str, instead: str) -> httpx.URL:
    if url.scheme not in ("http", "https") or not url.host:
        raise InputError(f"{name} leads to something that is not a web address. {instead}")
    if url.userinfo:
        raise InputError(f"The address of {name} has a user name or password, which are not sent. Remove them.")
    return url
