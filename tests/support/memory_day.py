"""A day group in memory, one run over it, and what must hold of it whatever happened."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator
from datetime import date

from tests.support.logs import DAY, PREFIX, TODAY, log_key
from tests.support.memory_store import MemoryStore

from s3_log_roller.log_keys import DayGroup, parse_rollup_key
from s3_log_roller.rolling.options import RollOptions
from s3_log_roller.rolling.outcome import RollOutcome
from s3_log_roller.rolling.pace import Pace
from s3_log_roller.rolling.reconcile import reconcile
from s3_log_roller.rolling.tasks import RollTask
from s3_log_roller.rolling.window import Window

TASK = RollTask(DayGroup("bucket", PREFIX, DAY), Window(TODAY))


class Killed(BaseException):
    """The process died: nothing after this runs, not even error handling of ordinary errors."""


def a_day(count: int = 9, *, page_size: int = 1000) -> tuple[MemoryStore, dict[str, bytes]]:
    """A store with that many logs of `DAY`, and their bodies by key."""
    store = MemoryStore(page_size=page_size)
    bodies = {log_key(n * 97): f"record {n}\n".encode() * (n * n + 1) for n in range(count)}
    for key, body in bodies.items():
        store.put(key, body)
    return store, bodies


def put_logs(store: MemoryStore, numbers: Iterable[int], prefix: str = PREFIX, day: date = DAY) -> dict[str, bytes]:
    """Deliver the logs of those numbers; their bodies by key."""
    bodies = {log_key(n, prefix, day): f"record {n}\n".encode() * (n % 7 + 1) for n in numbers}
    for key, body in bodies.items():
        store.put(key, body)
    return bodies


def run(store: MemoryStore, task: RollTask = TASK, *, delete: bool = False, pace: Pace | None = None) -> RollOutcome:
    """Reconcile the task's day group, on `TODAY`."""
    return reconcile(store, task, RollOptions(delete, 1), today=TODAY, pace=pace)


def roll(store: MemoryStore, prefix: str = PREFIX, day: date = DAY, *, delete: bool = True) -> str:
    """Roll a day up; returns the key of the newest rollup."""
    before = set(store.objects)
    run(store, RollTask(DayGroup(store.bucket, prefix, day), Window(TODAY)), delete=delete)
    return next(key for key in store.objects if key not in before)


def rollups(store: MemoryStore) -> list[str]:
    """The keys of the rollups in the store."""
    return [key for key in store.objects if parse_rollup_key(key)]


def members(store: MemoryStore) -> Iterator[tuple[str, bytes]]:
    """(key, body) of every member of every rollup, read by an ordinary tool."""
    for key in rollups(store):
        folder = key[: key.rindex("/") + 1] if "/" in key else ""
        with tarfile.open(fileobj=io.BytesIO(store.objects[key].body)) as tar:
            for member in tar:
                file = tar.extractfile(member)
                assert file is not None
                yield folder + member.name, file.read()


def assert_nothing_lost(store: MemoryStore, bodies: dict[str, bytes]) -> None:
    """Every original is still there, or in a rollup, byte for byte."""
    held = dict(members(store))
    for key, body in bodies.items():
        stored = store.objects.get(key)
        assert (stored is not None and stored.body == body) or held.get(key) == body, key


def assert_exactly_once(store: MemoryStore, bodies: dict[str, bytes]) -> None:
    """Every original is a member of exactly one rollup, byte for byte, and nothing else is."""
    held = list(members(store))
    assert sorted(held) == sorted(bodies.items())
