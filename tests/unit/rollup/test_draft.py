"""Files of 0.1 whose index somebody put together: what it may say, and that nothing else is believed."""

from __future__ import annotations

import struct
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise

import pytest
from tests.support.paths import GOLDEN

from s3_log_roller.errors import DamagedRollup
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rollup import Block, Footer, draft, inflate_block
from s3_log_roller.rollup.carriers import encode_carrier
from s3_log_roller.rollup.compression import GZIP_HEADER, GZIP_TRAILER, crc32, deflate
from s3_log_roller.rollup.members import IndexedMember
from s3_log_roller.rollup.planes import to_planes

FILE = (GOLDEN / "rollup-0.1-2022-07-01.tgz").read_bytes()
FOOTER = draft.read_footer(FILE, len(FILE))
DAY = datetime(2022, 7, 1, tzinfo=UTC).date()
MIDNIGHT = int(datetime(2022, 7, 1, tzinfo=UTC).timestamp())
MD5 = b"\x01\x02\x03\x04"
Record = tuple[int, int, int, int, bytes]
"""Seconds since the member before, unique number, size, seconds from its time to its mtime, start of its MD5."""
RECORDS: list[Record] = [(3, 7, 100, 5, MD5), (0, 9, 10, 0, MD5), (86_396, 0, 1, -2, MD5)]


def etag(row: int, text: bytes = b"abc-1") -> bytes:
    return struct.pack("<HB", row, len(text)) + text


def chunk(records: list[Record], etags: bytes = b"", *, claimed_etag_bytes: int = 0, cut: int = 0) -> bytes:
    planes = to_planes(b"".join(struct.pack("<IQQq4s", *record) for record in records), 32)
    deflated = deflate(planes + etags, 6)
    return struct.pack("<II", len(deflated), claimed_etag_bytes or len(etags)) + deflated[: len(deflated) - cut]


def members(payload: bytes, count: int = 3, original_bytes: int = 111) -> list[IndexedMember]:
    """The members of a section with that payload, whose checksum is right."""
    data = encode_carrier(payload)
    section = FOOTER.members_section._replace(length=len(data), crc32=crc32(payload))
    footer = replace(FOOTER, members=count, original_bytes=original_bytes, sections=(section, FOOTER.directory_section))
    return list(draft.iter_members(footer, data, DAY))


@pytest.mark.parametrize("chunk_members", [1, 2, 3, 8192])
def test_members_come_in_order_with_all_that_is_known_of_them(
    chunk_members: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many are in a chunk; those of the same second are in the order of their unique numbers."""
    monkeypatch.setattr(draft, "_CHUNK_MEMBERS", chunk_members)
    bounds = [*range(0, 3, chunk_members), 3]
    payload = b"".join(chunk(RECORDS[first:last], etag(0) if first == 0 else b"") for first, last in pairwise(bounds))
    assert members(payload) == [
        IndexedMember("2022-07-01-00-00-03-0000000000000007", 100, MIDNIGHT + 8, MD5, "abc-1"),
        IndexedMember("2022-07-01-00-00-03-0000000000000009", 10, MIDNIGHT + 3, MD5, None),
        IndexedMember("2022-07-01-23-59-59-0000000000000000", 1, MIDNIGHT + 86_397, MD5, None),
    ]


def with_record(number: int, **fields: int) -> bytes:
    known = dict(zip(("delta", "unique", "size", "age"), RECORDS[number][:4], strict=True)) | fields
    records = list(RECORDS)
    records[number] = (known["delta"], known["unique"], known["size"], known["age"], MD5)
    return chunk(records)


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (with_record(1, unique=7), "out of order at 2022-07-01-00-00-03-0000000000000007"),
        (with_record(1, unique=6), "out of order at 2022-07-01-00-00-03-0000000000000006"),
        (with_record(2, delta=0, unique=8), "out of order at 2022-07-01-00-00-03-0000000000000008"),
        (with_record(2, delta=86_397), "behind the end of the day"),
        (with_record(2, size=2), "add up to 112, not to 111 bytes"),
        (chunk(RECORDS) + b"\0", "holds more than the members"),
        (chunk(RECORDS)[:7], "ends too early"),
        (chunk(RECORDS, cut=1), "claims 0 bytes of ETags for 3 members"),
        (chunk(RECORDS, claimed_etag_bytes=1 << 30), "claims 1073741824 bytes of ETags for 3 members"),
        (chunk(RECORDS, etag(3)), "an impossible ETag"),
        (chunk(RECORDS, etag(1) + etag(0)), "an impossible ETag"),
        (chunk(RECORDS, etag(1) + etag(1)), "an impossible ETag"),
        (chunk(RECORDS, etag(1, b"")), "an impossible ETag"),
        (chunk(RECORDS, etag(1, b"\xe9")), "an impossible ETag"),
        (chunk(RECORDS, etag(1)[:-1]), "an impossible ETag"),
        (chunk(RECORDS, etag(0) + etag(2)[:2]), "last ETag is cut off"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_list_of_members_that_cannot_be_is_damage(payload: bytes, says: str) -> None:
    """Though all checksums are right."""
    with pytest.raises(DamagedRollup, match=says):
        members(payload)


def test_every_member_may_have_an_etag() -> None:
    """In the order of the members, and as long as S3 makes them."""
    etags = [letter * 255 for letter in (b"a", b"b", b"c")]
    found = members(chunk(RECORDS, b"".join(etag(row, text) for row, text in enumerate(etags))))
    assert [member.etag for member in found] == [text.decode() for text in etags]


def test_a_section_with_another_length_or_checksum_is_damage() -> None:
    """Either is enough."""
    good = chunk(RECORDS)
    for section in (
        FOOTER.members_section._replace(length=len(encode_carrier(good)), crc32=crc32(good) ^ 1),
        FOOTER.members_section._replace(length=len(encode_carrier(good)) + 1, crc32=crc32(good)),
    ):
        footer = replace(FOOTER, members=3, original_bytes=111, sections=(section, FOOTER.directory_section))
        with pytest.raises(DamagedRollup, match="does not have its checksum"):
            list(draft.iter_members(footer, encode_carrier(good), DAY))


FIELDS = {
    "data_bytes": 1_300, "directory": 1_500, "end": 1_600, "members": 10, "blocks": 2, "tar_bytes": 1_200_000,
    "original_bytes": 1_100_000,
}  # fmt: skip
"""Of a footer that can be."""


def footer_of(file_size: int | None = None, **changed: int) -> Footer:
    fields = FIELDS | changed
    packed = struct.pack("<QQQQIQQ32sII", *fields.values(), b"d" * 32, 11, 12)
    payload = packed + struct.pack("<I", crc32(packed)) + b"\x01S3LR"
    tail = encode_carrier(payload)
    assert draft.is_draft(tail)
    return draft.read_footer(tail, fields["end"] + len(tail) if file_size is None else file_size)


def test_a_footer_says_where_everything_is() -> None:
    """The sections of members and of blocks follow each other behind the data."""
    footer = footer_of()
    assert (footer.members, footer.original_bytes, footer.tar_bytes, footer.blocks, footer.data_bytes) == (
        10, 1_100_000, 1_200_000, 2, 1_300,
    )  # fmt: skip
    assert (footer.members_section.reach, footer.members_section.crc32) == (range(1_300, 1_500), 11)
    assert (footer.directory_section.reach, footer.directory_section.crc32) == (range(1_500, 1_600), 12)
    assert footer.draft
    name = partial(draft.is_name, footer=footer, group=DayGroup("b", "web/logs-", DAY))
    assert name("logs-rollup-2022-07-01-64646464.tgz")
    assert not name("rollup-2022-07-01-64646464.tgz")


MOST_LIST_BYTES = 1024 + 10 * (32 + 3 + 255 + 8)


@pytest.mark.parametrize(
    ("field", "least", "most"),
    [
        ("data_bytes", 1_200_000 // 1032 + 1, 1_499),
        ("directory", 1_301, 1_599),
        ("members", 1, (1_200_000 - 1_100_000 - 1024) // 512),
        ("blocks", 2, 4),
        ("original_bytes", 0, 1_200_000 - 1024 - 10 * 512),
        ("tar_bytes", 1_100_000 + 1024 + 10 * 512, 1_300 * 1032),
    ],
)
def test_numbers_of_a_footer_that_cannot_be_are_damage(field: str, least: int, most: int) -> None:
    """Each is held to the others, to the byte, before anything is read for them."""
    footer_of(**{field: least})
    footer_of(**{field: most})
    for number in {least - 1, most + 1} - {-1}:
        with pytest.raises(DamagedRollup, match="contradicts itself"):
            footer_of(**{field: number})


def test_a_tar_longer_than_its_blocks_is_damage() -> None:
    """They hold a MiB each, and the last the end of the archive, too."""
    most = 2 * (1 << 20) + 1024
    footer_of(tar_bytes=most, directory=2_500, end=2_600, data_bytes=2_400)
    with pytest.raises(DamagedRollup, match="contradicts itself"):
        footer_of(tar_bytes=most + 1, directory=2_500, end=2_600, data_bytes=2_400)


def test_a_list_of_members_longer_than_its_members_can_make_it_is_damage() -> None:
    """Nor is it read for one byte more."""
    far = {"directory": 1_300 + MOST_LIST_BYTES, "end": 1_400 + MOST_LIST_BYTES}
    footer_of(**far)
    with pytest.raises(DamagedRollup, match="contradicts itself"):
        footer_of(**far | {"directory": far["directory"] + 1})


def test_a_large_file_may_have_a_short_list_of_members() -> None:
    """What is read of it at once is bounded, not the file."""
    start = 100 << 20
    assert footer_of(data_bytes=start, directory=start + 200, end=start + 300).members_section.length == 200


def test_blocks_that_are_not_all_of_the_data_are_damage() -> None:
    """Though the section that lists them has its checksum."""
    reach = FOOTER.directory_section.reach
    section = FILE[reach.start : reach.stop]
    assert draft.decode_directory(FOOTER, section).blocks.data_bytes == FOOTER.data_bytes
    with pytest.raises(DamagedRollup, match="do not fill the data exactly"):
        draft.decode_directory(replace(FOOTER, data_bytes=FOOTER.data_bytes + 1), section)


def test_a_file_of_another_length_is_damage() -> None:
    """As is one cut off, or with something behind its end."""
    with pytest.raises(DamagedRollup, match="the file has 5500 bytes, its footer says 17"):
        footer_of(file_size=5_500)


def test_a_footer_without_its_checksum_is_damage_and_half_a_footer_is_none() -> None:
    """It is another file's end then."""
    tail = FILE[-200:]
    assert draft.is_draft(tail)
    start = len(FILE) - draft._FOOTER_BYTES
    assert draft.is_draft(FILE[start:])
    assert not draft.is_draft(FILE[start + 1 :])
    damaged = bytearray(tail)
    damaged[-40] ^= 1
    with pytest.raises(DamagedRollup, match="footer does not have its checksum"):
        draft.read_footer(bytes(damaged), len(FILE))


def test_a_block_of_its_own_begins_and_ends_as_a_gzip_file() -> None:
    """Though its bytes are those that the index describes: other tools would find it damaged."""
    tar = b"tar" * 1000
    ending = GZIP_TRAILER.pack(crc32(tar), len(tar))
    for start, end, is_right in (
        (GZIP_HEADER, ending, True),
        (GZIP_HEADER[:-1] + b"\3", ending, False),
        (GZIP_HEADER, GZIP_TRAILER.pack(crc32(tar) ^ 1, len(tar)), False),
        (GZIP_HEADER, GZIP_TRAILER.pack(crc32(tar), len(tar) + 1), False),
    ):
        data = start + deflate(tar, 8) + end
        block = Block(0, len(data), crc32(data), len(tar), 0, 0, "", last=True, alone=True)
        if is_right:
            assert inflate_block(data, block) == tar
            continue
        with pytest.raises(DamagedRollup, match="does not begin and end as a gzip member should"):
            inflate_block(data, block)
