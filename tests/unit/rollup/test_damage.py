"""The damage table: whatever is wrong with a rollup is a `DamagedRollup`, never silence, never another error."""

from __future__ import annotations

import gzip
import hashlib
import random
import tarfile
import tracemalloc
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.forging import chunk_payloads, one_block, reseal
from tests.support.packing import Log, cut, decode_index, pack, prove, prove_tar

from s3_log_roller.errors import DamagedRollup, NewerFormat
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rollup import Footer, inflate_block, read_footer
from s3_log_roller.rollup.carriers import encode_carrier
from s3_log_roller.rollup.compression import GZIP_HEADER, GZIP_TRAILER, crc32, deflate, deflate_block, inflate_exactly
from s3_log_roller.rollup.directory import check_blocks, decode_directory, decode_names, directory_reach
from s3_log_roller.rollup.footer import DIRECTORY, MAY_BE_IGNORED, MEMBERS, Section
from s3_log_roller.rollup.tar import END_OF_ARCHIVE, TarHeaders, padding

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
    data, block = one_block(tar, ENTRIES[0][0])
    return reseal(rollup, data=data, blocks=[block])


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
    rollup = rollup_of([entry(1, b"x" * 10)])
    footer = read_footer(rollup, len(rollup))
    last = footer.data_bytes - GZIP_TRAILER.size - 1
    spoiled = rollup[:last] + bytes((rollup[last] ^ 0x80,)) + rollup[last + 1 :]
    assert gzip.decompress(spoiled) == gzip.decompress(rollup)
    with pytest.raises(DamagedRollup, match="not the one the index describes"):
        prove(spoiled)


def test_more_in_the_members_section_than_the_members_is_found() -> None:
    """Though its checksum is right."""
    rollup = rollup_of(ENTRIES)
    (payload,) = chunk_payloads(rollup)
    with pytest.raises(DamagedRollup, match="does not hold"):
        prove(reseal(rollup, chunks=[payload + b"\0"]))


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
        prove_tar(rollup, tar, 700)
    with pytest.raises(DamagedRollup):
        prove_tar(rollup, tar, 512)
    with pytest.raises(DamagedRollup) as seen:
        prove(with_tar(rollup, tar))
    assert reason in str(seen.value) or "footer" in str(seen.value)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_wrong_members_section_is_found_though_its_checksum_is_right(data: st.DataObject) -> None:
    """Any bit of any column: name, size, time, digest, ETag, the rest of an MD5."""
    rollup = rollup_of(ENTRIES, other_etag_row=data.draw(st.integers(0, 4)))
    (payload,) = chunk_payloads(rollup)
    stored = 4 + 12 * len(ENTRIES)
    exception_bytes = int.from_bytes(payload[:4], "little")
    plain = payload[4:stored] + inflate_exactly(payload[stored:], 20 * len(ENTRIES) + exception_bytes)
    forged = bytearray(plain)
    forged[data.draw(st.integers(0, len(plain) - 1))] ^= data.draw(st.integers(1, 255))
    whole = payload[:4] + forged[: stored - 4] + deflate(forged[stored - 4 :], 8)
    with pytest.raises(DamagedRollup):
        prove(reseal(rollup, chunks=[whole]))


NUMBERS = {"members": 8, "original_bytes": 8, "tar_bytes": 8, "blocks": 4, "data_bytes": 8}
SECTION_NUMBERS = {"offset": 8, "length": 8, "crc32": 4}


def with_footer(rollup: bytes, **changes: Any) -> bytes:
    footer = read_footer(rollup, len(rollup))
    return rollup[: footer.start] + replace(footer, **changes).encode()


def with_section(rollup: bytes, number: int, **changes: Any) -> bytes:
    sections = list(read_footer(rollup, len(rollup)).sections)
    sections[number] = sections[number]._replace(**changes)
    return with_footer(rollup, sections=tuple(sections))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_wrong_footer_is_found_though_its_checksum_is_right(data: st.DataObject) -> None:
    """Any other number in any field, of the whole and of each section."""
    rollup = rollup_of(ENTRIES)
    footer = read_footer(rollup, len(rollup))
    section = data.draw(st.sampled_from([None, MEMBERS, DIRECTORY]))
    name, width = data.draw(st.sampled_from(sorted((SECTION_NUMBERS if section else NUMBERS).items())))
    other = data.draw(st.integers(0, 256**width - 1) | st.integers(0, 5000))
    if section is None:
        changed = with_footer(rollup, **{name: other})
    else:
        changed = with_section(rollup, section - 1, **{name: other})
    if changed == rollup:
        return
    with pytest.raises(DamagedRollup):
        prove(changed)
    assert footer == read_footer(rollup, len(rollup))


def test_every_number_of_the_footer_is_in_the_table_above() -> None:
    """A field that is added is tried, too; content digest, sections, program and version have tests of their own.

    So has the layout from before 1.0, which no number tells (tests/unit/rolling/test_upgrades.py).
    """
    others = {"content_digest", "sections", "created_by", "needs_version", "draft"}
    assert set(NUMBERS) | others == set(Footer.__slots__)
    assert set(SECTION_NUMBERS) | {"id", "flags"} == set(Section._fields)


@pytest.mark.parametrize("wrong", ["missing", "twice", "cut off", "miscounted"])
def test_a_footer_with_other_sections_is_found(wrong: str) -> None:
    """Each kind is there once, and the table is as long as it says."""
    rollup = rollup_of(ENTRIES)
    members, directory = read_footer(rollup, len(rollup)).sections
    wide = members._replace(length=members.length + directory.length)
    sections = {"missing": (wide,), "twice": (members, directory._replace(id=MEMBERS))}
    if wrong in sections:
        with pytest.raises(DamagedRollup, match="exactly one section of each kind"):
            prove(with_footer(rollup, sections=sections[wrong]))
        return
    footer = read_footer(rollup, len(rollup))
    payload = rollup[footer.start + 16 : -10]
    body = payload[:-13]
    if wrong == "miscounted":
        count = len(payload) - 12 - 2 * 24 - 1
        body = payload[:count] + b"\3" + payload[count + 1 : -12]
    ending = (len(body) + 12).to_bytes(2, "little") + payload[-6:]
    forged = rollup[: footer.start] + encode_carrier(body + crc32(body + ending).to_bytes(4, "little") + ending)
    with pytest.raises(DamagedRollup, match=r"footer (is not as it should be|has 2 instead of 3 sections)"):
        prove(forged)


def test_another_content_digest_is_found() -> None:
    """It is recomputed from keys, ETags and sizes."""
    with pytest.raises(DamagedRollup, match="content digest"):
        prove(with_footer(rollup_of(ENTRIES), content_digest=bytes(32)))


def test_swapped_bodies_are_found_where_the_etag_is_not_an_md5() -> None:
    """Two logs of one size whose MD5s begin alike, under a tar, an index and checksums that fit the swap."""
    # Both MD5s begin with 06a8b1c9: found by trying numbers until two of them met.
    one, two = collision()
    etags = ["11111111111111111111111111111111-2", "22222222222222222222222222222222-2"]

    def rollup_with(bodies: list[bytes]) -> bytes:
        logs = [
            Log(entry(row, b"")[0], body, MIDNIGHT + row, etag)
            for row, (body, etag) in enumerate(zip(bodies, etags, strict=True), 1)
        ]
        return pack(GROUP, logs)[1]

    true, swapped = rollup_with([one, two]), rollup_with([two, one])
    assert len(prove(true)) == len(prove(swapped)) == 2
    data, blocks = swapped[: read_footer(swapped, len(swapped)).data_bytes], list(decode_index(swapped)[1].blocks)
    with pytest.raises(DamagedRollup, match="has other content"):
        prove(reseal(true, data=data, blocks=blocks))
    with pytest.raises(DamagedRollup, match="content digest"):
        prove(reseal(true, data=data, blocks=blocks, chunks=chunk_payloads(swapped)))


def collision() -> tuple[bytes, bytes]:
    """Two bodies of one length whose MD5s begin with the same 4 bytes."""
    seen: dict[bytes, bytes] = {}
    number = 0
    while True:
        body = b"%012d" % number
        begins = hashlib.md5(body).digest()[:4]
        if begins in seen:
            return seen[begins], body
        seen[begins] = body
        number += 1


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_wrong_block_table_is_found_though_its_checksum_is_right(data: st.DataObject) -> None:
    """Any number in it, those that only help to find one member included."""
    fields: dict[str, st.SearchStrategy[Any]] = {
        "length": st.integers(0, 2**32 - 1),
        "crc32": st.integers(0, 2**32 - 1),
        "tar_length": st.integers(0, 2**32 - 1) | st.sampled_from([512, 1024, 1 << 20]),
        "first_header": st.integers(0, 2**32 - 1) | st.sampled_from([0, 512, 1024, 1 << 20]),
        "ordinal": st.integers(0, 2**64 - 1) | st.integers(0, 3),
        "suffix": st.sampled_from([ONE[0], TWO[0], THREE[0]]),
    }
    blocks = list(decode_index(LARGE_ROLLUP)[1].blocks)
    row = data.draw(st.integers(0, len(blocks) - 1))
    name = data.draw(st.sampled_from(sorted(fields)))
    changed = blocks[row]._replace(**{name: data.draw(fields[name])})
    if changed == blocks[row]:
        return
    blocks[row] = changed
    with pytest.raises(DamagedRollup):
        prove(reseal(LARGE_ROLLUP, blocks=blocks))


@pytest.mark.parametrize(
    "suffix", [TWO[0], "2022-07-01-24-00-00-0000000000000001", "2022-07-01-00-00-00-0000000000000001"]
)
def test_a_wrong_table_of_chunks_is_found_though_its_checksum_is_right(suffix: str) -> None:
    """A chunk that does not begin with the member that the directory says."""
    with pytest.raises(DamagedRollup):
        prove(reseal(rollup_of(ENTRIES), first_suffixes=[suffix]))


@cache
def rollup_of_two_chunks() -> bytes:
    return rollup_of(
        [(f"2022-07-01-{n // 3600:02}-{n // 60 % 60:02}-{n % 60:02}-{n:016X}", b"", n) for n in range(4100)]
    )


def test_a_later_chunk_that_begins_with_another_member_is_found() -> None:
    """A member below its first would be looked for in the chunk before, and not be found."""
    rollup = rollup_of_two_chunks()
    first, second = (chunk.suffix for chunk in decode_index(rollup)[1].chunks)
    assert len(prove(reseal(rollup, first_suffixes=[first, second]))) == 4100
    for other in (second[:-1] + "1", second[:-1] + "F"):
        assert other != second
        with pytest.raises(DamagedRollup, match="the directory says that"):
            prove(reseal(rollup, first_suffixes=[first, other]))


def test_a_newer_file_is_not_called_damaged() -> None:
    """It says by which program it was written, and what to do."""
    with pytest.raises(NewerFormat, match="knows version 2, and this one knows 1: update it"):
        prove(with_footer(rollup_of(ENTRIES), needs_version=2))
    rollup = rollup_of(ENTRIES)
    footer = read_footer(rollup, len(rollup))
    more = encode_carrier(b"what a later version has to say")
    later = Section(7, 0, footer.start, len(more), crc32(more))
    newer = replace(footer, sections=(*footer.sections, later), created_by="s3-log-roller 9.0")
    with pytest.raises(NewerFormat, match=r"s3-log-roller 9\.0 with a section 7 in its index"):
        prove(rollup[: footer.start] + more + newer.encode())
    ignored = replace(newer, sections=(*footer.sections, later._replace(flags=MAY_BE_IGNORED)))
    assert len(prove(rollup[: footer.start] + more + ignored.encode())) == len(ENTRIES)


def bomb_in_data() -> bytes:
    data, block = one_block(bytes(100_000_000), ENTRIES[0][0])
    return reseal(rollup_of(ENTRIES), data=data, blocks=[block._replace(tar_length=len(TAR))])


def bomb_in_index() -> bytes:
    rollup = rollup_of([entry(second, b"") for second in range(1, 60)])
    (payload,) = chunk_payloads(rollup)
    return reseal(rollup, chunks=[payload[: 4 + 12 * 59] + deflate(bytes(10_000_000), 8)])


def bomb_in_exceptions() -> bytes:
    """More bytes of ETags than so many members can have."""
    rollup = rollup_of(ENTRIES)
    (payload,) = chunk_payloads(rollup)
    count = len(ENTRIES)
    bomb = deflate(bytes(20 * count + 50_000_000), 8)
    return reseal(rollup, chunks=[(50_000_000).to_bytes(4, "little") + payload[4 : 4 + 12 * count] + bomb])


@pytest.mark.parametrize("make", [bomb_in_data, bomb_in_index, bomb_in_exceptions])
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


@pytest.mark.parametrize("place", [4, -8, -1])
def test_data_that_does_not_begin_and_end_as_a_gzip_member_is_refused(place: int) -> None:
    """A header or trailer that is not the writer's own, under an index that fits it."""
    rollup = rollup_of(ENTRIES)
    data = bytearray(rollup[: read_footer(rollup, len(rollup)).data_bytes])
    data[place] ^= 1
    with pytest.raises(DamagedRollup, match="begin and end as a gzip member"):
        prove(reseal(rollup, data=bytes(data)))


# Two blocks of one entry each; the first one's tar ends with the four bytes that a full flush ends with.
FLUSH = bytes.fromhex("0000ffff")
TWIN = [entry(1, b"the same " * 80_000 + bytes(508) + FLUSH), entry(2, b"the same " * 80_000)]
TWIN[0] = entry(1, TWIN[0][1][len(TWIN[0][1]) % 512 :])
TWIN_ROLLUP = rollup_of(TWIN)


def twin_tars() -> tuple[bytes, bytes]:
    tar = gzip.decompress(TWIN_ROLLUP)
    first, second = decode_index(TWIN_ROLLUP)[1].blocks
    return tar[: first.tar_length], tar[first.tar_length : first.tar_length + second.tar_length]


def twin_of(first: bytes, second: bytes, twin: bytes = TWIN_ROLLUP) -> bytes:
    """The same two blocks, deflated so."""
    data, blocks = GZIP_HEADER, []
    for block, deflated in zip(decode_index(twin)[1].blocks, (first, second), strict=True):
        blocks.append(block._replace(offset=len(data), length=len(deflated), crc32=crc32(deflated)))
        data += deflated
    tar = gzip.decompress(twin)
    return reseal(twin, data=data + GZIP_TRAILER.pack(crc32(tar), len(tar)), blocks=blocks)


def test_the_twin_is_sound() -> None:
    """What the next tests refuse they refuse for how it was deflated."""
    one, two = twin_tars()
    assert len(prove(twin_of(deflate_block(one, 5, last=False), deflate(two, 5)))) == 2


def test_a_block_that_goes_on_in_the_next_one_is_refused() -> None:
    """Alone both blocks are right and end as they should; read as one, a stored deflate block spans the border."""
    one, two = twin_tars()
    assert one.endswith(FLUSH)
    stored = stored_block(FLUSH, len(FLUSH) + 5)
    forged = twin_of(deflate_block(one[: -len(FLUSH)], 8, last=False) + stored, deflate(two, 8))
    _, directory, _ = decode_index(forged)
    assert [inflate_block(cut(forged, block), block) for block in directory.blocks] == [one, two]
    with pytest.raises(DamagedRollup):
        prove(forged)


def stored_block(data: bytes, claimed: int) -> bytes:
    """A deflate block of bytes as they are, of which these come now."""
    return b"\0" + claimed.to_bytes(2, "little") + (claimed ^ 0xFFFF).to_bytes(2, "little") + data


def test_a_block_that_the_whole_file_reads_as_other_bytes_of_that_length_is_refused() -> None:
    """Alone all blocks are right; as one stream, the second is taken as it stands for a part of the first."""
    twin = rollup_of([entry(1, bytes((1 << 20) - 512 - len(FLUSH)) + FLUSH), entry(2, b"the same " * 2_000)])
    tar = gzip.decompress(twin)
    one, two = tar[: 1 << 20], tar[1 << 20 :]
    first = deflate_block(one[: -len(FLUSH)], 8, last=False) + stored_block(FLUSH, len(FLUSH) + len(two))
    # As many empty blocks, of five bytes each, that what is deflated is as long as what it was deflated from.
    second = next(
        stored_block(two[:size], size) + stored_block(b"", 0) * (room // 5) + rest
        for size in range(1, 100)
        for rest in [deflate(two[size:], 8)]
        for room in [len(two) - size - 5 - len(rest)]
        if room % 5 == 0
    )
    forged = twin_of(first, second, twin)
    _, directory, _ = decode_index(forged)
    assert [inflate_block(cut(forged, block), block) for block in directory.blocks] == [one, two]
    with pytest.raises(DamagedRollup, match="another one for programs that read the whole file"):
        prove(forged)


def test_a_block_that_refers_to_the_one_before_is_refused() -> None:
    """As one stream it is right, and other tools read it; nobody could read it alone."""
    one, two = twin_tars()
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = stream.compress(one) + stream.flush(zlib.Z_SYNC_FLUSH)
    forged = twin_of(first, stream.compress(two) + stream.flush())
    assert gzip.decompress(forged) == one + two
    with pytest.raises(DamagedRollup, match="corrupt"):
        prove(forged)


def test_a_stream_that_ends_before_the_last_block_is_refused() -> None:
    """Other tools would stop there."""
    one, two = twin_tars()
    with pytest.raises(DamagedRollup, match="does not end as"):
        prove(twin_of(deflate(one, 8), deflate(two, 8)))
    with pytest.raises(DamagedRollup, match="does not hold"):
        prove(twin_of(deflate(one, 8) + FLUSH, deflate(two, 8)))
    with pytest.raises(DamagedRollup, match="has no end"):
        prove(twin_of(deflate_block(one, 8, last=False), deflate_block(two, 8, last=False)))


def test_a_block_or_chunk_behind_the_end_of_the_day_is_refused() -> None:
    """By whoever reads the directory, for readers of a part compare with what it says."""
    suffix = "2022-07-01-24-00-00-0000000000000001"
    first, second = decode_index(TWIN_ROLLUP)[1].blocks
    with pytest.raises(DamagedRollup, match="behind the end of the day"):
        decode_index(reseal(TWIN_ROLLUP, blocks=[first, second._replace(suffix=suffix)]))
    rollup = rollup_of(
        [(f"2022-07-01-{n // 3600:02}-{n // 60 % 60:02}-{n % 60:02}-{n:016X}", b"", n) for n in range(4100)]
    )
    with pytest.raises(DamagedRollup, match="behind the end of the day"):
        decode_index(reseal(rollup, first_suffixes=[decode_index(rollup)[1].first_suffix, suffix]))


@pytest.mark.parametrize(
    ("day", "prefix", "says"),
    [
        (b"2022-07-01", b"p" * 1025, "claims a target prefix of 1025 bytes"),
        (b"2022-W26-5", b"p", "impossible day"),
        (b"2022-07-32", b"p", "impossible day"),
        (b"2022-07-0\xff", b"p", "impossible day"),
        (b"2022-07-01", b"a\0b", "impossible day or target prefix"),
    ],
)
def test_a_day_or_a_target_prefix_that_cannot_be_is_damage(day: bytes, prefix: bytes, says: str) -> None:
    """They become names of files and of keys; a prefix may be as long as a key, and hold any other byte."""
    fine = b"\xff\x01/" + bytes(range(1, 128)) + b"p" * 894
    names = decode_names(deflate(b"tables" + b"2022-07-01" + fine, 8), len(fine), 6)
    assert names == (b"tables", fine.decode("utf-8", "surrogateescape"), date(2022, 7, 1))
    with pytest.raises(DamagedRollup, match=says):
        decode_names(deflate(b"tables" + day + prefix, 8), len(prefix), 6)


@pytest.mark.parametrize(
    ("row", "change"),
    [
        (0, {"first_header": 512}),
        (0, {"ordinal": 1}),
        (1, {"suffix": LARGE[0][0]}),
        (1, {"ordinal": 0}),
        (1, {"ordinal": 0, "suffix": LARGE[0][0]}),
        (1, {"first_header": 512}),
        (1, {"first_header": 100}),
        (1, {"tar_length": (1 << 20) + 512}),
        (1, {"tar_length": (1 << 20) - 1}),
        (2, {"first_header": 0}),
        (2, {"first_header": (1 << 20) + 512}),
        (2, {"ordinal": 2}),
        (2, {"suffix": LARGE[2][0]}),
        (2, {"ordinal": 2, "suffix": LARGE[2][0]}),
        (3, {"ordinal": 3, "suffix": entry(9, b"")[0], "first_header": 0}),
        (3, {"tar_length": (1 << 20) + 1536}),
    ],
)
def test_blocks_that_cannot_follow_each_other_are_damage(row: int, change: dict[str, Any]) -> None:
    """By the table alone, before anything is read for it: readers of a part go by what it says."""
    blocks = list(decode_index(LARGE_ROLLUP)[1].blocks)
    blocks[row] = blocks[row]._replace(**change)
    with pytest.raises(DamagedRollup, match=f"the index is wrong about block {row + 1} of 4"):
        decode_index(reseal(LARGE_ROLLUP, blocks=blocks))


def test_blocks_that_are_not_all_of_the_data_are_damage() -> None:
    """Bytes that no block names would be hidden from whoever reads block by block."""
    footer, directory, _ = decode_index(LARGE_ROLLUP)
    check_blocks(footer, directory.blocks)
    with pytest.raises(DamagedRollup, match="do not fill the data exactly"):
        decode_index(reseal(LARGE_ROLLUP, data=LARGE_ROLLUP[: footer.data_bytes] + b"\0"))
    with pytest.raises(DamagedRollup, match="tar lengths do not add up"):
        check_blocks(replace(footer, tar_bytes=footer.tar_bytes + 512), directory.blocks)


def test_chunks_that_are_not_all_of_the_members_are_damage() -> None:
    """In the order of their members, from the first one of the rollup to the end of their section."""
    rollup = rollup_of_two_chunks()
    footer, directory, _ = decode_index(rollup)
    first, second = (chunk.suffix for chunk in directory.chunks)
    later = entry(9, b"")[0]
    for suffixes, says in (
        ([later, second], "wrong about where the members"),
        ([first, first], "wrong about the part of the index at offset"),
        ([second, first], "wrong about the part of the index at offset"),
    ):
        with pytest.raises(DamagedRollup, match=says):
            decode_index(reseal(rollup, first_suffixes=suffixes))
    section = rollup[footer.directory_section.offset : footer.start]
    for length in (footer.members_section.length - 1, footer.members_section.length + 1):
        members = footer.members_section._replace(length=length)
        with pytest.raises(DamagedRollup, match="wrong about where the members"):
            decode_directory(replace(footer, sections=(members, footer.directory_section)), section)


def test_a_directory_longer_than_its_blocks_make_it_is_not_read() -> None:
    """Whoever plants one costs no more memory than the numbers of its footer allow."""
    footer = read_footer(LARGE_ROLLUP, len(LARGE_ROLLUP))
    directory = footer.directory_section
    assert directory_reach(footer) == range(directory.offset, directory.offset + directory.length)
    most = 27 * (2048 + 4 * 37 + 1 * 21)  # each byte in a carrier of its own

    def of_length(length: int) -> Footer:
        return replace(footer, sections=(footer.members_section, directory._replace(length=length)))

    assert len(directory_reach(of_length(most))) == most
    with pytest.raises(DamagedRollup, match=f"claims {most + 1} bytes for 4 blocks"):
        directory_reach(of_length(most + 1))
