"""Bodies of originals stop coming when nobody wants them any more."""

from __future__ import annotations

from collections.abc import Generator, Iterable

import pytest
from tests.support.logs import PREFIX
from tests.support.memory_day import TASK, put_logs, run
from tests.support.memory_store import MemoryStore, MemoryUpload

from s3_log_roller.errors import StorageError
from s3_log_roller.rolling.fetching import fetch_originals
from s3_log_roller.rollup.originals import Originals
from s3_log_roller.store import ByteRange, list_objects


class WatchedStore(MemoryStore):
    """Tells whether a fetch is still going on: the S3 client has requests under way as long as it is."""

    fetching = False

    def fetch_each(self, ranges: Iterable[ByteRange]) -> Generator[tuple[bytes, bytes] | StorageError, None, None]:
        self.fetching = True
        try:
            yield from super().fetch_each(ranges)
        finally:
            self.fetching = False


@pytest.fixture
def store() -> WatchedStore:
    """One day of five logs."""
    store = WatchedStore()
    put_logs(store, range(5))
    return store


def test_a_fetch_ends_with_the_first_body_that_cannot_be_had(store: WatchedStore) -> None:
    """As soon as the error is out, whoever keeps it."""
    originals = Originals(TASK.group)
    for entry in list_objects(store, TASK.group.logs_prefix):
        originals.append(entry.key.removeprefix(PREFIX), entry.etag, entry.size, entry.mtime)
    del store.objects[PREFIX + list(originals)[1].suffix]
    with pytest.raises(StorageError) as raised:
        list(fetch_originals(store, originals, PREFIX))
    assert raised.traceback
    assert not store.fetching


def test_a_fetch_ends_when_the_upload_fails(store: WatchedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """No body is asked for behind that, and the upload is aborted after the fetch has ended."""
    seen: list[bool] = []

    def fail(upload: MemoryUpload, data: bytes) -> None:
        assert store.fetching
        raise StorageError("the upload is refused")

    monkeypatch.setattr(MemoryUpload, "write", fail)
    monkeypatch.setattr(MemoryUpload, "abort", lambda upload: seen.append(store.fetching))
    monkeypatch.setattr("s3_log_roller.rolling.packing.RollupWriter.add", lambda *anything: b"packed")
    with pytest.raises(StorageError, match="the upload is refused"):
        run(store)
    assert seen == [False]
