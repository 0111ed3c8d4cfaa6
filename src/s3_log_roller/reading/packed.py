"""One packed file, a rollup or a tarball without an index: its index, and its members as a stream."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Final

from s3_log_roller.errors import DamagedRollup
from s3_log_roller.reading.selection import Selection
from s3_log_roller.reading.tarball import OnOdd, Piece, gunzip, read_tar
from s3_log_roller.rollup import (
    TAIL_BYTES,
    Block,
    BlockTable,
    Footer,
    IndexedMember,
    cut,
    decode_blocks,
    inflate_block,
    iter_members,
    read_footer,
)
from s3_log_roller.rollup.index import BLOCK_BYTES, damaged
from s3_log_roller.rollup.tar import name_prefix
from s3_log_roller.store import ByteRange, ListedObject, ReadStore, split_range

SMALL_BYTES: Final = 256 << 10
"""Files up to this size are fetched whole in any case: that takes no longer than their tail alone."""
READ_BYTES: Final = 4 << 20
"""Fetched at a time; files up to this size in one request where all of them is wanted."""
MAX_MEMBERS_SECTION_BYTES: Final = 512 << 20
"""A million members need 15 MB."""

OnDamage = Callable[[DamagedRollup], None]
MayMatch = Callable[[bytes], bool]
"""Whether a piece of tar can hold what is looked for; if not, its members need not come out."""


@dataclass(frozen=True, slots=True)
class PackedFile:
    """A file that can be read piece by piece. Of a small one the `content` is at hand."""

    store: ReadStore
    listed: ListedObject
    content: bytes | None = None

    def whole_range(self) -> ByteRange:
        """What to fetch for `with_content`."""
        return ByteRange.part(self.listed.key, self.listed.etag, range(self.listed.size))

    def with_content(self, content: bytes) -> PackedFile:
        """The same file with its content at hand."""
        return replace(self, content=content)

    def read(self, ranges: Iterable[range], *, ahead: bool = True) -> Iterator[bytes]:
        """The file's bytes at those ranges, each in one piece; many are fetched at once, unless not `ahead`."""
        if self.content is not None:
            for wanted in ranges:
                yield self.content[wanted.start : wanted.stop]
            return
        key, etag = self.listed.key, self.listed.etag
        parts = (ByteRange.part(key, etag, wanted) for wanted in ranges)
        for batch in [parts] if ahead else ([part] for part in parts):
            with closing(self.store.fetch(batch)) as bodies:
                for body, _ in bodies:
                    yield body

    def read_all(self) -> Iterator[bytes]:
        """All of the file, in pieces."""
        return self.read(split_range(range(self.listed.size), READ_BYTES))


def open_small(store: ReadStore, listed: ListedObject) -> PackedFile:
    """The file, its content at hand if it is small."""
    file = PackedFile(store, listed)
    if 0 < listed.size <= SMALL_BYTES:
        file = file.with_content(b"".join(file.read_all()))
    return file


@dataclass(frozen=True, slots=True)
class Tables:
    """What a rollup's tail tells: the footer, and where its blocks are."""

    footer: Footer
    table: BlockTable

    @property
    def name_prefix(self) -> str:
        """What the members' names begin with, before the suffix."""
        return name_prefix(self.table.target_prefix)

    @property
    def is_split(self) -> bool:
        """It has more than one block."""
        return len(self.table.blocks) > 1


def read_tables(file: PackedFile) -> Tables:
    """Read footer and blocks section in one request, or two where the section is long.

    Raises `NoIndex` for a file by another program, `DamagedRollup` for a wrong one.
    """
    size = file.listed.size
    tail = b"".join(file.read([range(max(0, size - TAIL_BYTES), size)])) if size else b""
    footer = read_footer(tail, size)
    # A block and the first member of the next one are together above BLOCK_BYTES. Without this bound a small file
    # could ask for a huge table.
    if footer.blocks > 2 * (footer.tar_bytes // BLOCK_BYTES + 1):
        damaged(f"the index claims {footer.blocks} blocks for {footer.tar_bytes} bytes of tar")
    section = cut(tail, size, footer.blocks_range)
    if section is None:
        section = b"".join(file.read([range(footer.blocks_start, footer.footer_start)]))
    return Tables(footer, decode_blocks(footer, section))


def read_members(file: PackedFile, tables: Tables) -> Iterator[IndexedMember]:
    """The members as the index has them, in key order, decoded as they are taken."""
    wanted = tables.footer.members_range
    if len(wanted) > MAX_MEMBERS_SECTION_BYTES:
        damaged(f"its index claims {len(wanted)} bytes for the names of its members")
    section = b"".join(file.read(split_range(wanted, READ_BYTES)))
    return iter_members(tables.footer, section, tables.table.day)


def read_selected(
    file: PackedFile,
    tables: Tables,
    selection: Selection,
    on_odd: OnOdd,
    on_damage: OnDamage,
    *,
    may_match: MayMatch | None = None,
    ahead: bool = True,
) -> Iterator[Piece]:
    """The members wanted, in key order; only the blocks that can hold them are fetched, each checked.

    What is damaged is told and left out; the members behind it come all the same.
    """
    runs = selection.blocks(tables.table, tables.name_prefix)
    bodies = _Bodies(file, [batch for run in runs for batch in _batches(run)], ahead=ahead)
    for run in runs:
        behind = _block_behind(tables.table, run[-1])
        for span, complete in _spans(run, behind):
            try:
                pieces = _read_span(bodies, span, on_odd, may_match, complete=complete)
                yield from pieces if selection.is_all else _only(pieces, selection)
            except DamagedRollup as error:
                on_damage(error)
                bodies.skip_to_end_of(span)


def _only(pieces: Iterator[Piece], selection: Selection) -> Iterator[Piece]:
    """The pieces of members that are wanted."""
    unfinished = None
    for piece in pieces:
        member, _, last = piece
        if selection.has(member.name.rpartition("/")[2], member.mtime):
            unfinished = None if last else member
            yield piece
    if unfinished is not None:
        damaged(f"{unfinished.name!r} is longer than the index says")


def _batches(run: list[Block]) -> Iterator[list[Block]]:
    """Neighbouring blocks of up to `READ_BYTES` together."""
    batch: list[Block] = []
    for block in run:
        if batch and _end(block) - batch[0].offset > READ_BYTES:
            yield batch
            batch = []
        batch.append(block)
    yield batch


def _end(block: Block) -> int:
    return block.offset + block.length


def _block_behind(table: BlockTable, last: Block) -> Block | None:
    place = bisect_right(table.blocks, last.offset, key=lambda block: block.offset)
    return table.blocks[place] if place < len(table.blocks) else None


class _Bodies:
    """The packed bytes of blocks, in order; neighbouring blocks share a request."""

    def __init__(self, file: PackedFile, batches: list[list[Block]], *, ahead: bool) -> None:
        self._batches = iter(batches)
        self._fetched = file.read((range(batch[0].offset, _end(batch[-1])) for batch in batches), ahead=ahead)
        self._body = b""
        self._reach = range(0)

    def take(self, block: Block) -> bytes:
        """The piece of tar in the next block."""
        self._reach_to(block)
        start = block.offset - self._reach.start
        return inflate_block(self._body[start : start + block.length], block)

    def skip_to_end_of(self, span: list[Block]) -> None:
        """Go on behind these blocks, taken or not."""
        self._reach_to(span[-1])

    def _reach_to(self, block: Block) -> None:
        while block.offset not in self._reach:
            batch = next(self._batches)
            self._body = next(self._fetched)
            self._reach = range(batch[0].offset, _end(batch[-1]))


def _spans(run: list[Block], behind: Block | None) -> Iterator[tuple[list[Block], bool]]:
    """The run cut before every block that starts with a header, and whether the last member of each part ends in it."""
    starts = [number for number, block in enumerate(run) if number == 0 or block.first_header == 0]
    for start, stop in zip(starts, [*starts[1:], len(run)], strict=True):
        yield run[start:stop], stop < len(run) or behind is None or behind.first_header == 0


def _read_span(
    bodies: _Bodies, span: list[Block], on_odd: OnOdd, may_match: MayMatch | None, *, complete: bool
) -> Iterator[Piece]:
    if len(span) == 1 and complete and span[0].first_header == 0:
        tar = bodies.take(span[0])
        if may_match is None or may_match(tar):
            yield from read_tar([tar], on_odd, whole=True)
    else:
        yield from read_tar(_from_first_header(bodies, span), on_odd, whole=complete)


def _from_first_header(bodies: _Bodies, span: list[Block]) -> Iterator[bytes]:
    """The tar of those blocks without what belongs to a member that began before them."""
    begun = False
    for block in span:
        tar = bodies.take(block)
        yield tar if begun else tar[block.first_header :]
        begun = begun or block.first_header < block.tar_length


def read_through(file: PackedFile, on_odd: OnOdd) -> Iterator[Piece]:
    """All members of a tarball that has no index."""
    return read_tar(gunzip(file.read_all()), on_odd, whole=True)
