"""Each file gets its own bytes, however many are fetched at a time and wherever they are."""

from __future__ import annotations

import pytest
from tests.support.memory_store import MemoryStore

from s3_log_roller.errors import StorageError
from s3_log_roller.reading.contents import Tails
from s3_log_roller.store import list_objects


def test_ends_of_files_of_two_places_are_told_apart() -> None:
    """Files without a byte, which nobody can ask for a range of, stand between them."""
    stores = {"here": MemoryStore("here"), "there": MemoryStore("there")}
    fetched: list[str] = []
    for bucket, store in stores.items():
        store.before = lambda step, key: fetched.append(key) if step == "fetch" else None
        for number in range(4):
            store.put(f"{bucket}-{number}", f"{bucket} {number}".encode() if number != 2 else b"")
    listed = {entry.key: entry for store in stores.values() for entry in list_objects(store, "")}
    order = [("here", 0), ("here", 2), ("here", 1), ("there", 2), ("there", 0), ("there", 1), ("here", 3)]
    wanted = [(bucket, listed[f"{bucket}-{number}"]) for bucket, number in order]
    tails = Tails(stores.__getitem__, wanted, lambda size: min(size, 3))
    for bucket, number in order:
        file = tails.take()
        assert file.listed.key == f"{bucket}-{number}"
        assert file.tail == (f"{bucket} {number}"[-3:].encode() if number != 2 else b"")
    assert sorted(fetched) == sorted(f"{bucket}-{number}" for bucket, number in order if number != 2)


def test_a_file_that_cannot_be_had_costs_no_other() -> None:
    """The one behind it is next."""
    store = MemoryStore()
    for number in range(3):
        store.put(f"file-{number}", f"{number}".encode())
    files = [("bucket", entry) for entry in list_objects(store, "")]
    store.archive("file-1")
    tails = Tails(lambda bucket: store, files, lambda size: size)
    assert tails.take().tail == b"0"
    with pytest.raises(StorageError):
        tails.take()
    assert tails.take().tail == b"2"
