"""The layout that 0.1 wrote: it is read for ever and never written. docs/reference/format.md describes it.

Each block is a gzip member of its own, and the list of members is read whole. Where a member's ETag is not the MD5 of
its content, the file itself binds the content by four bytes of MD5 only. Deleting compares the original's own MD5.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import date
from typing import Final

from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rollup.carriers import END, OVERHEAD_BYTES, decode_carriers, encode_carrier
from s3_log_roller.rollup.compression import MAX_DEFLATE_RATIO, crc32, inflate_exactly
from s3_log_roller.rollup.damage import damaged
from s3_log_roller.rollup.directory import BLOCK_RECORD_BYTES, Blocks, Directory, check_blocks, decode_names
from s3_log_roller.rollup.footer import BLOCK_BYTES, DIRECTORY, MEMBERS, Footer, Section
from s3_log_roller.rollup.members import DIGEST_BYTES, SECONDS_PER_DAY, IndexedMember, midnight_of
from s3_log_roller.rollup.originals import MAX_ETAG_CHARS, clock_prefix
from s3_log_roller.rollup.planes import from_planes
from s3_log_roller.rollup.tar import END_OF_ARCHIVE, RECORD_BYTES, name_prefix

CREATED_BY: Final = "s3-log-roller 0.1"
MAX_INDEX_BYTES: Final = 128 << 20
"""The list of members is in memory as a whole: some nine million."""

_FOOTER: Final = struct.Struct("<QQQQIQQ32sII")
_CRC32: Final = struct.Struct("<I")
_ENDING: Final = b"\x01S3LR"
_PAYLOAD_BYTES: Final = _FOOTER.size + _CRC32.size + len(_ENDING)
_FOOTER_BYTES: Final = _PAYLOAD_BYTES + OVERHEAD_BYTES

_CHUNK_MEMBERS: Final = 8192
_CHUNK_HEAD: Final = struct.Struct("<II")
_RECORD: Final = struct.Struct(f"<IQQq{DIGEST_BYTES}s")
_ETAG_HEAD: Final = struct.Struct("<HB")
_MAX_ETAG_BYTES: Final = _ETAG_HEAD.size + MAX_ETAG_CHARS
_PREFIX_LENGTH: Final = struct.Struct("<H")


def is_draft(tail: bytes) -> bool:
    """Whether a file that ends so has that layout. No footer of today's is as short."""
    payload = tail[-(_PAYLOAD_BYTES + len(END)) : -len(END)]
    return payload.endswith(_ENDING) and len(tail) >= _FOOTER_BYTES and tail.endswith(encode_carrier(payload))


def read_footer(tail: bytes, file_size: int) -> Footer:
    """Decode the footer of a file for which `is_draft` holds. Raises `DamagedRollup`."""
    payload = tail[-(_PAYLOAD_BYTES + len(END)) : -len(END)]
    fields = payload[: _FOOTER.size]
    if payload[_FOOTER.size : -len(_ENDING)] != _CRC32.pack(crc32(fields)):
        damaged("the rollup's footer does not have its checksum")
    data_bytes, directory, end, members, blocks, tar_bytes, original_bytes, digest, *sums = _FOOTER.unpack(fields)
    if end + _FOOTER_BYTES != file_size:
        damaged(f"the file has {file_size} bytes, its footer says {end + _FOOTER_BYTES}")
    possible = (
        0 < data_bytes < directory < end
        and members > 0
        and 0 < blocks <= 2 * (tar_bytes // BLOCK_BYTES + 1)
        and tar_bytes <= blocks * BLOCK_BYTES + len(END_OF_ARCHIVE)
        and members * RECORD_BYTES + original_bytes + len(END_OF_ARCHIVE) <= tar_bytes <= data_bytes * MAX_DEFLATE_RATIO
        and directory - data_bytes <= 1024 + members * (_RECORD.size + _MAX_ETAG_BYTES + _CHUNK_HEAD.size)
    )
    if not possible:
        damaged("the rollup's footer contradicts itself")
    if directory - data_bytes > MAX_INDEX_BYTES:
        damaged(f"its list of members has {directory - data_bytes} bytes, more than is read of a file from before 1.0")
    sections = (
        Section(MEMBERS, 0, data_bytes, directory - data_bytes, sums[0]),
        Section(DIRECTORY, 0, directory, end - directory, sums[1]),
    )
    return Footer(
        members, original_bytes, tar_bytes, blocks, data_bytes, digest, sections, created_by=CREATED_BY, draft=True
    )


def decode_directory(footer: Footer, data: bytes) -> Directory:
    """Decode the section of blocks: whose rollup it is and where its blocks are, which tile the data without a gap."""
    payload = _payload(data, footer.directory_section)
    (prefix_bytes,) = _PREFIX_LENGTH.unpack(payload[: _PREFIX_LENGTH.size].ljust(_PREFIX_LENGTH.size, b"\xff"))
    records, target_prefix, day = decode_names(
        payload[_PREFIX_LENGTH.size :], prefix_bytes, footer.blocks * BLOCK_RECORD_BYTES
    )
    blocks = Blocks(from_planes(records, BLOCK_RECORD_BYTES), str(day), alone=True)
    check_blocks(footer, blocks)
    return Directory(target_prefix, day, blocks, ())


def iter_members(footer: Footer, data: bytes, day: date) -> Iterator[IndexedMember]:
    """The members in key order, from the bytes of the members section. Raises `DamagedRollup`."""
    payload = _payload(data, footer.members_section)
    midnight = midnight_of(day)
    second, last_unique, total_bytes, position = 0, -1, 0, 0
    for first in range(0, footer.members, _CHUNK_MEMBERS):
        count = min(_CHUNK_MEMBERS, footer.members - first)
        records, etags, position = _decode_chunk(payload, position, count)
        for row, (delta, unique, size, age, digest) in enumerate(_RECORD.iter_unpack(records)):
            second += delta
            if second >= SECONDS_PER_DAY:
                damaged("the index has a member behind the end of the day")
            suffix = f"{clock_prefix(str(day), second)}{unique:016X}"
            if not delta and unique <= last_unique:
                damaged(f"the index is out of order at {suffix}")
            last_unique = unique
            total_bytes += size
            yield IndexedMember(suffix, size, midnight + second + age, digest, etags.get(row))
    if position != len(payload):
        damaged("the members section holds more than the members")
    if total_bytes != footer.original_bytes:
        damaged(f"the members' sizes add up to {total_bytes}, not to {footer.original_bytes} bytes")


def is_name(base_name: str, footer: Footer, group: DayGroup) -> bool:
    """Whether a rollup of that day group may have had that name, which followed from all of its members."""
    return base_name == f"{name_prefix(group.target_prefix)}rollup-{group.day}-{footer.content_digest[:4].hex()}.tgz"


def _payload(data: bytes, section: Section) -> bytes:
    payload = decode_carriers(data)
    if len(data) != section.length or crc32(payload) != section.crc32:
        damaged("a section of the index does not have its checksum")
    return payload


def _decode_chunk(payload: bytes, position: int, count: int) -> tuple[bytearray, dict[int, str], int]:
    """Records, ETags by row, and where the next chunk begins."""
    start = position + _CHUNK_HEAD.size
    if start > len(payload):
        damaged("the members section ends too early")
    deflated_bytes, etag_bytes = _CHUNK_HEAD.unpack_from(payload, position)
    if etag_bytes > count * _MAX_ETAG_BYTES or start + deflated_bytes > len(payload):
        damaged(f"the index claims {etag_bytes} bytes of ETags for {count} members")
    plain = inflate_exactly(payload[start : start + deflated_bytes], count * _RECORD.size + etag_bytes)
    records = from_planes(plain[: count * _RECORD.size], _RECORD.size)
    return records, _decode_etags(plain[count * _RECORD.size :], count), start + deflated_bytes


def _decode_etags(data: bytes, count: int) -> dict[int, str]:
    etags: dict[int, str] = {}
    last_row, position = -1, 0
    while position < len(data):
        start = position + _ETAG_HEAD.size
        if start > len(data):
            damaged("the index's last ETag is cut off")
        row, size = _ETAG_HEAD.unpack_from(data, position)
        etag = data[start : start + size]
        if not last_row < row < count or not size or len(etag) != size or not etag.isascii():
            damaged("the index has an impossible ETag")
        etags[row] = etag.decode("ascii")
        last_row, position = row, start + size
    return etags
