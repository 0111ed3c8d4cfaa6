"""Read a rollup back from the store and prove every member of it.

Deleting takes nothing but `Verified`, and only `verify` makes one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rollup.damage import damaged
from s3_log_roller.rollup.directory import Block
from s3_log_roller.rollup.matching import match
from s3_log_roller.rollup.members import IndexedMember
from s3_log_roller.rollup.originals import Originals
from s3_log_roller.rollup.reader import RollupChecker
from s3_log_roller.rollup.stored import READ_BYTES, Index, batches, blaming, extent, read_rollup
from s3_log_roller.store import ListedObject, ReadStore, split_range

_Proven = tuple[IndexedMember, bytes]
"""A member, and the MD5 of its content as read back."""


@dataclass(frozen=True, slots=True)
class Verified:
    """Originals of which this very rollup, as read back from the store, holds the same bytes."""

    rollup: ListedObject
    originals: Originals
    bucket: str = ""
    """The bucket that the rollup is in."""
    members: int = 0
    """How many members the rollup has, whether their originals are still there or not."""
    content_digest: bytes = b""
    """The digest of what it holds, see `Footer`."""
    sha256: bytes = b""
    """The SHA-256 of the very bytes that were read back, where it was asked for."""


def verify(
    store: ReadStore,
    group: DayGroup,
    rollup: ListedObject,
    originals: Originals,
    downloaded_md5s: Mapping[str, bytes],
    *,
    with_sha256: bool = False,
) -> Verified:
    """Read the whole rollup back, prove every member, and say which of the originals it holds.

    `downloaded_md5s` has, by suffix, the MD5 of every original whose ETag is not one; such an original is proven by
    nothing else. Raises `DamagedRollup` if anything in the rollup is not as its index, its name and its content digest
    say.
    """
    with blaming(store, rollup):
        index = read_rollup(store, group, rollup)
    return verify_index(index, originals, downloaded_md5s, with_sha256=with_sha256)


def verify_index(
    index: Index, originals: Originals, downloaded_md5s: Mapping[str, bytes], *, with_sha256: bool = False
) -> Verified:
    """As `verify`, for a rollup whose index was read; what of the file is at hand already is not read again."""
    store, rollup = index.file.store, index.file.listed
    proven = bytearray(len(originals))
    hashing = _Hashing() if with_sha256 else None
    with blaming(store, rollup):
        members = _prove(index, hashing)
        for row, original, (member, md5) in match(originals, members, _suffix):
            proven[row] = original.size == member.size and md5 == downloaded_md5s.get(member.suffix, original.md5)
        for _ in members:
            pass  # no original is left to match, but the rest of the rollup is to be proven, too
        digest = hashing.finish(index) if hashing is not None else b""
    footer = index.footer
    held = originals if all(proven) else originals.select(proven)
    return Verified(rollup, held, store.bucket, footer.members, footer.content_digest, digest)


class _Hashing:
    """Takes the SHA-256 of a rollup's bytes while they are proven."""

    def __init__(self) -> None:
        self._sha256 = sha256()
        self._bytes = 0

    def take(self, data: bytes) -> None:
        """The next bytes of the file."""
        self._sha256.update(data)
        self._bytes += len(data)

    def finish(self, index: Index) -> bytes:
        """Take the index, too, which follows the data; the digest of the whole file. Raises `DamagedRollup`."""
        size = index.file.listed.size
        for data in index.file.read(split_range(range(index.footer.data_bytes, size), READ_BYTES)):
            self.take(data)
        if self._bytes != size:
            damaged(f"{self._bytes} of its {size} bytes were read back")
        return self._sha256.digest()


def _prove(index: Index, hashing: _Hashing | None) -> Iterator[_Proven]:
    """The members as they are proven; behind the last one, that nothing is left over."""
    blocks, data_bytes = index.directory.blocks, index.footer.data_bytes
    checker = RollupChecker(index.footer, index.members(), index.directory)
    reaches = (_reach(run, data_bytes) for run in batches(blocks))
    header = trailer = b""
    for body, run in zip(index.file.read(reaches), batches(blocks), strict=True):
        if hashing is not None:
            hashing.take(body)
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
