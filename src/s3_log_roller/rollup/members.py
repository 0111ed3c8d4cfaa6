"""The members section: name, size, time and digest of every member, in chunks that can each be read alone."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from typing import Final, NamedTuple

from s3_log_roller.rollup.carriers import decode_carriers, encode_carriers, most_bytes
from s3_log_roller.rollup.compression import crc32, deflate, inflate_exactly
from s3_log_roller.rollup.damage import damaged
from s3_log_roller.rollup.footer import Footer
from s3_log_roller.rollup.originals import MAX_ETAG_CHARS, Original, clock_prefix
from s3_log_roller.rollup.planes import from_planes, to_planes

CHUNK_MEMBERS: Final = 4096
DIGEST_BYTES: Final = 4
INDEX_LEVEL: Final = 8
SECONDS_PER_DAY: Final = 86_400

_MD5_BYTES: Final = 16
_RECORD: Final = struct.Struct(f"<IQqQ{DIGEST_BYTES}s")
_DEFLATED_PLANES: Final = 4 + 8 + 8
"""The planes of second, size and age. Those of unique string and digest are as good as random: stored as they are."""
_STORED_PLANES: Final = _RECORD.size - _DEFLATED_PLANES
_CHUNK_HEAD: Final = struct.Struct("<I")
_EXCEPTION_HEAD: Final = struct.Struct("<HB")
_REST_OF_MD5: Final = _MD5_BYTES - DIGEST_BYTES
_MAX_EXCEPTION_BYTES: Final = _EXCEPTION_HEAD.size + MAX_ETAG_CHARS + _REST_OF_MD5


class IndexedMember(NamedTuple):
    """What the index tells of one member."""

    suffix: str
    size: int
    mtime: int
    digest: bytes
    """The MD5 of its content: the first 4 bytes of it, or all 16 if the ETag is not that MD5."""
    etag: str | None
    """The original's ETag if that is not the MD5 of the content."""

    def may_hold(self, original: Original) -> bool:
        """Whether all that the index knows is as in the listing; four bytes of MD5 are a hint and prove nothing."""
        if self.suffix != original.suffix or self.size != original.size:
            return False
        if self.etag is not None:
            return self.etag == original.etag
        return original.md5 is not None and original.md5[:DIGEST_BYTES] == self.digest


class Chunk(NamedTuple):
    """A part of the members section that is read at one go: up to 4,096 members."""

    offset: int
    """Where the chunk begins in the file."""
    length: int
    """The chunk's length in the file, in bytes."""
    crc32: int
    """The CRC-32 of these bytes of the file."""
    members: int
    suffix: str
    """The suffix of the first member."""


class ChunkWriter:
    """Makes the members section as the members come, compressing it chunk by chunk."""

    def __init__(self, day: date) -> None:
        self.chunks: list[Chunk] = []
        """The chunks so far, with offsets in the section; complete once `finish` was called."""
        self.crc32 = 0
        """The CRC-32 of the section; complete once `finish` was called."""
        self.length = 0
        """The section's length; complete once `finish` was called."""
        self._midnight = midnight_of(day)
        self._first_suffix = ""
        self._second = 0
        self._records = bytearray()
        self._exceptions = bytearray()
        self._encoded: list[bytes] = []

    def add(self, original: Original, md5: bytes) -> None:
        """Enter the next member, whose content has that MD5."""
        suffix, size, mtime, etag, listed_md5, second, unique = original
        if not self._records:
            self._first_suffix, self._second = suffix, 0
        if md5 != listed_md5:
            row = len(self._records) // _RECORD.size
            self._exceptions += _EXCEPTION_HEAD.pack(row, len(etag)) + etag.encode("ascii") + md5[DIGEST_BYTES:]
        age = mtime - self._midnight - second
        self._records += _RECORD.pack(second - self._second, size, age, unique, md5[:DIGEST_BYTES])
        self._second = second
        if len(self._records) == CHUNK_MEMBERS * _RECORD.size:
            self._close()

    def finish(self) -> list[bytes]:
        """The section's bytes, chunk by chunk."""
        if self._records:
            self._close()
        return self._encoded

    def _close(self) -> None:
        count = len(self._records) // _RECORD.size
        planes = to_planes(self._records, _RECORD.size)
        deflated_bytes = count * _DEFLATED_PLANES
        deflated = deflate(planes[:deflated_bytes] + self._exceptions, INDEX_LEVEL)
        data = encode_carriers(_CHUNK_HEAD.pack(len(self._exceptions)) + planes[deflated_bytes:] + deflated)
        self.chunks.append(Chunk(self.length, len(data), crc32(data), count, self._first_suffix))
        self.crc32 = crc32(data, self.crc32)
        self.length += len(data)
        self._encoded.append(data)
        self._records.clear()
        self._exceptions.clear()


def most_chunk_bytes(members: int) -> int:
    """The most that a chunk of so many members takes up in a file."""
    return most_bytes(1024 + members * (_RECORD.size + _MAX_EXCEPTION_BYTES))


def iter_chunk(chunk: Chunk, data: bytes, day: date) -> Iterator[IndexedMember]:
    """The members of a chunk in key order, from its bytes in the file."""
    if len(data) != chunk.length or crc32(data) != chunk.crc32:
        damaged(f"the part of the index at offset {chunk.offset} is not the one the directory describes")
    records, exceptions = _decode(decode_carriers(data), chunk.members)
    midnight = midnight_of(day)
    day_text = str(day)
    second, last_unique = 0, -1
    clock = clock_prefix(day_text, second)
    for row, (delta, size, age, unique, digest) in enumerate(_RECORD.iter_unpack(records)):
        if delta:
            second += delta
            if second >= SECONDS_PER_DAY:
                damaged("the index has a member behind the end of the day")
            clock = clock_prefix(day_text, second)
        elif unique <= last_unique:
            damaged(f"the index is out of order at {clock}{unique:016X}")
        last_unique = unique
        suffix = f"{clock}{unique:016X}"
        if not row and suffix != chunk.suffix:
            damaged(f"the directory says that {chunk.suffix} is where {suffix} is in the index")
        if exceptions and row in exceptions:
            etag, rest = exceptions[row]
            yield IndexedMember(suffix, size, midnight + second + age, digest + rest, etag)
        else:
            yield IndexedMember(suffix, size, midnight + second + age, digest, None)


def iter_members(footer: Footer, chunks: Iterable[tuple[Chunk, bytes]], day: date) -> Iterator[IndexedMember]:
    """All members in key order, from all chunks and their bytes in the file, decoded as they are asked for.

    At the end their sizes and the section's checksum are held against the footer.
    """
    total_bytes = checksum = 0
    for chunk, data in chunks:
        checksum = crc32(data, checksum)
        for member in iter_chunk(chunk, data, day):
            total_bytes += member.size
            yield member
    if total_bytes != footer.original_bytes:
        damaged(f"the members' sizes add up to {total_bytes}, not to {footer.original_bytes} bytes")
    if checksum != footer.members_section.crc32:
        damaged("the members section does not have the checksum in the footer")


def midnight_of(day: date) -> int:
    """The beginning of the UTC day, in seconds since the epoch."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def _decode(payload: bytes, count: int) -> tuple[bytearray, dict[int, tuple[str, bytes]]]:
    stored = payload[_CHUNK_HEAD.size : _CHUNK_HEAD.size + count * _STORED_PLANES]
    if len(stored) != count * _STORED_PLANES:
        damaged("a part of the index is too short for its members")
    (exception_bytes,) = _CHUNK_HEAD.unpack_from(payload)
    if exception_bytes > count * _MAX_EXCEPTION_BYTES:
        damaged(f"the index claims {exception_bytes} bytes of ETags for {count} members")
    deflated_bytes = count * _DEFLATED_PLANES
    plain = inflate_exactly(payload[_CHUNK_HEAD.size + len(stored) :], deflated_bytes + exception_bytes)
    records = from_planes(plain[:deflated_bytes] + stored, _RECORD.size)
    return records, _decode_exceptions(plain[deflated_bytes:], count)


def _decode_exceptions(data: bytes, count: int) -> dict[int, tuple[str, bytes]]:
    """By row, the ETag and the rest of the MD5 of members whose ETag is not their MD5."""
    exceptions: dict[int, tuple[str, bytes]] = {}
    last_row, position = -1, 0
    while position < len(data):
        start = position + _EXCEPTION_HEAD.size
        if start > len(data):
            damaged("the index's last ETag is cut off")
        row, size = _EXCEPTION_HEAD.unpack_from(data, position)
        stop = start + size + _REST_OF_MD5
        etag = data[start : start + size]
        if not last_row < row < count or not size or stop > len(data) or not etag.isascii():
            damaged("the index has an impossible ETag")
        exceptions[row] = etag.decode("ascii"), data[start + size : stop]
        last_row, position = row, stop
    return exceptions
