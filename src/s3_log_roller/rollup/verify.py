"""Read a rollup back from the store and prove every member of it.

Deleting takes nothing but `Verified`, and only `verify` makes one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rollup.directory import Block
from s3_log_roller.rollup.matching import match
from s3_log_roller.rollup.members import IndexedMember
from s3_log_roller.rollup.originals import Originals
from s3_log_roller.rollup.reader import RollupChecker
from s3_log_roller.rollup.stored import Index, batches, blaming, extent, read_rollup
from s3_log_roller.store import ListedObject, ReadStore

_Proven = tuple[IndexedMember, bytes]
"""A member, and the MD5 of its content as read back."""


@dataclass(frozen=True, slots=True)
class Verified:
    """Originals of which this very rollup, as read back from the store, holds the same bytes."""

    rollup: ListedObject
    originals: Originals


def verify(
    store: ReadStore, group: DayGroup, rollup: ListedObject, originals: Originals, downloaded_md5s: Mapping[str, bytes]
) -> Verified:
    """Read the whole rollup back, prove every member, and say which of the originals it holds.

    `downloaded_md5s` has, by suffix, the MD5 of every original whose ETag is not one; such an original is proven by
    nothing else. Raises `DamagedRollup` if anything in the rollup is not as its index, its name and its content digest
    say.
    """
    with blaming(store, rollup):
        index = read_rollup(store, group, rollup)
    return verify_index(index, originals, downloaded_md5s)


def verify_index(index: Index, originals: Originals, downloaded_md5s: Mapping[str, bytes]) -> Verified:
    """As `verify`, for a rollup whose index was read; what of the file is at hand already is not read again."""
    rollup = index.file.listed
    proven = bytearray(len(originals))
    with blaming(index.file.store, rollup):
        members = _prove(index)
        for row, original, (member, md5) in match(originals, members, _suffix):
            proven[row] = original.size == member.size and md5 == downloaded_md5s.get(member.suffix, original.md5)
        for _ in members:
            pass  # no original is left to match, but the rest of the rollup is to be proven, too
    return Verified(rollup, originals if all(proven) else originals.select(proven))


def _prove(index: Index) -> Iterator[_Proven]:
    """The members as they are proven; behind the last one, that nothing is left over."""
    blocks, data_bytes = index.directory.blocks, index.footer.data_bytes
    checker = RollupChecker(index.footer, index.members(), index.directory)
    reaches = (_reach(run, data_bytes) for run in batches(blocks))
    header = trailer = b""
    for body, run in zip(index.file.read(reaches), batches(blocks), strict=True):
        start = _reach(run, data_bytes).start
        header = header or body[: blocks[0].offset]
        trailer = body[blocks.stop - start :]
        for block in run:
            yield from checker.take(block, body[block.offset - start : block.offset - start + block.length])
    checker.finish(header, trailer)


def _reach(run: Sequence[Block], data_bytes: int) -> range:
    """The file offsets of those blocks; with what gzip has before the first block and behind the last one."""
    reach = extent(run)
    is_first = run[0].ordinal == run[0].first_header == 0
    return range(0 if is_first else reach.start, data_bytes if run[-1].last else reach.stop)


def _suffix(proven: _Proven) -> str:
    return proven[0].suffix
