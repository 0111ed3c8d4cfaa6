"""What is said of a rollup before and after it is packed."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from tests.support.logs import log_key
from tests.support.memory_day import TASK
from tests.support.memory_store import MemoryStore, MemoryUpload

from s3_log_roller.rolling.day_listing import list_originals
from s3_log_roller.rolling.packing import pack
from s3_log_roller.store import Metadata, no_metadata


@pytest.mark.parametrize("bytes_a_log", [1, 300])
def test_an_upload_is_prepared_for_logs_that_do_not_compress(bytes_a_log: int) -> None:
    """Its parts suffice for all of the rollup, however short the logs are, and not for a hundred times as much."""
    expected: list[int] = []

    class Noting(MemoryStore):
        def upload(self, key: str, expected_bytes: int, metadata: Callable[[], Metadata] = no_metadata) -> MemoryUpload:
            expected.append(expected_bytes)
            return super().upload(key, expected_bytes, metadata)

    store, noise = Noting(), Random(1)
    for number in range(200):
        store.put(log_key(number), noise.randbytes(bytes_a_log))
    originals = list_originals(store, TASK.group, start_after="", max_keys=1000, unreadable=()).originals
    packed = pack(store, originals, store, others=[], level=6, last_look=lambda: None, tick=lambda logs, n_bytes: None)
    assert packed.rollup.size <= expected[0] < 100 * packed.rollup.size
    assert not packed.rollup.archived
