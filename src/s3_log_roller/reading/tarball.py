"""Tarballs as a stream: members come out while the file is read, whatever its size, in bounded memory.

Only what holds bytes comes out. Links, devices and directories of other programs' tarballs are told of, never made.
Everything wrong raises `DamagedRollup`.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple
from zlib import adler32

from isal import isal_zlib

from s3_log_roller.errors import DamagedRollup
from s3_log_roller.rollup.damage import damaged
from s3_log_roller.rollup.tar import RECORD_BYTES

PIECE_BYTES: Final = 1 << 20
"""So many bytes are inflated at a time."""
MAX_NAME_BYTES: Final = 64 << 10
MAX_PAX_BYTES: Final = 1 << 20

_ZEROS: Final = bytes(RECORD_BYTES)
_GZIP: Final = b"\x1f\x8b"
_GNU: Final = b"ustar  \0"
_ADLER_MODULUS: Final = 65521
_BODILESS: Final = frozenset({b"1", b"2", b"3", b"4", b"5", b"6"})
_NAMES: Final = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    b"6": "a FIFO",
}


class Member(NamedTuple):
    """A log in a tarball, as its header tells."""

    name: str
    size: int
    mtime: int


MemberPart = tuple[Member, bytes, bool]
"""A piece of a member's content, and whether it is the last one. Every member has at least one."""

OnLeftOut = Callable[[str, str], None]
"""Called with the name of a member that is not a file, and with what it is."""


def gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Inflate a file of one or more gzip members, at most `PIECE_BYTES` at a time."""
    stream = isal_zlib.decompressobj(31)
    begun = False
    is_start = True
    for chunk in chunks:
        data = chunk
        while data:
            if not begun:
                data = data.lstrip(b"\0")  # what tapes and some tools fill up with
                if not data:
                    break
                begun = True
                if is_start and not _GZIP.startswith(data[: len(_GZIP)]):
                    damaged("it is not a gzip file")
                is_start = False
            try:
                plain = stream.decompress(data, PIECE_BYTES)
            except isal_zlib.error as error:  # type: ignore[misc]  # isal's stub declares the class as an instance
                raise DamagedRollup(f"its gzip data is corrupt: {error}") from error
            if plain:
                yield plain
            data = stream.unused_data if stream.eof else stream.unconsumed_tail
            if stream.eof:
                stream, begun = isal_zlib.decompressobj(31), False
            elif not plain and not data:
                break
    while begun:
        plain = stream.decompress(b"", PIECE_BYTES)
        if not plain:
            damaged("it is cut off: its gzip data ends too early")
        yield plain


def read_tar(chunks: Iterable[bytes], on_left_out: OnLeftOut, *, whole: bool) -> Iterator[MemberPart]:
    """The members in the tar that comes in those chunks, which start at a header.

    A tar that is not `whole` may stop anywhere; the last member's last piece may then be missing.
    """
    parser = _Parser(on_left_out)
    for chunk in chunks:
        yield from parser.feed(chunk)
    if whole:
        parser.finish()


class _Parser:
    def __init__(self, on_left_out: OnLeftOut) -> None:
        self._on_left_out = on_left_out
        self._held = b""
        self._member = Member("", 0, 0)
        self._body_left = 0
        self._skip_left = 0
        self._meta = b""
        """Type of the header being collected that belongs to the next one."""
        self._collected = bytearray()
        self._meta_left = 0
        self._long_name: str | None = None
        self._pax_size: int | None = None
        self._ended = False
        self._seen = False

    def feed(self, chunk: bytes) -> Iterator[MemberPart]:
        data = self._held + chunk if self._held else chunk
        position, end = 0, len(data)
        while position < end and not self._ended:
            if self._body_left:
                stop = min(position + self._body_left, end)
                self._body_left -= stop - position
                yield self._member, data[position:stop], not self._body_left
                position = stop
            elif self._meta_left:
                stop = min(position + self._meta_left, end)
                self._meta_left -= stop - position
                self._collected += data[position:stop]
                position = stop
                if not self._meta_left:
                    self._take_meta()
            elif self._skip_left:
                stop = min(position + self._skip_left, end)
                self._skip_left -= stop - position
                position = stop
            elif end - position < RECORD_BYTES:
                break
            else:
                member = self._take_header(data[position : position + RECORD_BYTES])
                position += RECORD_BYTES
                if member is not None and not member.size:
                    yield member, b"", True
        self._held = b"" if self._ended else data[position:]

    def finish(self) -> None:
        """Raise unless the tar stopped where one may stop."""
        if self._body_left:
            damaged(f"it is cut off inside {self._member.name!r}")
        if self._held or self._meta_left or self._meta or not self._seen:
            damaged("it is cut off, or no tarball")

    def _take_header(self, header: bytes) -> Member | None:
        """Read a header; the member, if it is a file's."""
        self._seen = True
        if header == _ZEROS:
            self._ended = True
            return None
        name, size, mtime, kind = _quick_header(header) or _any_header(header)
        if kind in (b"L", b"K", b"x", b"g"):
            self._begin_meta(kind, size)
            return None
        if self._long_name is not None:
            name, self._long_name = self._long_name, None
        if self._pax_size is not None:
            size, self._pax_size = self._pax_size, None
        self._meta = b""
        if kind in (b"0", b"\0", b"7") and not name.endswith("/"):
            self._member = Member(name, size, mtime)
            self._body_left = size
            self._skip_left = -size % RECORD_BYTES
            return self._member
        if kind not in _BODILESS:
            self._skip_left = size + -size % RECORD_BYTES
        if kind == b"S":
            damaged(f"{name!r} is a sparse file, which this program cannot read: unpack it with GNU tar")
        if kind != b"5" and not name.endswith("/"):
            self._on_left_out(name, _NAMES.get(kind, f"of the unknown type {kind!r}"))
        return None

    def _begin_meta(self, kind: bytes, size: int) -> None:
        limit = MAX_PAX_BYTES if kind in (b"x", b"g") else MAX_NAME_BYTES
        if size > limit:
            damaged(f"it has a header of {size} bytes, more than the {limit} this program reads")
        self._meta = kind
        self._meta_left = size
        self._collected.clear()
        self._skip_left = -size % RECORD_BYTES
        if not size:
            self._take_meta()

    def _take_meta(self) -> None:
        data = bytes(self._collected)
        if self._meta == b"L":
            self._long_name = data.partition(b"\0")[0].decode("utf-8", "surrogateescape")
        elif self._meta == b"x":
            for key, value in _pax_records(data):
                if key == b"path":
                    self._long_name = value.decode("utf-8", "surrogateescape")
                elif key == b"size" and value.isdigit() and len(value) < 20:
                    self._pax_size = int(value)
                elif key.startswith(b"GNU.sparse."):
                    damaged("it holds a sparse file, which this program cannot read: unpack it with GNU tar")


def _quick_header(header: bytes) -> tuple[str, int, int, bytes] | None:
    """The fields of a header as this program writes them, its checksum held against it; None for all others."""
    if header[257:265] != _GNU or header[156:157] != b"0":
        return None
    try:
        checksum = int(header[148:154], 8)
        size, mtime = int(header[124:135], 8), int(header[136:147], 8)
        name = header[:100].partition(b"\0")[0].decode()
    except ValueError:
        return None
    # Adler-32's lower half is 1 + the sum of the bytes; the checksum takes its own field for eight spaces.
    expected = (1 + checksum - 8 * ord(" ") + sum(header[148:156])) % _ADLER_MODULUS
    if adler32(header) & 0xFFFF != expected or size < 0 or mtime < 0:
        return None
    return name, size, mtime, b"0"


def _any_header(header: bytes) -> tuple[str, int, int, bytes]:
    try:
        found = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError, OverflowError) as error:
        raise DamagedRollup(f"it is not a tarball, or it is corrupt: {error}") from error
    if found.size < 0:
        damaged(f"{found.name!r} claims {found.size} bytes")
    name = found.name + "/" if found.type == tarfile.DIRTYPE else found.name
    return name, found.size, int(found.mtime), found.type


def _pax_records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(keyword, value) of every record `LENGTH KEYWORD=VALUE LF` (POSIX, pax)."""
    position = 0
    while position < len(data) and data[position]:
        length_text, space, _ = data[position : position + 20].partition(b" ")
        length = int(length_text) if length_text.isdigit() else 0
        record = data[position + len(length_text) + 1 : position + length]
        key, equals, value = record.partition(b"=")
        if not space or not equals or not record.endswith(b"\n") or position + length > len(data):
            damaged("it has a pax header that makes no sense")
        yield key, value[:-1]
        position += length
