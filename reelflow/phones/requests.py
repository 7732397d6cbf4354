"""Turn a form into a request: which of the owner's phones or accounts, and exactly which tasks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import time
from difflib import get_close_matches

from reelflow.errors import InputError
from reelflow.fields import ALL
from reelflow.phones.form import PhoneForm
from reelflow.phones.limits import Guardrails
from reelflow.records.phones import PhoneActor, PhoneRequest
from reelflow.tikmatrix.targets import Platform
from reelflow.wording import count, listed


def make_request(form: PhoneForm, guardrails: Guardrails) -> PhoneRequest:
    """What `form` asks for, with everything checked that can be checked without asking anybody.

    Raises:
        InputError: something about it is wrong.
    """
    form.check()
    targets = form.targets()
    actors = choose_actors(form, guardrails)
    request = PhoneRequest(
        script=form.script_name,
        job=form.job,
        platform=form.platform,
        actors=actors,
        targets=targets,
        settings=form.settings(),
        target_field=form.target_field,
        only_followed=form.only_followed,
        start_at=form.start_at,
        needs_chatgpt=form.needs_chatgpt,
        retries=form.retries,
        watch_seconds=form.watch_minutes * 60,
        dry_run=form.dry_run,
    )
    if form.start_at and guardrails.is_quiet(time.fromisoformat(form.start_at)):
        raise InputError(
            f"'Start at' {form.start_at} is in the quiet hours of the host block ({guardrails.quiet_hours}). Nothing "
            "was sent. Choose another time."
        )
    if request.task_count > form.most_tasks:
        times = f"{count(len(targets), 'target')} × " if targets else ""
        raise InputError(
            f"{times}{len(actors)} phones or accounts make {request.task_count} tasks, more than the 'Task limit' of "
            f"{form.most_tasks}. Nothing was sent."
        )
    return request


def choose_actors(form: PhoneForm, guardrails: Guardrails) -> tuple[PhoneActor, ...]:
    """Who does it, each of them listed by the owner.

    Raises:
        InputError: nobody, both phones and usernames, one that is not listed, or of the wrong platform.
    """
    devices, names = _serials(form.devices), [name.removeprefix("@") for name in _named(form.usernames)]
    if bool(devices) == bool(names):
        either = "choose 'Phones' or 'Usernames'"
        what = f"Both are chosen: {either}." if names else f"No phones are chosen: {either}."
        raise InputError(f"{what} Use 'all' for all that the host block lists.")
    named = devices or names
    if ALL in map(str.lower, named) and len(named) > 1:
        raise InputError("'all' means everything that the host block lists. Remove 'all', or remove the other rows.")
    if not guardrails.phones:
        raise InputError("The host block lists no phones. List your own there; only listed phones are used.")
    if devices:
        return _by_device(devices, form, guardrails)
    return _by_username(names, form.platform, guardrails)


def usernames(guardrails: Guardrails) -> list[str]:
    """The usernames that the owner lists, each once, whatever the platform."""
    return list(dict.fromkeys(account.username for phone in guardrails.phones for account in phone.accounts))


def _serials(rows: Sequence[str]) -> list[str]:
    """The serials in the rows of a form: phones as they can be chosen, or serials alone, also several with commas."""
    return _named([re.sub(r"\s*\([^)]*\)", "", row) for row in rows])


def _named(rows: Sequence[str]) -> list[str]:
    """The names in the rows of a form, each once; a row may have several with commas, an empty one counts for none."""
    return list(dict.fromkeys(name.strip() for row in rows for name in row.split(",") if name.strip()))


def _by_device(serials: list[str], form: PhoneForm, guardrails: Guardrails) -> tuple[PhoneActor, ...]:
    known = {phone.serial: phone for phone in guardrails.phones}
    chosen = list(known) if [s.lower() for s in serials] == [ALL] else serials
    if unknown := [s for s in chosen if s not in known]:
        verb = "is" if len(unknown) == 1 else "are"
        raise InputError(
            f"{', '.join(unknown)} {verb} not among the phones of the host block ({', '.join(known)}). "
            "Only listed phones are used."
        )
    actors: list[PhoneActor] = []
    for serial in chosen:
        phone = known[serial]
        accounts = [a for a in phone.accounts if a.platform == form.platform]
        if phone.accounts and not accounts:
            raise InputError(f"The phone {serial} has no {form.platform} account in the host block.")
        if form.every_account:
            if not accounts:
                raise InputError(
                    f"The host block lists no usernames for the phone {serial}, so 'Every account' cannot be used: "
                    "only listed accounts are used."
                )
            # As usernames: asking for "all accounts of the device" would include those that are not listed.
            actors += [PhoneActor(serial, a.username, (a.key,)) for a in accounts]
        else:
            counted = tuple(a.key for a in accounts) or (f"{form.platform} {serial}",)
            actors.append(PhoneActor(serial, "", counted))
    return tuple(actors)


def _did_you_mean(name: str, usernames: Iterable[str]) -> str:
    close = get_close_matches(name, usernames, 1, 0.8)
    return f" Did you mean {close[0]}?" if close else ""


def _by_username(names: list[str], platform: Platform, guardrails: Guardrails) -> tuple[PhoneActor, ...]:
    found = {a.username.lower(): (phone, a) for phone in guardrails.phones for a in phone.accounts
             if a.platform == platform}  # fmt: skip
    others = {a.username.lower(): a for phone in guardrails.phones for a in phone.accounts}
    chosen = list(found) if [n.lower() for n in names] == [ALL] else [n.lower() for n in names]
    for name in chosen:
        if name in found:
            continue
        if name in others:
            raise InputError(f"{name} is an account on {others[name].platform}, but this run is for {platform}.")
        raise InputError(
            f"{name} is not among the usernames of the host block "
            f"({listed([a.username for _, a in found.values()]) or 'none'}).{_did_you_mean(name, found)} Only listed "
            "accounts are used."
        )
    if not chosen:
        raise InputError(f"The host block lists no {platform} accounts.")
    return tuple(PhoneActor(phone.serial, a.username, (a.key,)) for phone, a in (found[n] for n in chosen))
