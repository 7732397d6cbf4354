"""A new Taisly API key in place of the old one, in an order in which no crash leaves the user without a working key.

    checked      the key works, its block can be saved, and no other run replaces it
    at rest      no request with the key begins, and no upload is in progress
    announced    the file says that a key is being generated: if this run dies now, the next one asks Taisly which works
    generated    the old key is dead, and the answer shows the new one
    kept         the file has the new key: from here on, nothing can lose it
    tried        it works, so it is the only one that does
    saved        the blocks have it
    recorded     the ledger counts its requests together with those of the old one
    done         the file is deleted

A run that finds a file ends what the earlier one began, and generates nothing. Only a crash, or a lost answer, between
the two sides of `generated` leaves no key: then Taisly has replaced it and showed it to nobody.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from pydantic import SecretStr

from reelflow.countdown import Countdown
from reelflow.errors import (
    InputError,
    KeyLost,
    KeyNotSaved,
    NothingSent,
    OutcomeUnknown,
    ReelflowError,
    Refused,
)
from reelflow.ledger import PERSON_SECONDS, Ledger
from reelflow.taisly.client import TaislyClient
from reelflow.upkeep.key_file import KeptKey, KeyFile
from reelflow.upkeep.key_rest import at_rest, let_runs_wait
from reelflow.upkeep.key_trial import KeyTrial
from reelflow.wording import duration

log = logging.getLogger(__name__)

SAVE_SECONDS = 300.0
"""How long saving the new key is tried: the Prefect server may be restarting."""
SAVE_PAUSE = 5.0
"""Seconds between two tries to save it."""


class SavedKeys(Protocol):
    """The saved blocks that have a key."""

    def read(self) -> str:
        """The key that the run's own block has now."""

    def rewrite(self) -> None:
        """Save that block as it is, and read it back: proves that it can be saved."""

    def replace(self, old: str, new: str) -> list[str]:
        """Put the key `new` into the run's own block and into each with the key of the fingerprint `old`.

        Returns the names of all blocks that have `new`. Doing it again changes nothing.
        """


class Replaced(NamedTuple):
    """What was done.

    Attributes:
        blocks: The names of the saved blocks that have the new key.
        resumed: Whether an earlier run had generated it.
        tried: Whether Taisly accepts it; False if Taisly could not be asked.
    """

    blocks: list[str]
    resumed: bool
    tried: bool


@dataclass(frozen=True)
class Rotation:
    """Replaces or revokes the key of one saved block.

    Args:
        ledger: Where runs see that the key is being replaced.
        service: The address of Taisly's API, as the ledger names it.
        block: The block, as people find it.
        name: Its name.
        saved: Reads and saves it.
        file: Keeps the new key until it is saved.
        client: A client with a key.
        sleep: How to wait.
        after: Called after each step with its name.
    """

    ledger: Ledger
    service: str
    block: str
    name: str
    saved: SavedKeys
    file: KeyFile
    client: Callable[[str], TaislyClient]
    sleep: Callable[[float], None] = time.sleep
    after: Callable[[str], None] = lambda step: None

    def replace(self, key: str, *, patience: float) -> Replaced:
        """Generate a new key, keep it, save it, and try it; or end what an earlier run has begun.

        Args:
            key: The key of the block.
            patience: Seconds to wait for uploads in progress.

        Raises:
            InputError: something is missing that it needs, or another run does the same. Nothing was changed.
            NothingSent: an upload is in progress, or Taisly generated nothing. The key still works.
            KeyNotSaved: the new key is kept on this machine. Running it again saves it.
            KeyLost: Taisly has replaced the key, and showed the new one to nobody.
            OutcomeUnknown: Taisly does not tell whether it has. Running it again finds out.
        """
        if (kept := self.file.read()) and (done := self._finish(kept)):
            return done
        self.check(key)
        self.saved.rewrite()
        self.after("checked")
        old = self._trial.fingerprint(key)
        with self._at_rest(old, patience) as confirm:
            self.after("at rest")
            self._refuse_if_replaced(key)
            kept = KeptKey(block=self.name, old=old, at=datetime.fromtimestamp(self.ledger.now(), UTC))
            self.file.write(kept)
            self.after("announced")
            confirm()  # a run that was held up for minutes may have lost its mark to another one
            kept = kept.model_copy(update={"key": SecretStr(self._generate(key, kept))})
            self.after("generated")
            is_kept = self._keep(kept)
            self.after("kept")
            return self._put_into_use(kept, is_kept=is_kept, resumed=False)

    def revoke(self, key: str, *, patience: float) -> str:
        """Let a key die without a new one; returns why that could not be confirmed, empty if it was.

        Args:
            key: The key of the block.
            patience: As before.

        Raises:
            InputError, NothingSent, OutcomeUnknown: as before.
        """
        if (kept := self.file.read()) and kept.key.get_secret_value():
            raise InputError(
                f"An earlier run has generated a new key for {self.block} and did not save it. Nothing was revoked. "
                "Choose 'replace' first: it saves that key."
            )
        self.check(key)
        with self._at_rest(self._trial.fingerprint(key), patience):
            try:
                with self.client(key) as client:
                    client.revoke_key()
            except ReelflowError as error:
                if isinstance(error, InputError | NothingSent) or _is_refusal(error):
                    raise
                if still_works := self._trial.after_lost_answer(key, error, "revoked the key"):
                    raise still_works from None
            try:
                still_accepted = self._trial.works(key)
            except ReelflowError as error:
                return f"It could not be confirmed that the key is dead: {error}"
            if still_accepted:
                raise OutcomeUnknown("Taisly says that the key is revoked, but accepts it still. Check it in Taisly.")
            return ""

    def check(self, key: str) -> None:
        """Raise InputError unless the block still has the key, and the key works. Changes nothing."""
        if self.saved.read() != key:
            raise InputError(
                f"The key in {self.block} was changed after this run began. Nothing was changed. Run it again."
            )
        if not self._trial.works(key):
            raise InputError(
                f"Taisly does not accept the key of {self.block} (401), so this key cannot be used to generate a new "
                "one. Nothing was changed. If a run that replaced the key was interrupted on another machine, run "
                "it again there: the new key is kept there. Otherwise generate a key in Taisly's settings, and put it "
                "into the block."
            )

    # What an earlier run began

    def _finish(self, kept: KeptKey) -> Replaced | None:
        """End it; None if there is nothing left of it, and the block's key works."""
        key, saved = kept.key.get_secret_value(), self.saved.read()
        is_own = self._trial.fingerprint(saved) == kept.old or saved == key
        if key and (is_own or not self._trial.works(saved)) and self._trial.works(key):
            log.info("An earlier run generated a new key and did not finish. This run goes on with that key.")
            with self._at_rest(kept.old, None) as confirm:
                confirm()
                return self._put_into_use(kept, is_kept=True, resumed=True)
        if not self._trial.works(saved):
            let_runs_wait(self.ledger, kept.old)
            raise self._lost()
        self.file.delete(kept)
        return None

    # Steps

    @property
    def _trial(self) -> KeyTrial:
        return KeyTrial(self.ledger, self.service, self.client, self.sleep)

    def _at_rest(self, old: str, patience: float | None) -> AbstractContextManager[Callable[[], None]]:
        return at_rest(self.ledger, self.service, old, patience=patience, sleep=self.sleep)

    def _refuse_if_replaced(self, key: str) -> None:
        """Raise InputError if another run was at work since this one looked: its file must not be overwritten."""
        if self.file.read() is not None or self.saved.read() != key:
            raise InputError(f"Another run has replaced the key of {self.block} meanwhile. This one changed nothing.")

    def _generate(self, key: str, announced: KeptKey) -> str:
        try:
            with self.client(key) as client:
                return client.generate_key()
        except ReelflowError as error:
            if isinstance(error, InputError | NothingSent) or _is_refusal(error):
                self.file.delete(announced)
                raise
            lost = error
        if still_works := self._trial.after_lost_answer(key, lost, "generated a new key"):
            self.file.delete(announced)
            raise still_works
        raise self._lost()

    def _keep(self, kept: KeptKey) -> bool:
        """Whether the file has the new key. If its disk is full at this very moment, the block may still take it."""
        try:
            self.file.write(kept)
        except InputError as error:
            log.warning("%s Saving the key into the block all the same.", error)
            return False
        return True

    def _put_into_use(self, kept: KeptKey, *, is_kept: bool, resumed: bool) -> Replaced:
        key = kept.key.get_secret_value()
        if tried := self._try_out(kept):
            self.after("tried")
        names = self._save(kept.old, key, is_kept=is_kept)
        self.after("saved")
        self.ledger.replace_key(kept.old, self._trial.fingerprint(key))
        self.after("recorded")
        self.file.delete(kept)
        return Replaced(names, resumed, tried)

    def _try_out(self, kept: KeptKey) -> bool:
        """See that the new key works: then every other is dead, and may be overwritten, whoever has saved it meanwhile.

        False if Taisly cannot be asked.

        Raises:
            InputError: somebody else has generated another one since, and saved it.
            KeyLost: the same, and the block does not have that one.
        """
        try:
            if self._trial.works(kept.key.get_secret_value()):
                return True
        except ReelflowError as error:
            log.warning("The new key could not be tried: %s Saving it all the same.", error)
            return False
        if not self._trial.works(self.saved.read()):
            raise self._lost()
        self.file.delete(kept)
        raise InputError(f"Somebody else generated another key meanwhile, and saved it in {self.block}. It works.")

    def _save(self, old: str, key: str, *, is_kept: bool) -> list[str]:
        waiting = Countdown(SAVE_SECONDS, self.sleep)
        while True:
            try:
                return self.saved.replace(old, key)
            except ReelflowError as error:
                if not waiting.left:
                    raise self._not_saved(error, is_kept=is_kept) from None
                log.warning("The new key could not be saved: %s Trying again.", error)
            waiting.sleep(SAVE_PAUSE)

    def _not_saved(self, error: ReelflowError, *, is_kept: bool) -> ReelflowError:
        if not is_kept:
            return self._lost()
        return KeyNotSaved(
            f"Taisly has generated a new key, but {self.block} could not be saved: {error} The new key is kept on this "
            f"machine in {self.file.path}. Run this again on this machine: it saves that key, and generates none. "
            f"Runs wait for it for up to {duration(PERSON_SECONDS)}."
        )

    def _lost(self) -> KeyLost:
        return KeyLost(
            f"Taisly has replaced the API key, and the new one was lost: Taisly shows it only once. {self.block} has a "
            "key that no longer works. Generate another key in Taisly's settings, and put it into that block. Running "
            f"posts wait for it for up to {duration(PERSON_SECONDS)}; nothing is sent twice."
        )


def _is_refusal(error: ReelflowError) -> bool:
    """Whether Taisly itself says that it did nothing; something on the way does not know."""
    return isinstance(error, Refused) and error.by_service
