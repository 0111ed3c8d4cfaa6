"""What batches of shares emit: each its own findings, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.logs import DAY, PREFIX, log_key
from tests.support.memory_day import put_logs, roll
from tests.support.memory_store import MemoryStore

from s3_log_roller.local_files import LOCAL
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.reading.groups import Stores, find_groups
from s3_log_roller.reading.lines import Findings, Query
from s3_log_roller.reading.operations import Restore, Search
from s3_log_roller.reading.parallel import Failure
from s3_log_roller.reading.patterns import Pattern, Syntax
from s3_log_roller.reading.restoring import Restored
from s3_log_roller.reading.selection import Selection
from s3_log_roller.reading.shares import Share, find_shares
from s3_log_roller.reading.targets import Target
from s3_log_roller.store import ListedObject, Store
from s3_log_roller.uris import S3Uri


def test_each_batch_tells_what_was_found_in_it_alone() -> None:
    """Whoever adds them up counts nothing twice."""
    store = MemoryStore()
    put_logs(store, range(1, 5))

    @contextmanager
    def stores() -> Iterator[object]:
        yield lambda bucket: store

    emitted: list[object] = []
    search = Search(stores, Query(Pattern.parse("record", Syntax.EXTENDED), show="count"))  # type: ignore[arg-type]
    performer = search.start(lambda bucket: store, emitted.append)
    for number in (1, 2):
        listed = next(one for one in store.list_page(PREFIX).objects if one.key == log_key(number))
        performer.run((Share("bucket", "", DayGroup("bucket", PREFIX, DAY), Selection(), loose=(listed,)),))
    logs = [one.logs for one in emitted if isinstance(one, Findings)]
    assert logs == [1, 1]


def test_what_was_found_comes_before_what_is_waited_for_or_fails() -> None:
    """Who looks on sees it at once, and in its order."""
    store = MemoryStore()
    put_logs(store, range(1, 4))
    listed = [one for one in store.list_page(PREFIX).objects if one.key != log_key(2)]
    gone = ListedObject(log_key(2), "e", 1, 0, archived=False)
    emitted: list[object] = []
    waits: list[int] = []
    store.before = lambda step, key: waits.append(len(emitted)) if step == "fetch" else None

    @contextmanager
    def stores() -> Iterator[Stores]:
        yield lambda bucket: store

    performer = Search(stores, Query(Pattern.parse("record", Syntax.EXTENDED))).start(
        lambda bucket: store, emitted.append
    )
    loose = (listed[0], gone, listed[1])
    performer.run(
        tuple(Share("bucket", "", DayGroup("bucket", PREFIX, DAY), Selection(), loose=(one,)) for one in loose)
    )
    assert [type(one) for one in emitted] == [bytes, Failure, bytes, Findings]
    assert waits == [0, 1, 2]


def test_each_batch_tells_what_was_restored_in_it_alone(tmp_path: Path) -> None:
    """Whoever adds them up counts nothing twice."""
    store = MemoryStore()
    for days in range(2):
        put_logs(store, range(1, 4), day=DAY + timedelta(days))
        roll(store, day=DAY + timedelta(days))

    @contextmanager
    def stores() -> Iterator[Callable[[str], Store]]:
        yield lambda bucket: store

    emitted: list[object] = []
    groups = find_groups(lambda bucket: store, [S3Uri("bucket", PREFIX)], Selection(), pytest.fail)
    shares = list(find_shares(lambda bucket: store, groups, pytest.fail, split=False))
    restore = Restore(stores, stores, Target(LOCAL, str(tmp_path)))
    performer = restore.start(lambda bucket: store, emitted.append)
    for one in shares:
        performer.run((one,))
    performer.close()
    assert [one.logs for one in emitted if isinstance(one, Restored)] == [3, 3]
