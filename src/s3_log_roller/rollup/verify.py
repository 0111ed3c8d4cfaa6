"""Read a rollup back from the store and prove every member of it.

Deleting takes nothing but `Verified`, and only `verify` makes one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Final

from s3_log_roller.errors import DamagedRollup
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rollup.index import (
    TAIL_BYTES,
    Block,
    BlockTable,
    Footer,
    IndexedMember,
    cut,
    decode_blocks,
    iter_members,
    read_footer,
)
from s3_log_roller.rollup.originals import Originals
from s3_log_roller.rollup.reader import RollupChecker, inflate_block
from s3_log_roller.store import ByteRange, ListedObject, ReadStore, split_range

READ_BYTES: Final = 2 << 20
"""Fetched at a time when a rollup is read whole."""
_MAX_FIRST_TAIL_BYTES: Final = READ_BYTES
"""Read before anything is known of a file: it may be anybody's, of terabytes."""


@dataclass(frozen=True, slots=True)
class Index:
    """A rollup's index, read from its tail."""

    footer: Footer
    blocks: BlockTable
    members_section: bytes | bytearray

    def members(self) -> Iterator[IndexedMember]:
        """The members in key order, decoded as they are taken."""
        return iter_members(self.footer, self.members_section, self.blocks.day)


@dataclass(frozen=True, slots=True)
class Verified:
    """Originals of which this very rollup, as read back from the store, holds the same bytes."""

    rollup: ListedObject
    originals: Originals


@contextmanager
def blaming(store: ReadStore, rollup: ListedObject) -> Iterator[None]:
    """Say of which rollup a `DamagedRollup` speaks, and what to do."""
    try:
        yield
    except DamagedRollup as error:
        raise DamagedRollup(
            f"s3://{store.bucket}/{rollup.key} is damaged: {error}; no original was deleted on its account: "
            "move it out of this prefix (do not lose it), then run again"
        ) from error


def read_index(store: ReadStore, group: DayGroup, rollup: ListedObject) -> Index:
    """Read a rollup's index in one request, or two where it is long. Raises `DamagedRollup`, best inside `blaming`."""
    # The members section is some 2 % of a rollup of large logs, 10 % of one of small logs.
    tail_bytes = min(rollup.size, TAIL_BYTES + rollup.size // 16, _MAX_FIRST_TAIL_BYTES)
    tail = bytes(_read(store, rollup, range(rollup.size - tail_bytes, rollup.size)))
    footer = read_footer(tail, rollup.size)

    def section(wanted: range) -> bytes | bytearray:
        return cut(tail, rollup.size, wanted) or _read(store, rollup, wanted)

    blocks = decode_blocks(footer, section(footer.blocks_range))
    if (blocks.target_prefix, blocks.day) != (group.target_prefix, group.day):
        raise DamagedRollup(f"it was made of other logs, {blocks.target_prefix}{blocks.day}")
    if _base_name(rollup.key) not in map(_base_name, group.rollup_keys(blocks.first_suffix)):
        raise DamagedRollup(f"its name does not follow from its first member, {blocks.first_suffix}")
    return Index(footer, blocks, section(footer.members_range))


def _base_name(key: str) -> str:
    return key.rpartition("/")[2]


def _read(store: ReadStore, rollup: ListedObject, wanted: range) -> bytearray:
    parts = (ByteRange.part(rollup.key, rollup.etag, part) for part in split_range(wanted, READ_BYTES))
    content = bytearray()
    for body, _ in store.fetch(parts):
        content += body
    return content


def verify(
    store: ReadStore, group: DayGroup, rollup: ListedObject, originals: Originals, downloaded_md5s: Mapping[str, bytes]
) -> Verified:
    """Read the whole rollup back, prove every member, and say which of the originals it holds.

    `downloaded_md5s` has, by suffix, the MD5 of every original whose ETag is none; such an original is proven by
    nothing else. Raises `DamagedRollup` if anything in the rollup is not as its index, its name and its content digest
    say.
    """
    proven = bytearray(len(originals))
    match = _Matcher(originals, downloaded_md5s, proven)
    with blaming(store, rollup):
        index = read_index(store, group, rollup)
        checker = RollupChecker(index.footer, index.members(), group.target_prefix, group.day)
        for tar_bytes in _read_blocks(store, rollup, index.blocks.blocks):
            for member, md5 in checker.feed(tar_bytes):
                match.take(member, md5)
        checker.finish()
    return Verified(rollup, originals if all(proven) else originals.select(proven))


def _read_blocks(store: ReadStore, rollup: ListedObject, blocks: tuple[Block, ...]) -> Iterator[bytes]:
    """The tar bytes of every block, in order; neighbouring blocks share a request."""
    batches = list(_batches(blocks))
    spans = (range(batch[0].offset, batch[0].offset + sum(block.length for block in batch)) for batch in batches)
    parts = (ByteRange.part(rollup.key, rollup.etag, span) for span in spans)
    with closing(store.fetch(parts)) as bodies:
        for (body, _), batch in zip(bodies, batches, strict=True):
            start = batch[0].offset
            for block in batch:
                yield inflate_block(body[block.offset - start : block.offset - start + block.length], block)


def _batches(blocks: tuple[Block, ...]) -> Iterator[list[Block]]:
    """Runs of blocks of up to `READ_BYTES` together."""
    batch: list[Block] = []
    for block in blocks:
        if batch and block.offset + block.length - batch[0].offset > READ_BYTES:
            yield batch
            batch = []
        batch.append(block)
    if batch:
        yield batch


class _Matcher:
    """Marks the originals that the members, both in key order, prove."""

    def __init__(self, originals: Originals, downloaded_md5s: Mapping[str, bytes], proven: bytearray) -> None:
        self._downloaded_md5s = downloaded_md5s
        self._source = enumerate(originals)
        self._next = next(self._source, None)
        self._proven = proven

    def take(self, member: IndexedMember, md5: bytes) -> None:
        """Mark the member's original, if it is there and is the same: name, size, and bytes by their MD5."""
        while self._next is not None and self._next[1].suffix < member.suffix:
            self._next = next(self._source, None)
        if self._next is None:
            return
        row, original = self._next
        if original.suffix == member.suffix and original.size == member.size:
            self._proven[row] = md5 == self._downloaded_md5s.get(member.suffix, original.md5)
