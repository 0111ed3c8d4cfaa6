"""The members of one packed file, a rollup or a tarball without an index, as a stream."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Final

from s3_log_roller.errors import DamagedRollup, NewerFormat, RollerError
from s3_log_roller.local_files import location
from s3_log_roller.reading.selection import Selection
from s3_log_roller.reading.tarball import MemberPart, OnLeftOut, gunzip, read_tar
from s3_log_roller.rollup import Block, Directory, NoIndex, inflate_block
from s3_log_roller.rollup.damage import damaged
from s3_log_roller.rollup.footer import LostIndex
from s3_log_roller.rollup.stored import Index, PackedFile, batches, extent

NO_INDEX_TO_READ: Final = (NoIndex, NewerFormat)
"""What `read_index` raises for tarballs that are read from their beginning to their end."""


def loss_of(file: PackedFile, error: RollerError) -> str | None:
    """What to say of a file in which `read_index` found no index that can be read; None if nothing is wrong with it."""
    if not isinstance(error, LostIndex):
        return None
    return f"{location(file.store.bucket, file.listed.key)} is damaged: {error}; what can be read of it is"


OnDamage = Callable[[DamagedRollup], None]
MayMatch = Callable[[bytes], bool]
"""Whether a piece of tar can hold what is looked for; if not, its members need not come out."""


def read_selected(
    index: Index,
    selection: Selection,
    on_left_out: OnLeftOut,
    on_damage: OnDamage,
    *,
    may_match: MayMatch | None = None,
    ahead: bool = True,
) -> Iterator[MemberPart]:
    """The members wanted, in key order; only the blocks that can hold them are fetched, each checked.

    What is damaged is told and left out; the members behind it come all the same.
    """
    runs = selection.blocks(index.directory, index.name_prefix)
    bodies = _Bodies(index.file, [batch for run in runs for batch in batches(run)], ahead=ahead)
    for run in runs:
        behind = _block_behind(index.directory, run[-1])
        for span, complete in _spans(run, behind):
            try:
                pieces = _read_span(bodies, span, on_left_out, may_match, complete=complete)
                yield from pieces if selection.is_all else _only(pieces, selection)
            except DamagedRollup as error:
                on_damage(error)
                bodies.skip_to_end_of(span)


def _only(pieces: Iterator[MemberPart], selection: Selection) -> Iterator[MemberPart]:
    """The pieces of members that are wanted."""
    unfinished = None
    for piece in pieces:
        member, _, last = piece
        if selection.has(member.name.rpartition("/")[2], member.mtime):
            unfinished = None if last else member
            yield piece
    if unfinished is not None:
        damaged(f"{unfinished.name!r} is longer than the index says")


def _block_behind(directory: Directory, last: Block) -> Block | None:
    blocks = directory.blocks
    place = bisect_right(blocks, last.offset, key=lambda block: block.offset)
    return blocks[place] if place < len(blocks) else None


class _Bodies:
    """The packed bytes of blocks, in order; neighbouring blocks share a request."""

    def __init__(self, file: PackedFile, runs: list[list[Block]], *, ahead: bool) -> None:
        self._runs = iter(runs)
        self._fetched = file.read(map(extent, runs), ahead=ahead)
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
            self._reach = extent(next(self._runs))
            self._body = next(self._fetched)


def _spans(run: list[Block], behind: Block | None) -> Iterator[tuple[list[Block], bool]]:
    """The run cut before every block that starts with a header, and whether the last member of each part ends in it."""
    starts = [number for number, block in enumerate(run) if number == 0 or block.first_header == 0]
    for start, stop in zip(starts, [*starts[1:], len(run)], strict=True):
        yield run[start:stop], stop < len(run) or behind is None or behind.first_header == 0


def _read_span(
    bodies: _Bodies, span: list[Block], on_left_out: OnLeftOut, may_match: MayMatch | None, *, complete: bool
) -> Iterator[MemberPart]:
    if len(span) == 1 and complete and span[0].first_header == 0:
        tar = bodies.take(span[0])
        if may_match is None or may_match(tar):
            yield from read_tar([tar], on_left_out, whole=True)
    else:
        yield from read_tar(_from_first_header(bodies, span), on_left_out, whole=complete)


def _from_first_header(bodies: _Bodies, span: list[Block]) -> Iterator[bytes]:
    """The tar of those blocks without what belongs to a member that began before them."""
    begun = False
    for block in span:
        tar = bodies.take(block)
        yield tar if begun else tar[block.first_header :]
        begun = begun or block.first_header < block.tar_length


def read_through(file: PackedFile, on_left_out: OnLeftOut) -> Iterator[MemberPart]:
    """All members of a tarball that has no index."""
    return read_tar(gunzip(file.read_all()), on_left_out, whole=True)
