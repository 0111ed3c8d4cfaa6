"""What is read of a stored file: no more than its listing and its footer allow."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.memory_store import MemoryStore
from tests.support.packing import Log, decode_index, pack
from tests.support.paths import GOLDEN

from s3_log_roller.errors import DamagedRollup, NewerFormat
from s3_log_roller.local_files import LocalFiles
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rollup import Block, NoIndex, draft, read_footer
from s3_log_roller.rollup.compression import crc32
from s3_log_roller.rollup.directory import encode_directory
from s3_log_roller.rollup.footer import LostIndex
from s3_log_roller.rollup.stored import PackedFile, blaming, open_packed, read_index, read_rollup
from s3_log_roller.store import ListedObject

GROUP = DayGroup("bucket1", "example.com/", date(2022, 7, 1))
ONE = Log("2022-07-01-05-15-43-42117B9A70B0F1BA", b"hello\n")


def listed(key: str, size: int, etag: str = "e") -> ListedObject:
    return ListedObject(key, etag, size, 0, archived=False)


def stored(content: bytes, key: str = "x.tgz") -> tuple[MemoryStore, ListedObject]:
    store = MemoryStore()
    store.put(key, content)
    return store, listed(key, len(content), store.objects[key].etag)


@pytest.mark.heavy
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
    """A sparse file of 16 MB whose footer says as many blocks as fit into it: 250 MB of table, were it believed."""
    rollup = pack(GROUP, [ONE])[1]
    data_bytes, count = 16 << 20, (16 << 20) // 20
    blocks = [Block(0, 20, 0, 512, 0, 0, ONE.suffix, last=False)] * count
    path = tmp_path / "planted.tgz"
    plant(path, rollup, data_bytes, blocks, data_bytes)
    tracemalloc.start()
    try:
        with pytest.raises(DamagedRollup, match="blocks for"):
            read_index(open_packed(LocalFiles(), LocalFiles().find(str(path))))
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.heavy
def test_the_largest_block_table_that_a_planted_file_can_have_stays_small(tmp_path: Path) -> None:
    """A file of 64 MB that claims zeros packed as tightly as deflate can: its table is less than the file."""
    rollup = pack(GROUP, [ONE])[1]
    length, count = 1017, (64 << 20) // 1017
    blocks = [
        Block(0, length, 0, 1 << 20, 1 << 20 if number else 0, 0, ONE.suffix, last=False) for number in range(count)
    ]
    path = tmp_path / "planted.tgz"
    plant(path, rollup, 10 + length * count + 8, blocks, count << 20)
    tracemalloc.start()
    try:
        index = read_index(open_packed(LocalFiles(), LocalFiles().find(str(path))))
        assert len(index.directory.blocks) == count
        assert tracemalloc.get_traced_memory()[1] < 12_000_000
    finally:
        tracemalloc.stop()


def plant(path: Path, rollup: bytes, data_bytes: int, blocks: list[Block], tar_bytes: int) -> None:
    """Write a sparse file with the rollup's members and other data, which nobody has written."""
    footer = read_footer(rollup, len(rollup))
    members_section = footer.members_section
    members = rollup[members_section.offset : members_section.reach.stop]
    chunks = decode_index(rollup)[1].chunks
    directory = encode_directory(GROUP.target_prefix, GROUP.day, blocks, chunks)
    moved = members_section._replace(offset=data_bytes)
    place = footer.directory_section._replace(offset=moved.reach.stop, length=len(directory), crc32=crc32(directory))
    lying = replace(footer, data_bytes=data_bytes, blocks=len(blocks), tar_bytes=tar_bytes, sections=(moved, place))
    with path.open("wb") as file:
        file.seek(data_bytes)
        file.write(members + directory + lying.encode())


def test_a_newer_file_is_no_damage_and_its_key_is_named() -> None:
    """The day is left alone, and the message says what to do."""
    key, rollup = pack(GROUP, [ONE])
    footer = read_footer(rollup, len(rollup))
    store, entry = stored(rollup[: footer.start] + replace(footer, needs_version=2).encode(), key)
    with (
        pytest.raises(NewerFormat, match=rf"{key} was written in version 1 .* update it; its day was left alone"),
        blaming(store, entry),
    ):
        read_rollup(store, GROUP, entry)


@pytest.mark.parametrize("name", ["rollup-2022-07-01-00000000.tgz", "other.tgz"])
def test_what_is_named_like_a_rollup_and_has_no_index_is_damaged(name: str) -> None:
    """Anything else without an index is a tarball by another program."""
    rollup = pack(GROUP, [ONE])[1]
    cut_off = rollup[: read_footer(rollup, len(rollup)).data_bytes]
    with pytest.raises(NoIndex) as seen:
        read_index(open_packed(*stored(cut_off, name)))
    assert isinstance(seen.value, LostIndex) == (name != "other.tgz")
    assert ("it is cut off, or another program made it" in str(seen.value)) == (name != "other.tgz")


def test_only_the_chunks_that_are_asked_for_are_read() -> None:
    """One member, or one hour, of a large rollup costs one request of a part of the index."""
    logs = [Log(f"2022-07-01-{n // 3600:02}-{n // 60 % 60:02}-{n % 60:02}-{n:016X}", b"") for n in range(0, 86_000, 4)]
    store, entry = stored(pack(GROUP, logs)[1])
    index = read_index(PackedFile(store, entry).with_tail(store.objects[entry.key].body[-66_000:]))
    fetched: list[str] = []
    store.before = lambda step, key: fetched.append(step)
    assert [member.suffix for member in index.members_between(logs[4000].suffix, logs[4002].suffix)] == [
        log.suffix for log in logs[4000:4003]
    ]
    assert fetched == ["fetch"]
    assert [member.suffix for member in index.members()] == [log.suffix for log in logs]


@pytest.mark.parametrize("name", ["rollup-v1-2022-07-01.tgz", "rollup-0.1-2022-07-01.tgz"])
def test_a_range_of_names_includes_both_ends_and_nothing_comes_twice(name: str) -> None:
    """In the layout of 0.1, too."""
    index = read_index(open_packed(*stored((GOLDEN / name).read_bytes())))
    names = [member.suffix for member in index.members()]
    for first in range(len(names)):
        for last in range(first, len(names)):
            between = index.members_between(names[first], names[last])
            assert [member.suffix for member in between] == names[first : last + 1]


def test_of_a_file_from_before_1_0_a_list_of_members_so_long_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever plants one costs no more memory than the newer format allows."""
    data = (GOLDEN / "rollup-0.1-2022-07-01.tgz").read_bytes()
    assert len(read_index(open_packed(*stored(data))).footer.sections) == 2
    monkeypatch.setattr(draft, "MAX_INDEX_BYTES", 10)
    with pytest.raises(DamagedRollup, match="more than is read of a file from before"):
        read_index(open_packed(*stored(data)))


def test_an_index_is_read_of_a_file_of_which_nothing_is_at_hand() -> None:
    """Its last bytes are fetched then."""
    store, listed = stored((GOLDEN / "rollup-v1-2022-07-01.tgz").read_bytes())
    assert read_index(PackedFile(store, listed)).footer == read_index(open_packed(store, listed)).footer


def test_a_rollup_under_another_ones_name_is_damaged() -> None:
    """Its name follows from its first member; a folder of the user's own does not matter."""
    key, content = pack(
        DayGroup("bucket", "web/", date(2022, 7, 1)), [Log("2022-07-01-00-00-01-0000000000000001", b"x")]
    )
    for folder in ("web/", "copies/of/mine/", ""):
        store, listed = stored(content, folder + key.removeprefix("web/"))
        assert read_index(open_packed(store, listed)).footer.members == 1
        store, listed = stored(content, f"{folder}rollup-2022-07-01-00000000.tgz")
        with pytest.raises(DamagedRollup, match="its name does not follow from its first member, 2022-07-01-00-00-01-"):
            read_index(open_packed(store, listed))


def test_a_rollup_of_0_1_is_known_by_the_name_that_followed_from_its_content() -> None:
    """Any other name that a rollup may have is somebody else's."""
    content = (GOLDEN / "rollup-0.1-2022-07-01.tgz").read_bytes()
    digest = read_footer(content, len(content)).content_digest.hex()
    store, listed = stored(content, f"example.com/logs-rollup-2022-07-01-{digest[:8]}.tgz")
    assert read_index(open_packed(store, listed)).footer.draft
    store, listed = stored(content, f"example.com/logs-rollup-2022-07-01-{digest[8:16]}.tgz")
    with pytest.raises(DamagedRollup, match="its name does not follow"):
        read_index(open_packed(store, listed))


def test_a_rollup_of_other_logs_is_not_taken_for_one_of_these() -> None:
    """Of another target prefix, or of another day."""
    store, listed = stored((GOLDEN / "rollup-v1-2022-07-01.tgz").read_bytes())
    file = open_packed(store, listed)
    group = DayGroup("bucket", "example.com/logs-", date(2022, 7, 1))
    assert read_index(file, group).directory.day == group.day
    for other in (replace(group, target_prefix="example.com/"), replace(group, day=date(2022, 7, 2))):
        with pytest.raises(DamagedRollup, match=r"it was made of other logs, example\.com/logs-2022-07-01"):
            read_index(file, other)
