"""What is read of a stored file: no more than its listing and its footer allow."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from deflate import crc32
from hypothesis import given
from hypothesis import strategies as st
from tests.support.memory_store import MemoryStore
from tests.support.packing import Log, pack

from s3_log_roller.errors import DamagedRollup
from s3_log_roller.local_files import LocalFiles
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rollup import Block, read_footer
from s3_log_roller.rollup.index import encode_blocks, encode_section
from s3_log_roller.rollup.stored import PackedFile, open_packed, read_index
from s3_log_roller.store import ListedObject

GROUP = DayGroup("bucket1", "example.com/", date(2022, 7, 1))
ONE = Log("2022-07-01-05-15-43-42117B9A70B0F1BA", b"hello\n")


def listed(key: str, size: int, etag: str = "e") -> ListedObject:
    return ListedObject(key, etag, size, 0, archived=False)


def stored(content: bytes, key: str = "x.tgz") -> tuple[MemoryStore, ListedObject]:
    store = MemoryStore()
    store.put(key, content)
    return store, listed(key, len(content), store.objects[key].etag)


@given(st.binary(max_size=300), st.integers(0, 300), st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300))))
def test_ranges_come_in_order_wherever_they_are(content: bytes, tail: int, places: list[tuple[int, int]]) -> None:
    """From the tail at hand or from the store, fetched ahead or not."""
    ranges = [range(min(place), min(max(place), len(content))) for place in places if min(place) < len(content)]
    file = PackedFile(*stored(content)).with_tail(content[max(0, len(content) - tail) :])
    wanted = [content[one.start : one.stop] for one in ranges]
    assert list(file.read(ranges)) == list(file.read(ranges, ahead=False)) == wanted


def test_the_tail_at_hand_is_not_fetched_again() -> None:
    """Index and data of a small rollup cost one request."""
    rollup = pack(GROUP, [ONE])[1]
    store, entry = stored(rollup)
    fetched: list[str] = []
    store.before = lambda step, key: fetched.append(step)
    index = read_index(open_packed(store, entry))
    assert [member.suffix for member in index.members()] == [ONE.suffix]
    assert b"".join(index.file.read_all()) == rollup
    assert fetched == ["fetch"]


@pytest.mark.heavy
def test_a_planted_block_table_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    """A sparse file of 64 MB whose footer says as many blocks as fit into it: 1 GB of table, were it believed."""
    rollup = pack(GROUP, [ONE])[1]
    footer = read_footer(rollup, len(rollup))
    data_bytes, count = 64 << 20, (64 << 20) // 20
    blocks = [Block(0, 20, 0, 512, 0, 0, ONE.suffix)] * count
    payload = encode_blocks(blocks, GROUP.target_prefix, GROUP.day)
    section = encode_section(payload)
    members = rollup[footer.members_start : footer.blocks_start]
    lying = replace(
        footer,
        members_start=data_bytes,
        blocks_start=data_bytes + len(members),
        footer_start=data_bytes + len(members) + len(section),
        blocks=count,
        tar_bytes=data_bytes,
        blocks_crc32=crc32(payload),
    )
    path = tmp_path / "planted.tgz"
    with path.open("wb") as file:
        file.seek(data_bytes)
        file.write(members + section + lying.encode())
    del blocks, payload, section
    tracemalloc.start()
    try:
        with pytest.raises(DamagedRollup, match="blocks for"):
            read_index(open_packed(LocalFiles(), LocalFiles().find(str(path))))
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
