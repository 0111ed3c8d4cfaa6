"""The program with one of its safeguards taken out: what the simulation has to notice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from hashlib import md5
from itertools import chain
from types import ModuleType
from typing import Any
from unittest.mock import patch

from tests.support.simulation.server import Bucket, Connection

from s3_log_roller.errors import AlreadyExists, StorageError
from s3_log_roller.rolling import reconcile, wave
from s3_log_roller.rolling.wave import Wave
from s3_log_roller.rolling.wave_day import Day
from s3_log_roller.rollup.stored import PackedFile
from s3_log_roller.rollup.verify import Verified, verify
from s3_log_roller.store import ListedObject, NewObject, list_objects


@contextmanager
def believing_uploads() -> Iterator[None]:
    """A day group that goes alone: what was uploaded is not read back."""

    def believe(store: Any, group: Any, rollup: Any, originals: Any, md5s: Any, **how: Any) -> Verified:
        return Verified(rollup, originals)

    with patch.object(reconcile, "verify", believe):
        yield


@contextmanager
def believing_uploads_in_a_pass() -> Iterator[None]:
    """The same for day groups that go together."""

    def believe(wave: Wave, published: list[tuple[Day, PackedFile]]) -> None:
        for day, file in published:
            wave._take_proof(day, Verified(file.listed, day.loose))

    with patch.object(Wave, "_read_back", believe):
        yield


@contextmanager
def believing_unanswered_puts() -> Iterator[None]:
    """A PUT whose answer did not come counts as done and as proven; all others are read back."""
    guessed = set()
    put, read, read_back = Connection.put_if_absent, verify, Wave._read_back

    def put_or_guess(connection: Connection, key: str, new: NewObject) -> str:
        try:
            return put(connection, key, new)
        except AlreadyExists:
            raise
        except StorageError:
            guessed.add(md5(new.body).hexdigest())
            return md5(new.body).hexdigest()

    def verify_or_believe(
        store: Any, group: Any, rollup: ListedObject, originals: Any, md5s: Any, **how: Any
    ) -> Verified:
        if rollup.etag in guessed:
            return Verified(rollup, originals)
        return read(store, group, rollup, originals, md5s, **how)

    def read_back_or_believe(wave: Wave, published: list[tuple[Day, PackedFile]]) -> None:
        for day, file in published:
            if file.listed.etag in guessed:
                wave._take_proof(day, Verified(file.listed, day.loose))
        read_back(wave, [(day, file) for day, file in published if file.listed.etag not in guessed])

    with (
        patch.object(Connection, "put_if_absent", put_or_guess),
        patch.object(reconcile, "verify", verify_or_believe),
        patch.object(Wave, "_read_back", read_back_or_believe),
    ):
        yield


@contextmanager
def _deleting_the_whole_day(module: ModuleType) -> Iterator[None]:
    def delete(store: Connection, proven: list[Verified], *rest: object, versions: bool) -> list[None]:
        found = [list_objects(store, verified.originals.group.logs_prefix) for verified in proven]
        store.delete([(entry.key, entry.etag) for entry in chain.from_iterable(found)])
        return [None for _ in proven]

    with patch.object(module, "delete_verified", delete):
        yield


@contextmanager
def replacing_rollups() -> Iterator[None]:
    """A server for which `If-None-Match` means nothing."""

    with patch.object(Bucket, "refuses", lambda bucket, key: False):
        yield


@contextmanager
def without_a_last_look() -> Iterator[None]:
    """Nobody looks for other rollups of the day right before a rollup is published."""
    with (
        patch.object(reconcile._Reconciler, "_look_for_others", lambda self, rollups: None),
        patch.object(Wave, "_look_for_others", lambda self, by_key, keys: list(keys)),
    ):
        yield


@contextmanager
def packing_what_an_archived_rollup_may_hold(module: ModuleType) -> Iterator[None]:
    """Logs are packed that may be in a rollup that cannot be read: by reconcile, or by a pass."""
    with patch.object(module, "without_uncertain", lambda originals, outlines: originals):
        yield


BREAKS: dict[str, tuple[Callable[[], AbstractContextManager[None]], str]] = {
    "a rollup is not read back": (believing_uploads, "has not read"),
    "a pass reads no rollup back": (believing_uploads_in_a_pass, "has not read"),
    "an unanswered PUT counts as done": (believing_unanswered_puts, "was deleted"),
    "more is deleted than was proven": (lambda: _deleting_the_whole_day(reconcile), "was deleted"),
    "a pass deletes more than was proven": (lambda: _deleting_the_whole_day(wave), "was deleted"),
    "rollups are replaced": (replacing_rollups, "lost|was deleted"),
}
"""What is broken, and what is then said of the first schedule that goes wrong."""
