"""The index at the end of a rollup: what it holds, and how it is written and read (docs/reference/format.md).

Nothing read from a file is believed before it was checked: every size bounds an allocation only after it was held
against the file's own length. Whatever does not fit raises `DamagedRollup`.
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final, NamedTuple, NoReturn

from deflate import crc32, deflate_compress
from isal import isal_zlib

from s3_log_roller.errors import DamagedRollup
from s3_log_roller.rollup.originals import MAX_ETAG_CHARS, Original, clock_prefix
from s3_log_roller.rollup.tar import END_OF_ARCHIVE, RECORD_BYTES

VERSION: Final = 1
BLOCK_BYTES: Final = 1 << 20
"""Tar bytes of a block; the last one holds the end of the archive, too."""
TAIL_BYTES: Final = 64 * 1024
"""A first guess of what to read from a rollup's end: footer and blocks section of all but giant rollups."""

CHUNK_MEMBERS: Final = 8192
DIGEST_BYTES: Final = 4
CARRIER_PAYLOAD_BYTES: Final = 65_000

_INDEX_LEVEL: Final = 9
_SECONDS_PER_DAY: Final = 86_400
_DAY_BYTES: Final = len("YYYY-MM-DD")
_MAX_PREFIX_BYTES: Final = 1024
_MIN_BLOCK_BYTES: Final = 20
_MAX_DEFLATE_RATIO: Final = 1032
"""A byte of deflate stands for no more than that many (zlib's technical notes, "Maximum Compression Factor")."""

_CARRIER_START: Final = bytes.fromhex("1f8b 08 04 00000000 00 ff")
_CARRIER_END: Final = bytes.fromhex("0300 00000000 00000000")
_EXTRA_LENGTHS: Final = struct.Struct("<H2sH")
_CARRIER_HEAD_BYTES: Final = len(_CARRIER_START) + _EXTRA_LENGTHS.size
CARRIER_OVERHEAD_BYTES: Final = _CARRIER_HEAD_BYTES + len(_CARRIER_END)
_FULL_CARRIER_BYTES: Final = CARRIER_PAYLOAD_BYTES + CARRIER_OVERHEAD_BYTES

_MEMBER: Final = struct.Struct(f"<IQQq{DIGEST_BYTES}s")
_CHUNK_RECORD_BYTES: Final = CHUNK_MEMBERS * _MEMBER.size
_CHUNK_HEAD: Final = struct.Struct("<II")
_ETAG_HEAD: Final = struct.Struct("<HB")
_MAX_ETAG_BYTES: Final = _ETAG_HEAD.size + MAX_ETAG_CHARS

_BLOCK: Final = struct.Struct("<IIIIQIQ")
_PREFIX_LENGTH: Final = struct.Struct("<H")

_FOOTER_FIELDS: Final = struct.Struct("<QQQQIQQ32sII")
_FOOTER_CRC32: Final = struct.Struct("<I")
_MAGIC: Final = b"S3LR"
_FOOTER_PAYLOAD_BYTES: Final = _FOOTER_FIELDS.size + _FOOTER_CRC32.size + 1 + len(_MAGIC)
FOOTER_BYTES: Final = CARRIER_OVERHEAD_BYTES + _FOOTER_PAYLOAD_BYTES


class NoIndex(DamagedRollup):
    """The file does not end with a rollup's footer: it is cut off, or a tarball by another program."""


class IndexedMember(NamedTuple):
    """What the index tells of one member."""

    suffix: str
    size: int
    mtime: int
    digest: bytes
    """The first 4 bytes of the MD5 of its content."""
    etag: str | None
    """The original's ETag, where that is not the MD5 of the content."""

    def may_hold(self, original: Original) -> bool:
        """Whether all that the index knows is as in the listing; four bytes of MD5 are a hint, no proof."""
        if self.suffix != original.suffix or self.size != original.size:
            return False
        if self.etag is not None:
            return self.etag == original.etag
        return original.md5 is not None and original.md5[:DIGEST_BYTES] == self.digest


class Block(NamedTuple):
    """One gzip member of the data, and what its piece of the tar begins with."""

    offset: int
    """In the file."""
    length: int
    """In the file, gzip header and trailer included."""
    crc32: int
    """Of those bytes."""
    tar_length: int
    """Inflated."""
    first_header: int
    """Offset, in the piece of tar, of the first header that starts in it; `tar_length` if none does."""
    ordinal: int
    """Of the member that the first byte belongs to, counted from 0."""
    suffix: str
    """Of that member."""


@dataclass(frozen=True, slots=True)
class BlockTable:
    """All blocks in order, and whose rollup it is."""

    target_prefix: str
    day: date
    blocks: tuple[Block, ...]

    @property
    def first_suffix(self) -> str:
        """The suffix of the rollup's first member, from which its name follows."""
        return self.blocks[0].suffix

    def blocks_for(self, low: str, high: str) -> tuple[Block, ...]:
        """The blocks that can hold a part of the members from suffix `low` up to `high`, both included.

        The bounds need be no whole suffixes: from `2022-07-01-10` to `2022-07-01-10:` is one hour.
        """
        first = bisect_left(self.blocks, low, key=_suffix_of)
        if first == len(self.blocks) or self.blocks[first].suffix != low:
            first = max(0, first - 1)
        return self.blocks[first : bisect_right(self.blocks, high, key=_suffix_of)]


def _suffix_of(block: Block) -> str:
    return block.suffix


@dataclass(frozen=True, slots=True)
class Footer:
    """Where the index lies, and what the whole rollup amounts to."""

    members_start: int
    """File offset of the members section, and the length of the data before it."""
    blocks_start: int
    footer_start: int
    members: int
    blocks: int
    tar_bytes: int
    """Inflated length of the data, the end of the archive included."""
    original_bytes: int
    """Sum of the members' sizes."""
    content_digest: bytes
    """SHA-256, see `ContentDigest`."""
    members_crc32: int
    blocks_crc32: int

    @property
    def members_range(self) -> range:
        """The file offsets of the members section."""
        return range(self.members_start, self.blocks_start)

    @property
    def blocks_range(self) -> range:
        """The file offsets of the blocks section."""
        return range(self.blocks_start, self.footer_start)

    def encode(self) -> bytes:
        """The last `FOOTER_BYTES` bytes of the file."""
        fields = _FOOTER_FIELDS.pack(
            self.members_start,
            self.blocks_start,
            self.footer_start,
            self.members,
            self.blocks,
            self.tar_bytes,
            self.original_bytes,
            self.content_digest,
            self.members_crc32,
            self.blocks_crc32,
        )
        return encode_carrier(fields + _FOOTER_CRC32.pack(crc32(fields)) + bytes((VERSION,)) + _MAGIC)


def damaged(reason: str) -> NoReturn:
    """Raise `DamagedRollup`; the caller who knows the rollup's key adds it."""
    raise DamagedRollup(reason)


def inflate_exactly(data: bytes | memoryview, size: int) -> bytes:
    """Inflate a raw deflate stream that must end with `data` and amount to `size`; no more than that is allocated."""
    stream = isal_zlib.decompressobj(-15)
    try:
        plain = stream.decompress(data, size + 1)
    except isal_zlib.error as error:  # type: ignore[misc]  # isal's stub declares the class as an instance
        raise DamagedRollup(f"compressed data is corrupt: {error}") from error
    if len(plain) != size or not stream.eof or stream.unused_data:
        damaged(f"compressed data does not hold the {size} bytes it should")
    return plain


def encode_carrier(payload: bytes | bytearray) -> bytes:
    """An empty gzip member whose extra field holds the payload."""
    lengths = _EXTRA_LENGTHS.pack(len(payload) + 4, b"S3", len(payload))
    return b"".join((_CARRIER_START, lengths, payload, _CARRIER_END))


def encode_section(payload: bytes) -> bytes:
    """Carriers that hold the payload: all full but the last."""
    starts = range(0, len(payload), CARRIER_PAYLOAD_BYTES)
    return b"".join(encode_carrier(payload[start : start + CARRIER_PAYLOAD_BYTES]) for start in starts)


class _Payload:
    """What a section's carriers hold, read from the front without copying the whole of it."""

    def __init__(self, section: bytes | bytearray, name: str, expected: range, expected_crc32: int) -> None:
        self._name = name
        if len(section) != len(expected):
            damaged(f"the {name} section has {len(section)} instead of {len(expected)} bytes")
        self._parts = [self._carried(section, start) for start in range(0, len(section), _FULL_CARRIER_BYTES)]
        checksum = 0
        for part in self._parts:
            checksum = crc32(part, checksum)
        if checksum != expected_crc32:
            damaged(f"the {name} section does not have its checksum")
        self._parts.reverse()

    def _carried(self, section: bytes | bytearray, start: int) -> memoryview:
        stop = min(start + _FULL_CARRIER_BYTES, len(section))
        size = stop - start - CARRIER_OVERHEAD_BYTES
        payload_start = start + _CARRIER_HEAD_BYTES
        head = _CARRIER_START + _EXTRA_LENGTHS.pack(max(0, size) + 4, b"S3", max(0, size))
        if (
            size <= 0
            or not section.startswith(head, start)
            or not section.startswith(_CARRIER_END, payload_start + size)
        ):
            damaged(f"the {self._name} section is not made of the gzip members it should be")
        return memoryview(section)[payload_start : payload_start + size]

    def read(self, size: int) -> bytes:
        """The next `size` bytes."""
        pieces = []
        while size:
            if not self._parts:
                damaged(f"the {self._name} section ends too early")
            part = self._parts.pop()
            pieces.append(part[:size])
            if len(part) > size:
                self._parts.append(part[size:])
            size -= len(pieces[-1])
        return b"".join(pieces)

    def read_rest(self) -> bytes:
        """All that is left."""
        return self.read(sum(map(len, self._parts)))


def _to_planes(records: bytes | bytearray, width: int) -> bytes:
    """All first bytes of the records, then all second ones and so on: deflates 6 % smaller than columns."""
    return b"".join(records[byte::width] for byte in range(width))


def _from_planes(planes: bytes, width: int) -> bytearray:
    count = len(planes) // width
    records = bytearray(len(planes))
    for byte in range(width):
        records[byte::width] = planes[byte * count : (byte + 1) * count]
    return records


def _midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


class MemberTable:
    """Writes the members section as the members come, compressing it chunk by chunk."""

    def __init__(self, day: date) -> None:
        self.crc32 = 0
        """Of the payload; complete once `finish` was called."""
        self._midnight = _midnight(day)
        self._second = 0
        self._records = bytearray()
        self._etags = bytearray()
        self._payload = bytearray()
        self._carriers: list[bytes] = []

    def add(self, original: Original, md5: bytes) -> None:
        """Enter the next member, whose content has that MD5."""
        _, size, mtime, etag, listed_md5, second, unique = original
        if md5 != listed_md5:
            row = len(self._records) // _MEMBER.size
            self._etags += _ETAG_HEAD.pack(row, len(etag)) + etag.encode("ascii")
        age = mtime - self._midnight - second
        self._records += _MEMBER.pack(second - self._second, unique, size, age, md5[:DIGEST_BYTES])
        self._second = second
        if len(self._records) == _CHUNK_RECORD_BYTES:
            self._close_chunk()

    def finish(self) -> list[bytes]:
        """The section's carriers in order."""
        if self._records:
            self._close_chunk()
        if self._payload:
            self._carriers.append(encode_carrier(self._payload))
        return self._carriers

    def _close_chunk(self) -> None:
        deflated = deflate_compress(_to_planes(self._records, _MEMBER.size) + self._etags, _INDEX_LEVEL)
        chunk = _CHUNK_HEAD.pack(len(deflated), len(self._etags)) + deflated
        self.crc32 = crc32(chunk, self.crc32)
        self._payload += chunk
        self._records.clear()
        self._etags.clear()
        while len(self._payload) > CARRIER_PAYLOAD_BYTES:
            self._carriers.append(encode_carrier(self._payload[:CARRIER_PAYLOAD_BYTES]))
            del self._payload[:CARRIER_PAYLOAD_BYTES]


def iter_members(footer: Footer, section: bytes | bytearray, day: date) -> Iterator[IndexedMember]:
    """The members in key order, from the bytes at `footer.members_range`, decoded as they are asked for."""
    return _decode_members(footer, _Payload(section, "members", footer.members_range, footer.members_crc32), day)


def _decode_members(footer: Footer, payload: _Payload, day: date) -> Iterator[IndexedMember]:
    midnight = _midnight(day)
    day_text = str(day)
    second, last_unique, total_bytes = 0, -1, 0
    clock = clock_prefix(day_text, second)
    for first in range(0, footer.members, CHUNK_MEMBERS):
        count = min(CHUNK_MEMBERS, footer.members - first)
        records, etags = _decode_chunk(payload, count)
        for row, (delta, unique, size, age, digest) in enumerate(_MEMBER.iter_unpack(records)):
            if delta:
                second += delta
                if second >= _SECONDS_PER_DAY:
                    damaged("the index has a member behind the end of the day")
                clock = clock_prefix(day_text, second)
            elif unique <= last_unique:
                damaged(f"the index is out of order at {clock}{unique:016X}")
            last_unique = unique
            total_bytes += size
            etag = etags.get(row) if etags else None
            yield IndexedMember(f"{clock}{unique:016X}", size, midnight + second + age, digest, etag)
    if payload.read_rest():
        damaged("the members section holds more than the members")
    if total_bytes != footer.original_bytes:
        damaged(f"the members' sizes add up to {total_bytes}, not to {footer.original_bytes} bytes")


def _decode_chunk(payload: _Payload, count: int) -> tuple[bytearray, dict[int, str]]:
    deflated_bytes, etag_bytes = _CHUNK_HEAD.unpack(payload.read(_CHUNK_HEAD.size))
    if etag_bytes > count * _MAX_ETAG_BYTES:
        damaged(f"the index claims {etag_bytes} bytes of ETags for {count} members")
    plain = inflate_exactly(payload.read(deflated_bytes), count * _MEMBER.size + etag_bytes)
    return _from_planes(plain[: count * _MEMBER.size], _MEMBER.size), _decode_etags(
        plain[count * _MEMBER.size :], count
    )


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


def encode_blocks(blocks: list[Block], target_prefix: str, day: date) -> bytes:
    """The blocks section's payload."""
    records = b"".join(
        _BLOCK.pack(
            block.length,
            block.crc32,
            block.tar_length,
            block.first_header,
            block.ordinal,
            second_of_day(block.suffix),
            int(block.suffix[20:], 16),
        )
        for block in blocks
    )
    prefix = target_prefix.encode()
    plain = _to_planes(records, _BLOCK.size) + str(day).encode() + prefix
    return _PREFIX_LENGTH.pack(len(prefix)) + deflate_compress(plain, _INDEX_LEVEL)


def second_of_day(suffix: str) -> int:
    """The second of the day in a log key's suffix."""
    return int(suffix[11:13]) * 3600 + int(suffix[14:16]) * 60 + int(suffix[17:19])


def decode_blocks(footer: Footer, section: bytes | bytearray) -> BlockTable:
    """Decode the bytes at `footer.blocks_range`; the blocks are proven to tile the data and its tar without a gap."""
    payload = _Payload(section, "blocks", footer.blocks_range, footer.blocks_crc32)
    (prefix_bytes,) = _PREFIX_LENGTH.unpack(payload.read(_PREFIX_LENGTH.size))
    if prefix_bytes > _MAX_PREFIX_BYTES:
        damaged(f"the index claims a target prefix of {prefix_bytes} bytes")
    records_bytes = footer.blocks * _BLOCK.size
    plain = inflate_exactly(payload.read_rest(), records_bytes + _DAY_BYTES + prefix_bytes)
    try:
        day_text = plain[records_bytes : records_bytes + _DAY_BYTES].decode()
        day = date.fromisoformat(day_text)
        target_prefix = plain[records_bytes + _DAY_BYTES :].decode()
    except ValueError as error:
        raise DamagedRollup(f"the index names an impossible day or target prefix: {error}") from error
    if str(day) != day_text or "\0" in target_prefix:
        damaged("the index names an impossible day or target prefix")
    blocks = tuple(_decode_block_records(_from_planes(plain[:records_bytes], _BLOCK.size), day_text))
    _check_tiling(footer, blocks)
    return BlockTable(target_prefix, day, blocks)


def _decode_block_records(records: bytearray, day: str) -> Iterator[Block]:
    offset = 0
    for length, checksum, tar_length, first_header, ordinal, second, unique in _BLOCK.iter_unpack(records):
        if second >= _SECONDS_PER_DAY:
            damaged("the index has a block behind the end of the day")
        suffix = f"{clock_prefix(day, second)}{unique:016X}"
        yield Block(offset, length, checksum, tar_length, first_header, ordinal, suffix)
        offset += length


def _check_tiling(footer: Footer, blocks: tuple[Block, ...]) -> None:
    before: Block | None = None
    for number, block in enumerate(blocks, start=1):
        limit = BLOCK_BYTES + (len(END_OF_ARCHIVE) if number == len(blocks) else 0)
        sizes_fit = (
            block.length >= _MIN_BLOCK_BYTES
            and 0 < block.tar_length <= limit
            and block.first_header <= block.tar_length
            and block.tar_length % RECORD_BYTES == block.first_header % RECORD_BYTES == 0
        )
        if not sizes_fit or not _follows(before, block) or block.ordinal >= footer.members:
            damaged(f"the index is wrong about block {number} of {len(blocks)}")
        before = block
    if sum(block.length for block in blocks) != footer.members_start:
        damaged("the blocks do not fill the data exactly")
    if sum(block.tar_length for block in blocks) != footer.tar_bytes:
        damaged("the blocks' tar lengths do not add up")


def _follows(before: Block | None, block: Block) -> bool:
    """Whether the block can stand there: it begins with a later member's header, or goes on with the same member.

    It cannot go on with a member that began in the middle of a block: one that does not fit begins a new block.
    """
    if before is None:
        return block.ordinal == 0 and block.first_header == 0
    if block.ordinal == before.ordinal:
        return block.suffix == before.suffix and block.first_header != 0
    return block.ordinal > before.ordinal and block.suffix > before.suffix and block.first_header == 0


def read_footer(tail: bytes, file_size: int) -> Footer:
    """Decode the footer from the file's last bytes: at least `FOOTER_BYTES` of them, or the whole file.

    Raises `NoIndex` if there is none, `DamagedRollup` if it is wrong or has a version that this program does not know.
    """
    trailer = _MAGIC + _CARRIER_END
    if len(tail) <= len(trailer) or not tail.endswith(trailer):
        raise NoIndex("the file does not end with the index of a rollup")
    version = tail[-len(trailer) - 1]
    if version != VERSION:
        damaged(f"the rollup has format version {version}, written by a newer program; this one reads {VERSION}")
    carrier = tail[-FOOTER_BYTES:]
    payload = carrier[_CARRIER_HEAD_BYTES : -len(_CARRIER_END)]
    fields = payload[: _FOOTER_FIELDS.size]
    checksum = payload[_FOOTER_FIELDS.size : _FOOTER_FIELDS.size + _FOOTER_CRC32.size]
    if (
        len(carrier) != FOOTER_BYTES
        or carrier != encode_carrier(payload)
        or _FOOTER_CRC32.pack(crc32(fields)) != checksum
    ):
        damaged("the rollup's footer does not have its checksum")
    footer = Footer(*_FOOTER_FIELDS.unpack(fields))
    _check_footer(footer, file_size)
    return footer


def _check_footer(footer: Footer, file_size: int) -> None:
    if footer.footer_start + FOOTER_BYTES != file_size:
        damaged(f"the file has {file_size} bytes, its footer says {footer.footer_start + FOOTER_BYTES}")
    # Not `len` of the ranges: a wrong footer's may be longer than `len` can say.
    members_bytes = footer.blocks_start - footer.members_start
    blocks_bytes = footer.footer_start - footer.blocks_start
    least_tar_bytes = footer.members * RECORD_BYTES + footer.original_bytes + len(END_OF_ARCHIVE)
    possible = (
        0 < footer.members_start < footer.blocks_start < footer.footer_start
        and footer.members > 0
        and 0 < footer.blocks <= footer.members_start // _MIN_BLOCK_BYTES
        and footer.tar_bytes % RECORD_BYTES == 0
        and least_tar_bytes <= footer.tar_bytes <= footer.members_start * _MAX_DEFLATE_RATIO
        and footer.tar_bytes <= footer.blocks * BLOCK_BYTES + len(END_OF_ARCHIVE)
        and members_bytes <= 1024 + footer.members * (_MEMBER.size + _MAX_ETAG_BYTES + _CHUNK_HEAD.size)
        and blocks_bytes <= 2048 + footer.blocks * (_BLOCK.size + 1)
    )
    if not possible:
        damaged("the rollup's footer contradicts itself")
    # A block and the first member of the next one are together above BLOCK_BYTES. Without this bound a small file could
    # ask for a huge table.
    if footer.blocks > 2 * (footer.tar_bytes // BLOCK_BYTES + 1):
        damaged(f"the index claims {footer.blocks} blocks for {footer.tar_bytes} bytes of tar")
