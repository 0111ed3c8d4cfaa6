"""The footer at a rollup's end: what the whole amounts to, and where the sections of its index lie."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, NamedTuple

from s3_log_roller import __version__
from s3_log_roller.errors import DamagedRollup, NewerFormat
from s3_log_roller.rollup.carriers import END, OVERHEAD_BYTES, encode_carrier
from s3_log_roller.rollup.compression import GZIP_HEADER, GZIP_TRAILER, MAX_DEFLATE_RATIO, crc32
from s3_log_roller.rollup.damage import damaged
from s3_log_roller.rollup.tar import END_OF_ARCHIVE, RECORD_BYTES

VERSION: Final = 1
"""The version of the format that this program writes, and the newest that it can read."""
CREATED_BY: Final = f"s3-log-roller {__version__}"
BLOCK_BYTES: Final = 1 << 20
"""Tar bytes of a block; the last one holds the end of the archive, too."""

MEMBERS: Final = 1
DIRECTORY: Final = 2
MAY_BE_IGNORED: Final = 1
"""A section's flag: a reader that does not know the section still reads everything right."""

_FIELDS: Final = struct.Struct("<QQQIQ32s")
_SECTION: Final = struct.Struct("<HHQQI")
_CRC32: Final = struct.Struct("<I")
_ENDING: Final = struct.Struct("<HBB4s")
_MAGIC: Final = b"S3LR"
MAX_FOOTER_BYTES: Final = OVERHEAD_BYTES + _FIELDS.size + 2 * 256 + 255 * _SECTION.size + _CRC32.size + _ENDING.size
"""A read of so many of a file's last bytes holds any footer."""


class NoIndex(DamagedRollup):
    """The file does not end with a rollup's footer: it is cut off, or a tarball by another program."""


class LostIndex(NoIndex):
    """The file is named like a rollup and has no index."""


class Section(NamedTuple):
    """A part of the index: carriers that follow each other."""

    id: int
    flags: int
    offset: int
    """Where the section begins in the file."""
    length: int
    """The section's length in the file, in bytes."""
    crc32: int
    """The CRC-32 of these bytes of the file."""

    @property
    def reach(self) -> range:
        """Its file offsets."""
        return range(self.offset, self.offset + self.length)


@dataclass(frozen=True, slots=True)
class Footer:
    """What a rollup amounts to, and the sections of its index in the order of the file."""

    members: int
    original_bytes: int
    """The sum of the members' sizes."""
    tar_bytes: int
    """The inflated length of the data, the end of the archive included."""
    blocks: int
    data_bytes: int
    """The length of the gzip member that is the data; the index follows it."""
    content_digest: bytes
    """SHA-256, see `ContentDigest`."""
    sections: tuple[Section, ...]
    created_by: str = CREATED_BY
    """The program that wrote the rollup, with its version."""
    needs_version: int = VERSION
    """A reader that knows the format up to an older version cannot read the index."""
    draft: bool = False
    """The file has the layout from before 1.0, see `draft`."""

    @property
    def members_section(self) -> Section:
        """The chunks of members."""
        return self._section(MEMBERS)

    @property
    def directory_section(self) -> Section:
        """Where blocks and chunks are."""
        return self._section(DIRECTORY)

    @property
    def start(self) -> int:
        """The file offset of the footer, where the last section ends."""
        return self.sections[-1].offset + self.sections[-1].length

    def encode(self) -> bytes:
        """The last bytes of the file."""
        created_by = self.created_by.encode()
        body = b"".join(
            (
                _FIELDS.pack(
                    self.members,
                    self.original_bytes,
                    self.tar_bytes,
                    self.blocks,
                    self.data_bytes,
                    self.content_digest,
                ),
                bytes((len(created_by),)),
                created_by,
                bytes((len(self.sections),)),
                *(_SECTION.pack(*section) for section in self.sections),
            )
        )
        length = len(body) + _CRC32.size + _ENDING.size
        ending = _ENDING.pack(length, self.needs_version, VERSION, _MAGIC)
        return encode_carrier(body + _CRC32.pack(crc32(ending, crc32(body))) + ending)

    def _section(self, wanted: int) -> Section:
        return next(section for section in self.sections if section.id == wanted)


def read_footer(tail: bytes, file_size: int) -> Footer:
    """Decode the footer from the file's last bytes: at least `MAX_FOOTER_BYTES` of them, or the whole file.

    Raises `NoIndex` if there is none, `NewerFormat` if it takes a newer program to read it, `DamagedRollup` if it is
    wrong.
    """
    ending_start = len(tail) - len(END) - _ENDING.size
    if ending_start < 0 or not tail.endswith(_MAGIC + END):
        raise NoIndex("the file does not end with the index of a rollup")
    length, needs_version, version, _ = _ENDING.unpack_from(tail, ending_start)
    payload = tail[max(0, len(tail) - len(END) - length) : len(tail) - len(END)]
    checksum_start = max(0, len(payload) - _ENDING.size - _CRC32.size)
    body, checksum = payload[:checksum_start], payload[checksum_start : -_ENDING.size]
    ending = payload[-_ENDING.size :]
    if (
        len(payload) != length
        or not tail.endswith(encode_carrier(payload))
        or _CRC32.pack(crc32(ending, crc32(body))) != checksum
    ):
        damaged("the rollup's footer does not have its checksum")
    if needs_version > VERSION:
        raise NewerFormat(
            f"written in version {version} of the rollup format, which takes a program that knows version "
            f"{needs_version}, and this one knows {VERSION}: update it"
        )
    footer = _decode(body, needs_version)
    _check(footer, file_size, file_size - length - OVERHEAD_BYTES)
    return footer


def _decode(body: bytes, needs_version: int) -> Footer:
    try:
        *fields, content_digest = _FIELDS.unpack_from(body)
        created_start = _FIELDS.size + 1
        created_stop = created_start + body[_FIELDS.size]
        created_by = body[created_start:created_stop].decode()
        count = body[created_stop]
        sections = tuple(Section._make(row) for row in _SECTION.iter_unpack(body[created_stop + 1 :]))
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise DamagedRollup(f"the rollup's footer is not as it should be: {error}") from error
    if len(sections) != count:
        damaged(f"the rollup's footer has {len(sections)} instead of {count} sections")
    members, original_bytes, tar_bytes, blocks, data_bytes = fields
    return Footer(
        members,
        original_bytes,
        tar_bytes,
        blocks,
        data_bytes,
        content_digest,
        sections,
        created_by,
        needs_version,
    )


def _check(footer: Footer, file_size: int, start: int) -> None:
    """Hold every number against the file's length and the others, so that it can bound what is read and allocated."""
    for section in footer.sections:
        if section.id not in (MEMBERS, DIRECTORY) and not section.flags & MAY_BE_IGNORED:
            raise NewerFormat(
                f"written by {footer.created_by} with a section {section.id} in its index, which this program does not "
                "know: update it"
            )
    known = [section.id for section in footer.sections if section.id in (MEMBERS, DIRECTORY)]
    if sorted(known) != [MEMBERS, DIRECTORY]:
        damaged("the rollup's footer names not exactly one section of each kind")
    offset = footer.data_bytes
    for section in footer.sections:
        if section.offset != offset:
            damaged("the sections of the index do not follow each other")
        offset += section.length
    if offset != start:
        damaged(f"the file has {file_size} bytes, its footer says {offset + file_size - start}")
    deflated_bytes = footer.data_bytes - len(GZIP_HEADER) - GZIP_TRAILER.size
    least_tar_bytes = footer.members * RECORD_BYTES + footer.original_bytes + len(END_OF_ARCHIVE)
    possible = (
        footer.members > 0
        and footer.blocks > 0
        and least_tar_bytes <= footer.tar_bytes <= deflated_bytes * MAX_DEFLATE_RATIO
        and footer.tar_bytes <= footer.blocks * BLOCK_BYTES + len(END_OF_ARCHIVE)
    )
    if not possible:
        damaged("the rollup's footer contradicts itself")
    # A block and the first member of the next one are together above BLOCK_BYTES. Without this bound a small file could
    # ask for a huge table.
    if footer.blocks > 2 * (footer.tar_bytes // BLOCK_BYTES + 1):
        damaged(f"the index claims {footer.blocks} blocks for {footer.tar_bytes} bytes of tar")
