"""The damage table: whatever is wrong with a rollup is a `DamagedRollup`, never silence, never another error."""

from __future__ import annotations

import gzip
import hashlib
import random
import tarfile
import tracemalloc
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from deflate import crc32, deflate_compress
from hypothesis import given, settings
from hypothesis import strategies as st
from isal import isal_zlib
from tests.support.forging import gzip_block, reseal
from tests.support.packing import Log, pack, prove

from s3_log_roller.errors import DamagedRollup
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rollup import (
    Block,
    Footer,
    RollupChecker,
    decode_blocks,
    iter_members,
    read_footer,
)
from s3_log_roller.rollup.tar import END_OF_ARCHIVE, TarHeaders, padding
from s3_log_roller.rollup.writer import BLOCK_TRAILER

GROUP = DayGroup("bucket1", "example.com/logs-", date(2022, 7, 1))
MIDNIGHT = int(datetime(2022, 7, 1, tzinfo=UTC).timestamp())

Entry = tuple[str, bytes, int]
"""Suffix, body, mtime."""


def entry(second: int, body: bytes) -> Entry:
    return f"2022-07-01-00-00-{second:02}-{second:016X}", body, MIDNIGHT + second + 1


ENTRIES = [entry(1, b"one " * 90), entry(2, b""), entry(3, b"three " * 99), entry(4, b"4" * 512), entry(5, b"five")]
LARGE = [entry(1, b"1"), entry(2, random.Random(1).randbytes(1000) * 2500), entry(3, b"3" * 700)]


def rollup_of(entries: Sequence[Entry], other_etag_row: int = 0) -> bytes:
    """The rollup of those logs; the ETag in that row is not an MD5."""
    logs = []
    for row, (suffix, body, mtime) in enumerate(entries):
        etag = f"{hashlib.md5(body).hexdigest()}-2" if row == other_etag_row else None
        logs.append(Log(suffix, body, mtime, etag))
    return pack(GROUP, logs)[1]


def tar_of(entries: Sequence[Entry]) -> bytes:
    headers = TarHeaders("logs-")
    pieces = [headers.header(name, len(body), time) + body + padding(len(body)) for name, body, time in entries]
    return b"".join(pieces) + END_OF_ARCHIVE


def with_tar(rollup: bytes, tar: bytes) -> bytes:
    """The rollup with another tar inside, which only the members themselves give away."""
    data = gzip_block(tar)
    return reseal(rollup, data, [Block(0, len(data), crc32(data), len(tar), 0, 0, ENTRIES[0][0])])


def test_the_forger_makes_sound_rollups() -> None:
    """What the damage table below refuses it refuses for the damage, not for the way it was made."""
    assert len(prove(with_tar(rollup_of(ENTRIES), tar_of(ENTRIES)))) == len(ENTRIES)
    assert len(prove(rollup_of(LARGE))) == len(LARGE)


def test_any_flipped_byte_is_found() -> None:
    """Every byte of a rollup, in every place: the ones that gzip ignores included."""
    rollup = rollup_of(ENTRIES)
    bits = random.Random(1)
    for place in range(len(rollup)):
        spoiled = bytearray(rollup)
        spoiled[place] ^= bits.randrange(1, 256)
        with pytest.raises(DamagedRollup):
            prove(bytes(spoiled))


def test_a_flip_that_changes_nothing_for_gzip_is_found() -> None:
    """The bits behind the end of a deflate stream are under no checksum of gzip's."""
    rollup = rollup_of([entry(1, b"x" * 7)])
    footer = read_footer(rollup, len(rollup))
    data = rollup[: footer.members_start]
    last = len(data) - BLOCK_TRAILER.size - 1
    spoiled = data[:last] + bytes((data[last] ^ 0x80,)) + data[last + 1 :]
    assert gzip.decompress(spoiled) == gzip.decompress(data)
    with pytest.raises(DamagedRollup, match="not the one the index describes"):
        prove(spoiled + rollup[footer.members_start :])


def test_more_in_the_members_section_than_the_members_is_found() -> None:
    """Though its checksum is right."""
    rollup = rollup_of(ENTRIES)
    footer = read_footer(rollup, len(rollup))
    blocks = decode_blocks(footer, rollup[footer.blocks_start : footer.footer_start]).blocks
    longer = members_payload(rollup) + b"\0"
    with pytest.raises(DamagedRollup, match="more than the members"):
        prove(reseal(rollup, rollup[: footer.members_start], list(blocks), longer))


def test_any_truncation_is_found() -> None:
    """At every length, as is a byte too many before or behind."""
    rollup = rollup_of(ENTRIES)
    for cut_off in [rollup[:length] for length in range(len(rollup))] + [rollup + b"\0", b"\0" + rollup, rollup * 2]:
        with pytest.raises(DamagedRollup):
            prove(cut_off)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_damage_is_found_in_any_block(data: st.DataObject) -> None:
    """Overwritten, cut out or doubled pieces of a rollup of several blocks."""
    rollup = LARGE_ROLLUP
    start = data.draw(st.integers(0, len(rollup) - 1))
    stop = data.draw(st.integers(start + 1, min(len(rollup), start + 3000)))
    instead = data.draw(st.sampled_from([b"", rollup[start:stop] * 2, bytes(stop - start), b"\x1f\x8b"]))
    spoiled = rollup[:start] + instead + rollup[stop:]
    if spoiled != rollup:
        with pytest.raises(DamagedRollup):
            prove(spoiled)


LARGE_ROLLUP = rollup_of(LARGE)

ONE, TWO, THREE, FOUR, FIVE = ENTRIES
HEADERS = TarHeaders("logs-")
TAR = tar_of(ENTRIES)


def by_other_user(entries: list[Entry]) -> bytes:
    info = tarfile.TarInfo("logs-" + ONE[0])
    info.size, info.mtime, info.uid = len(ONE[1]), ONE[2], 1000
    return info.tobuf(tarfile.GNU_FORMAT) + tar_of(entries)[512:]


TARS: dict[str, tuple[bytes, str]] = {
    "swapped": (tar_of([ONE, THREE, TWO, FOUR, FIVE]), "00002' is missing"),
    "dropped": (tar_of([ONE, TWO, FOUR, FIVE]), "00003' is missing"),
    "last dropped": (tar_of([ONE, TWO, THREE, FOUR]), "00005' is missing"),
    "added": (tar_of([ONE, TWO, THREE, FOUR, FIVE, entry(6, b"")]), "not in the index"),
    "added before": (tar_of([entry(0, b""), *ENTRIES]), "not in the index"),
    "doubled": (tar_of([ONE, TWO, TWO, THREE, FOUR, FIVE]), "00002' is not in the index"),
    "renamed": (tar_of([("2099" + ONE[0][4:], ONE[1], ONE[2]), *ENTRIES[1:]]), "renamed"),
    "other size": (tar_of([ONE, TWO, (THREE[0], THREE[1] + b"x", THREE[2]), FOUR, FIVE]), "595 instead of 594"),
    "other time": (tar_of([ONE, TWO, (THREE[0], THREE[1], THREE[2] + 1), FOUR, FIVE]), "00003' has the time"),
    "other content": (tar_of([ONE, TWO, (THREE[0], THREE[1].upper(), THREE[2]), FOUR, FIVE]), "other content"),
    "other owner": (by_other_user(ENTRIES), "header of"),
    "no header": (TAR[:1024] + b"x" * 512 + TAR[1536:], "no tar header"),
    "padding": (TAR[:1023] + b"x" + TAR[1024:], "zeros"),
    "cut off in a body": (TAR[: 3 * 512 + 512], "cut off"),
    "cut off behind a member": (TAR[:1024], "cut off"),
    "no end": (TAR[:-1024], "end-of-archive"),
    "half an end": (TAR[:-512], "end-of-archive"),
    "bytes behind the end": (TAR + bytes(512), "behind the end"),
    "a second archive": (TAR + TAR, "behind the end"),
    "nothing but an end": (END_OF_ARCHIVE + TAR[1024:], "is missing"),
}


@pytest.mark.parametrize("damage", TARS)
def test_a_wrong_tar_is_found_though_every_checksum_is_right(damage: str) -> None:
    """And the message names the member and what differs. Also when the tar comes in odd pieces."""
    tar, reason = TARS[damage]
    rollup = rollup_of(ENTRIES)
    with pytest.raises(DamagedRollup, match=reason):
        feed_pieces(rollup, tar, 700)
    with pytest.raises(DamagedRollup):
        feed_pieces(rollup, tar, 512)
    with pytest.raises(DamagedRollup) as seen:
        prove(with_tar(rollup, tar))
    assert reason in str(seen.value) or "footer" in str(seen.value)


def feed_pieces(rollup: bytes, tar: bytes, piece: int) -> None:
    footer = read_footer(rollup, len(rollup))
    members = iter_members(footer, rollup[footer.members_start : footer.blocks_start], GROUP.day)
    checker = RollupChecker(footer, members, GROUP.target_prefix, GROUP.day)
    for start in range(0, len(tar), piece):
        checker.feed(tar[start : start + piece])
    checker.finish()


def members_payload(rollup: bytes) -> bytes:
    footer = read_footer(rollup, len(rollup))
    section = rollup[footer.members_start : footer.blocks_start]
    return section[16:-10]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_wrong_members_section_is_found_though_its_checksum_is_right(data: st.DataObject) -> None:
    """Any bit of any column: name, size, time, digest, ETag."""
    rollup = rollup_of(ENTRIES, other_etag_row=data.draw(st.integers(0, 4)))
    footer = read_footer(rollup, len(rollup))
    payload = members_payload(rollup)
    plain = bytearray(isal_zlib.decompress(payload[8:], -15))
    plain[data.draw(st.integers(0, len(plain) - 1))] ^= data.draw(st.integers(1, 255))
    deflated = deflate_compress(plain, 9)
    forged = len(deflated).to_bytes(4, "little") + payload[4:8] + deflated
    blocks = decode_blocks(footer, rollup[footer.blocks_start : footer.footer_start]).blocks
    with pytest.raises(DamagedRollup):
        prove(reseal(rollup, rollup[: footer.members_start], list(blocks), forged))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_wrong_footer_is_found_though_its_checksum_is_right(data: st.DataObject) -> None:
    """Any other number in any field."""
    rollup = rollup_of(ENTRIES)
    footer = read_footer(rollup, len(rollup))
    name = data.draw(st.sampled_from(sorted(set(Footer.__slots__) - {"content_digest"})))
    wide = not (name == "blocks" or name.endswith("crc32"))
    other = data.draw(st.integers(0, 2**64 - 1 if wide else 2**32 - 1) | st.integers(0, 5000))
    if other == getattr(footer, name):
        return
    values: dict[str, Any] = {name: other}
    changed = replace(footer, **values)
    with pytest.raises(DamagedRollup):
        prove(rollup[: footer.footer_start] + changed.encode())


@pytest.mark.parametrize("name", ["members_start", "blocks_start", "footer_start"])
def test_a_footer_with_an_offset_beyond_all_bounds_is_found(name: str) -> None:
    """More than Python's own lengths can say."""
    rollup = rollup_of(ENTRIES)
    footer = read_footer(rollup, len(rollup))
    values: dict[str, Any] = {name: 2**64 - 1}
    with pytest.raises(DamagedRollup):
        read_footer(rollup[: footer.footer_start] + replace(footer, **values).encode(), len(rollup))


def test_another_content_digest_is_found() -> None:
    """It is recomputed from keys, ETags and sizes."""
    rollup = rollup_of(ENTRIES)
    footer = read_footer(rollup, len(rollup))
    with pytest.raises(DamagedRollup, match="content digest"):
        prove(rollup[: footer.footer_start] + replace(footer, content_digest=bytes(32)).encode())


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_wrong_blocks_section_never_misleads_the_check(data: st.DataObject) -> None:
    """It is refused, or no member comes out otherwise (the columns for reading one member prove nothing)."""
    fields: dict[str, st.SearchStrategy[Any]] = {
        "length": st.integers(0, 2**32 - 1),
        "crc32": st.integers(0, 2**32 - 1),
        "tar_length": st.integers(0, 2**32 - 1),
        "first_header": st.integers(0, 2**32 - 1),
        "ordinal": st.integers(0, 2**64 - 1),
        "suffix": st.sampled_from([ONE[0], THREE[0]]),
    }
    footer = read_footer(LARGE_ROLLUP, len(LARGE_ROLLUP))
    blocks = list(decode_blocks(footer, LARGE_ROLLUP[footer.blocks_start : footer.footer_start]).blocks)
    row = data.draw(st.integers(0, len(blocks) - 1))
    name = data.draw(st.sampled_from(sorted(fields)))
    values: dict[str, Any] = {name: data.draw(fields[name])}
    blocks[row] = blocks[row]._replace(**values)
    with suppress(DamagedRollup):
        assert len(prove(reseal(LARGE_ROLLUP, LARGE_ROLLUP[: footer.members_start], blocks))) == len(LARGE)


def test_a_newer_version_is_named() -> None:
    """Not called damage: the message says that a newer program wrote it."""
    rollup = bytearray(rollup_of(ENTRIES))
    assert rollup[-15] == 1
    rollup[-15] = 2
    with pytest.raises(DamagedRollup, match="version 2, written by a newer program"):
        read_footer(bytes(rollup), len(rollup))


def bomb_in_data() -> bytes:
    bomb = gzip_block(bytes(100_000_000))
    rollup = rollup_of(ENTRIES)
    return reseal(rollup, bomb, [Block(0, len(bomb), crc32(bomb), len(TAR), 0, 0, ENTRIES[0][0])])


def bomb_in_index() -> bytes:
    rollup = rollup_of([entry(second, b"") for second in range(1, 60)])
    footer = read_footer(rollup, len(rollup))
    deflated = deflate_compress(bytes(10_000_000), 9)
    payload = len(deflated).to_bytes(4, "little") + bytes(4) + deflated
    blocks = decode_blocks(footer, rollup[footer.blocks_start : footer.footer_start]).blocks
    return reseal(rollup, rollup[: footer.members_start], list(blocks), payload)


@pytest.mark.parametrize("make", [bomb_in_data, bomb_in_index])
def test_a_bomb_is_refused_before_it_blows_up(make: Callable[[], bytes]) -> None:
    """Sizes are known before inflating, and nothing beyond them is allocated."""
    rollup = make()
    tracemalloc.start()
    try:
        with pytest.raises(DamagedRollup):
            prove(rollup)
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("place", "reason"), [(4, "does not begin as"), (-8, "gzip checksum"), (-1, "gzip checksum")])
def test_blocks_that_other_tools_would_read_otherwise_are_refused(place: int, reason: str) -> None:
    """A gzip header or trailer that is not the writer's own, under an index that fits it."""
    rollup = rollup_of(ENTRIES)
    footer = read_footer(rollup, len(rollup))
    data = bytearray(rollup[: footer.members_start])
    data[place] ^= 1
    (block,) = decode_blocks(footer, rollup[footer.blocks_start : footer.footer_start]).blocks
    forged = reseal(rollup, bytes(data), [block._replace(crc32=crc32(bytes(data)))])
    with pytest.raises(DamagedRollup, match=reason):
        prove(forged)
