"""What comes out of one packed file is what was put in, wherever reading begins."""

from __future__ import annotations

import gzip
from random import Random

import pytest
from tests.support.forging import reseal
from tests.support.logs import DAY, PREFIX, log_key
from tests.support.memory_store import MemoryStore
from tests.support.packing import decode_index, pack_day
from tests.support.paths import GOLDEN
from tests.support.tarballs import tar_of

from s3_log_roller.errors import DamagedRollup
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.reading.groups import Group
from s3_log_roller.reading.packed import read_selected, read_through
from s3_log_roller.reading.proofs import find_rollups, prove
from s3_log_roller.reading.selection import Selection
from s3_log_roller.rollup.stored import PackedFile, open_packed, read_index


def packed(content: bytes, key: str = "x.tgz") -> tuple[MemoryStore, PackedFile]:
    store = MemoryStore()
    store.put(key, content)
    return store, open_packed(store, store.list_page(key).objects[0])


def not_expected(*told: object) -> None:
    pytest.fail(str(told))


def read(file: PackedFile, selection: Selection = Selection()) -> dict[str, bytes]:  # noqa: B008
    """The members that come out, with their whole content."""
    found: dict[str, bytes] = {}
    for member, data, _ in read_selected(read_index(file), selection, not_expected, not_expected):
        found[member.name] = found.get(member.name, b"") + data
    return found


LARGE = {log_key(1): b"1", log_key(2): Random(1).randbytes(1000) * 2500, log_key(3): b"3" * 700}


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_member_comes_alone_wherever_its_blocks_begin(number: int) -> None:
    """The last one's block begins in the middle of the member before it."""
    _, file = packed(pack_day(LARGE)[1])
    key = log_key(number)
    suffix = key[len(PREFIX) :]
    assert read(file, Selection(suffix, suffix)) == {suffix: LARGE[key]}


def test_a_member_that_goes_on_where_the_index_says_another_begins_is_damage() -> None:
    """Asked for alone it would come out short."""
    _, content = pack_day(LARGE)
    blocks = list(decode_index(content)[1].blocks)
    next_suffix = log_key(3)[len(PREFIX) :]
    blocks[2] = blocks[2]._replace(ordinal=2, suffix=next_suffix, first_header=0)
    blocks[3] = blocks[3]._replace(ordinal=2, suffix=next_suffix)
    _, file = packed(reseal(content, blocks=blocks))
    suffix = log_key(2)[len(PREFIX) :]
    told: list[DamagedRollup] = []
    for _, _, last in read_selected(read_index(file), Selection(suffix, suffix), not_expected, told.append):
        assert not last
    assert len(told) == 1


@pytest.mark.parametrize("name", ["rollup-v1-2022-07-01.tgz", "rollup-0.1-2022-07-01.tgz", "rollup-0.1-one-log.tgz"])
def test_files_of_any_version_are_read_to_the_last_byte(name: str) -> None:
    """The blocks of 0.1 begin with the file's first byte."""
    content = (GOLDEN / name).read_bytes()
    _, file = packed(content)
    _, same = packed(content)
    through: dict[str, bytes] = {}
    for member, data, _ in read_through(same, not_expected):
        through[member.name] = through.get(member.name, b"") + data
    assert read(file) == through
    assert through


@pytest.mark.parametrize("cut", [1024 + 200, 1024 + 512 + 300])
def test_a_tar_that_ends_too_early_is_damage(cut: int) -> None:
    """Though the gzip file around it is whole: the last log would be short, or missing."""
    tar = tar_of([("a", b"a" * 100), ("b", b"b" * 512)])
    tar = tar[: 512 + 512 + 512 + 512 + 1024]
    _, file = packed(gzip.compress(tar[:-cut]))
    with pytest.raises(DamagedRollup):
        list(read_through(file, lambda name, what: None))


def test_members_that_damage_does_not_reach_are_not_called_damaged() -> None:
    """Of three blocks one has a flipped bit: its member is named, the others are not."""
    bodies = {log_key(number): Random(number).randbytes(700_000) for number in range(3)}
    _, content = pack_day(bodies)
    at = len(content) // 2
    store = MemoryStore()
    store.put("x.tgz", content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    group = Group("bucket", "", DayGroup("bucket", PREFIX, DAY), Selection(), rollups=store.list_page("x").objects)
    (proof,) = prove(lambda bucket: store, tuple(find_rollups([group])))
    assert (proof.verdict, proof.damaged) == ("damaged", (log_key(1)[len(PREFIX) :],))
