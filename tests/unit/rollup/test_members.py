"""A part of the index that somebody put together: what it may say, and that nothing else is believed."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from tests.support.logs import DAY
from tests.support.packing import Log, pack

from s3_log_roller.errors import DamagedRollup
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rollup import Chunk, IndexedMember, iter_members, read_footer
from s3_log_roller.rollup.carriers import encode_carriers
from s3_log_roller.rollup.compression import crc32, deflate
from s3_log_roller.rollup.members import iter_chunk, midnight_of
from s3_log_roller.rollup.planes import to_planes

MD5 = bytes(range(16))
Record = tuple[int, int, int, int, bytes]
"""Seconds since the member before, size, seconds from its time to its mtime, unique number, start of its MD5."""
RECORDS: list[Record] = [(3, 100, 5, 7, MD5[:4]), (0, 10, 0, 9, MD5[:4]), (86_396, 1, -2, 0, MD5[:4])]
FIRST = "2022-07-01-00-00-03-0000000000000007"


def etag(row: int, text: bytes = b"abc-1") -> bytes:
    return struct.pack("<HB", row, len(text)) + text + MD5[4:]


def payload_of(records: list[Record], etags: bytes = b"", *, claimed: int | None = None) -> bytes:
    planes = to_planes(b"".join(struct.pack("<IQqQ4s", *record) for record in records), 32)
    deflated = 20 * len(records)
    head = struct.pack("<I", len(etags) if claimed is None else claimed)
    return head + planes[deflated:] + deflate(planes[:deflated] + etags, 6)


def members(payload: bytes, count: int = 3, first: str = FIRST) -> list[IndexedMember]:
    data = encode_carriers(payload)
    return list(iter_chunk(Chunk(0, len(data), crc32(data), count, first), data, DAY))


def test_members_come_with_all_that_is_known_of_them() -> None:
    """Where the ETag is not the MD5 of the content, the whole MD5 is there."""
    midnight = midnight_of(DAY)
    assert members(payload_of(RECORDS, etag(1))) == [
        IndexedMember(FIRST, 100, midnight + 8, MD5[:4], None),
        IndexedMember("2022-07-01-00-00-03-0000000000000009", 10, midnight + 3, MD5, "abc-1"),
        IndexedMember("2022-07-01-23-59-59-0000000000000000", 1, midnight + 86_397, MD5[:4], None),
    ]
    long = [letter * 255 for letter in (b"a", b"b", b"c")]
    found = members(payload_of(RECORDS, b"".join(etag(row, text) for row, text in enumerate(long))))
    assert [member.etag for member in found] == [text.decode() for text in long]


def with_record(number: int, **fields: int) -> bytes:
    known = dict(zip(("delta", "size", "age", "unique"), RECORDS[number][:4], strict=True)) | fields
    records = list(RECORDS)
    records[number] = (known["delta"], known["size"], known["age"], known["unique"], MD5[:4])
    return payload_of(records)


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (with_record(1, unique=7), "out of order at 2022-07-01-00-00-03-0000000000000007"),
        (with_record(1, unique=6), "out of order at 2022-07-01-00-00-03-0000000000000006"),
        (with_record(2, delta=0, unique=8), "out of order at 2022-07-01-00-00-03-0000000000000008"),
        (with_record(2, delta=86_397), "behind the end of the day"),
        (with_record(0, unique=8), f"the directory says that {FIRST} is where 2022-07-01-00-00-03-0000000000000008"),
        (payload_of(RECORDS)[:39], "too short for its members"),
        (payload_of(RECORDS)[:3], "too short for its members"),
        (payload_of(RECORDS, claimed=1 << 30), "claims 1073741824 bytes of ETags for 3 members"),
        (payload_of(RECORDS, etag(3)), "an impossible ETag"),
        (payload_of(RECORDS, etag(1) + etag(0)), "an impossible ETag"),
        (payload_of(RECORDS, etag(1) + etag(1)), "an impossible ETag"),
        (payload_of(RECORDS, etag(1, b"")), "an impossible ETag"),
        (payload_of(RECORDS, etag(1, b"\xe9")), "an impossible ETag"),
        (payload_of(RECORDS, etag(1)[:-1]), "an impossible ETag"),
        (payload_of(RECORDS, etag(0) + etag(2)[:2]), "last ETag is cut off"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_part_of_the_index_that_cannot_be_is_damage(payload: bytes, says: str) -> None:
    """Though all checksums are right."""
    with pytest.raises(DamagedRollup, match=says):
        members(payload)


def test_a_part_that_is_not_the_one_described_is_damage() -> None:
    """By its length or its checksum; and all parts together are held to the footer."""
    data = encode_carriers(payload_of(RECORDS))
    chunk = Chunk(0, len(data), crc32(data), 3, FIRST)
    for wrong in (chunk._replace(length=len(data) + 1), chunk._replace(crc32=crc32(data) ^ 1)):
        with pytest.raises(DamagedRollup, match="not the one the directory describes"):
            list(iter_chunk(wrong, data, DAY))
    rollup = pack(DayGroup("bucket", "", DAY), [Log(FIRST, b"x" * 111)])[1]
    footer = read_footer(rollup, len(rollup))
    footer = replace(footer, sections=(footer.members_section._replace(crc32=crc32(data)), footer.directory_section))
    assert len(list(iter_members(footer, [(chunk, data)], DAY))) == 3
    with pytest.raises(DamagedRollup, match="add up to 111, not to 112 bytes"):
        list(iter_members(replace(footer, original_bytes=112), [(chunk, data)], DAY))
    section = footer.members_section._replace(crc32=crc32(data) ^ 1)
    with pytest.raises(DamagedRollup, match="does not have the checksum in the footer"):
        list(iter_members(replace(footer, sections=(section, footer.directory_section)), [(chunk, data)], DAY))
