"""Rollups where they are stored: a file read piece by piece, its index, its blocks. All reads are bounded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from s3_log_roller.errors import DamagedRollup, NewerFormat
from s3_log_roller.log_keys import DayGroup, parse_rollup_key
from s3_log_roller.rollup import draft
from s3_log_roller.rollup.damage import damaged
from s3_log_roller.rollup.directory import Block, Directory, directory_reach
from s3_log_roller.rollup.footer import Footer, LostIndex, NoIndex
from s3_log_roller.rollup.layouts import decode_directory, read_footer
from s3_log_roller.rollup.members import Chunk, IndexedMember, iter_chunk, iter_members
from s3_log_roller.rollup.tar import name_prefix
from s3_log_roller.store import ByteRange, ListedObject, ReadStore, list_objects, split_range

READ_BYTES: Final = 4 << 20
"""Fetched at a time; files up to this size in one request where all of them is wanted."""
SMALL_BYTES: Final = 256 << 10
"""Files up to this size are fetched whole in any case: that takes no longer than their tail alone."""
MAX_TAIL_BYTES: Final = 2 << 20
"""Read before anything is known of a file: it may be anybody's, of terabytes."""
TAIL_BYTES: Final = 64 * 1024
"""A first guess of what to read from a rollup's end: footer and directory of all but giant rollups."""

T = TypeVar("T", Block, Chunk)


def list_rollups(store: ReadStore, group: DayGroup) -> list[ListedObject]:
    """The day group's rollups, in key order."""
    found = []
    for entry in list_objects(store, group.rollups_prefix):
        key = parse_rollup_key(entry.key)
        if key is not None and key.target_prefix == group.target_prefix:
            found.append(entry)
    return found


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
    file = PackedFile(store, listed)
    return file.with_tail(file.read_one(_tail(listed.size, tail_bytes)))


def tail_range(listed: ListedObject, tail_bytes: int = TAIL_BYTES) -> ByteRange:
    """What `open_packed` asks for, unless the file is empty."""
    return ByteRange.part(listed.key, listed.etag, _tail(listed.size, tail_bytes))


def open_bytes(size: int) -> int:
    """How much of a file of that size `open_packed` fetches."""
    return len(_tail(size, TAIL_BYTES))


def _tail(size: int, tail_bytes: int) -> range:
    return range(0 if size <= SMALL_BYTES else max(0, size - tail_bytes), size)


@dataclass(frozen=True, slots=True)
class Index:
    """The index of a stored rollup. Its members are read when they are asked for."""

    file: PackedFile
    footer: Footer
    directory: Directory

    @property
    def name_prefix(self) -> str:
        """What the members' names begin with, before the suffix."""
        return name_prefix(self.directory.target_prefix)

    def members(self) -> Iterator[IndexedMember]:
        """All members in key order, decoded as they are taken; their sum is held against the footer at the end."""
        if self.footer.draft:
            section = self.file.read_one(self.footer.members_section.reach)
            return draft.iter_members(self.footer, section, self.directory.day)
        return iter_members(self.footer, self._read_chunks(self.directory.chunks), self.directory.day)

    def members_between(self, low: str, high: str) -> Iterator[IndexedMember]:
        """The members from suffix `low` up to `high`, both included; only their part of the index is read."""
        if self.footer.draft:
            yield from (member for member in self.members() if low <= member.suffix <= high)
        for chunk, data in self._read_chunks(self.directory.chunks_for(low, high)):
            for member in iter_chunk(chunk, data, self.directory.day):
                if low <= member.suffix <= high:
                    yield member

    def _read_chunks(self, chunks: Sequence[Chunk]) -> Iterator[tuple[Chunk, bytes]]:
        runs = list(batches(chunks))
        for body, run in zip(self.file.read(map(extent, runs)), runs, strict=True):
            for chunk in run:
                start = chunk.offset - run[0].offset
                yield chunk, body[start : start + chunk.length]


def read_index(file: PackedFile, group: DayGroup | None = None) -> Index:
    """Read a file's index, with one request more where it is longer than the tail at hand.

    Raises `NoIndex` for a file by another program, `LostIndex` for one that is named like a rollup, and `NewerFormat`
    for one by a newer version of this program.

    Raises `DamagedRollup` for a wrong index, for the index of another day group than that given, and for a rollup
    under a name that does not follow from its first member.
    """
    is_rollup = parse_rollup_key(file.listed.key) is not None
    if not file.tail:
        file = open_packed(file.store, file.listed)
    try:
        footer = read_footer(file.tail, file.listed.size)
    except NoIndex as error:
        if not is_rollup:
            raise
        raise LostIndex(f"{error}: it is cut off, or another program made it") from error
    directory = decode_directory(footer, file.read_one(directory_reach(footer)))
    made_of = DayGroup(file.store.bucket, directory.target_prefix, directory.day)
    if group is not None and (group.target_prefix, group.day) != (made_of.target_prefix, made_of.day):
        damaged(f"it was made of other logs, {made_of.target_prefix}{made_of.day}")
    # Only base names are compared: users copy rollups into folders of their own.
    base_name = _base_name(file.listed.key)
    names = map(_base_name, made_of.rollup_keys(directory.first_suffix))
    is_named_so = base_name in names or (footer.draft and draft.is_name(base_name, footer, made_of))
    if is_rollup and not is_named_so:
        damaged(f"its name does not follow from its first member, {directory.first_suffix}")
    return Index(file, footer, directory)


def read_rollup(store: ReadStore, group: DayGroup, rollup: ListedObject) -> Index:
    """Read the index of a day group's rollup with its members in one request, or two where it is long.

    Raises `DamagedRollup`, best inside `blaming`.
    """
    return read_index(open_packed(store, rollup, index_bytes(rollup.size)), group)


def first_range(rollup: ListedObject) -> ByteRange:
    """What `read_rollup` asks for first, and most often all that it asks for."""
    return tail_range(rollup, index_bytes(rollup.size))


def index_bytes(size: int) -> int:
    """How much of a rollup of that size holds its index as a rule: its end, or all of a small one."""
    # The members section is some 2 % of a rollup of large logs, 10 % of one of small logs.
    return size if size <= SMALL_BYTES else min(TAIL_BYTES + size // 16, MAX_TAIL_BYTES)


@contextmanager
def blaming(store: ReadStore, rollup: ListedObject) -> Iterator[None]:
    """Add the rollup's key and the remedy to a `DamagedRollup` or `NewerFormat`."""
    try:
        yield
    except NewerFormat as error:
        raise NewerFormat(f"s3://{store.bucket}/{rollup.key} was {error}; its day was left alone") from error
    except DamagedRollup as error:
        raise DamagedRollup(
            f"s3://{store.bucket}/{rollup.key} is damaged: {error}; no original was deleted on its account: "
            "move it out of this prefix (do not lose it), then run again"
        ) from error


def batches(parts: Iterable[T]) -> Iterator[list[T]]:
    """Neighbouring blocks or chunks of up to `READ_BYTES` together: what one request fetches."""
    batch: list[T] = []
    for part in parts:
        if batch and part.offset + part.length - batch[0].offset > READ_BYTES:
            yield batch
            batch = []
        batch.append(part)
    if batch:
        yield batch


def extent(batch: Sequence[Block] | Sequence[Chunk]) -> range:
    """The file offsets of neighbouring blocks or chunks."""
    return range(batch[0].offset, batch[-1].offset + batch[-1].length)


def _base_name(key: str) -> str:
    return key.rpartition("/")[2]
