"""Rollups where they are stored: a file read piece by piece, its index, its blocks. All reads are bounded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Final

from s3_log_roller.errors import DamagedRollup
from s3_log_roller.log_keys import DayGroup, parse_rollup_key
from s3_log_roller.rollup.index import (
    TAIL_BYTES,
    Block,
    BlockTable,
    Footer,
    IndexedMember,
    damaged,
    decode_blocks,
    iter_members,
    read_footer,
)
from s3_log_roller.rollup.tar import name_prefix
from s3_log_roller.store import ByteRange, ListedObject, ReadStore, split_range

READ_BYTES: Final = 4 << 20
"""Fetched at a time; files up to this size in one request where all of them is wanted."""
SMALL_BYTES: Final = 256 << 10
"""Files up to this size are fetched whole in any case: that takes no longer than their tail alone."""
MAX_TAIL_BYTES: Final = 2 << 20
"""Read before anything is known of a file: it may be anybody's, of terabytes."""
MAX_MEMBERS_SECTION_BYTES: Final = 512 << 20
"""A million members need 15 MB."""


@dataclass(frozen=True, slots=True)
class PackedFile:
    """A file in a store that can be read piece by piece."""

    store: ReadStore
    listed: ListedObject
    tail: bytes = b""
    """The file's last bytes, as far as they are at hand; all of a small one."""

    def whole_range(self) -> ByteRange:
        """What to fetch for `with_tail`, if all of the file is wanted."""
        return self._part(range(self.listed.size))

    def with_tail(self, tail: bytes) -> PackedFile:
        """The same file with its last bytes at hand."""
        return replace(self, tail=tail)

    def read(self, ranges: Iterable[range], *, ahead: bool = True) -> Iterator[bytes]:
        """The file's bytes at those ranges, each in one piece; many are fetched at once, unless not `ahead`."""
        wanted = list(ranges)
        missing = [one for one in wanted if one.start < self._tail_start]
        fetched = self._fetch([missing] if ahead else [[one] for one in missing])
        for one in wanted:
            if one.start < self._tail_start:
                yield next(fetched)
            else:
                yield self.tail[one.start - self._tail_start : one.stop - self._tail_start]

    def read_one(self, wanted: range) -> bytes:
        """The file's bytes at that range, fetched in several pieces where it is long."""
        return b"".join(self.read(split_range(wanted, READ_BYTES)))

    def read_all(self) -> Iterator[bytes]:
        """All of the file, in pieces."""
        return self.read(split_range(range(self.listed.size), READ_BYTES))

    @property
    def _tail_start(self) -> int:
        return self.listed.size - len(self.tail)

    def _fetch(self, batches: list[list[range]]) -> Iterator[bytes]:
        for batch in batches:
            with closing(self.store.fetch(map(self._part, batch))) as bodies:
                for body, _ in bodies:
                    yield body

    def _part(self, wanted: range) -> ByteRange:
        return ByteRange.part(self.listed.key, self.listed.etag, wanted)


def open_packed(store: ReadStore, listed: ListedObject, tail_bytes: int = TAIL_BYTES) -> PackedFile:
    """The file with that many of its last bytes at hand, or all of a small one."""
    size = listed.size
    start = 0 if size <= SMALL_BYTES else max(0, size - tail_bytes)
    file = PackedFile(store, listed)
    return file.with_tail(file.read_one(range(start, size)))


@dataclass(frozen=True, slots=True)
class Index:
    """The index of a stored rollup. Its members are read when they are asked for."""

    file: PackedFile
    footer: Footer
    table: BlockTable

    @property
    def name_prefix(self) -> str:
        """What the members' names begin with, before the suffix."""
        return name_prefix(self.table.target_prefix)

    def members(self) -> Iterator[IndexedMember]:
        """The members as the index has them, in key order, decoded as they are taken."""
        wanted = self.footer.members_range
        if len(wanted) > MAX_MEMBERS_SECTION_BYTES:
            damaged(f"its index claims {len(wanted)} bytes for the names of its members")
        return iter_members(self.footer, self.file.read_one(wanted), self.table.day)


def read_index(file: PackedFile, group: DayGroup | None = None) -> Index:
    """Read a file's index, with one request more where it is longer than the tail at hand.

    Raises `NoIndex` for a file by another program, `DamagedRollup` for a wrong one, for one made of the logs of another
    day group than that given, and for a rollup under a name that does not follow from its first member.
    """
    if not file.tail:
        file = open_packed(file.store, file.listed)
    footer = read_footer(file.tail, file.listed.size)
    table = decode_blocks(footer, file.read_one(footer.blocks_range))
    made_of = DayGroup(file.store.bucket, table.target_prefix, table.day)
    if group is not None and group != made_of:
        damaged(f"it was made of other logs, {made_of.target_prefix}{made_of.day}")
    # Only base names are compared: users copy rollups into folders of their own.
    names = map(_base_name, made_of.rollup_keys(table.first_suffix))
    if parse_rollup_key(file.listed.key) is not None and _base_name(file.listed.key) not in names:
        damaged(f"its name does not follow from its first member, {table.first_suffix}")
    return Index(file, footer, table)


def read_rollup(store: ReadStore, group: DayGroup, rollup: ListedObject) -> Index:
    """Read the index of a day group's rollup with its members in one request, or two where it is long.

    Raises `DamagedRollup`, best inside `blaming`.
    """
    # The members section is some 2 % of a rollup of large logs, 10 % of one of small logs.
    tail_bytes = min(TAIL_BYTES + rollup.size // 16, MAX_TAIL_BYTES)
    return read_index(open_packed(store, rollup, tail_bytes), group)


@contextmanager
def blaming(store: ReadStore, rollup: ListedObject) -> Iterator[None]:
    """Add the rollup's key and the remedy to a `DamagedRollup`."""
    try:
        yield
    except DamagedRollup as error:
        raise DamagedRollup(
            f"s3://{store.bucket}/{rollup.key} is damaged: {error}; no original was deleted on its account: "
            "move it out of this prefix (do not lose it), then run again"
        ) from error


def batches(blocks: Sequence[Block]) -> Iterator[list[Block]]:
    """Neighbouring blocks of up to `READ_BYTES` together: what one request fetches."""
    batch: list[Block] = []
    for block in blocks:
        if batch and block.offset + block.length - batch[0].offset > READ_BYTES:
            yield batch
            batch = []
        batch.append(block)
    if batch:
        yield batch


def extent(batch: Sequence[Block]) -> range:
    """The file offsets of neighbouring blocks."""
    return range(batch[0].offset, batch[-1].offset + batch[-1].length)


def _base_name(key: str) -> str:
    return key.rpartition("/")[2]
