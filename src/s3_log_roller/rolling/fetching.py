"""The bodies of originals, whole or in pieces."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from hashlib import md5
from typing import Final

from s3_log_roller.errors import ObjectArchived, StorageError
from s3_log_roller.rollup.originals import Original, Originals
from s3_log_roller.store import ByteRange, Store, whole_or_split

PIECE_BYTES: Final = 2 << 20
"""Originals above this are fetched in pieces, so that one huge log takes no more memory than many small ones."""


def ranges_of(target_prefix: str, originals: Iterable[Original]) -> Iterator[ByteRange]:
    """What to fetch for these originals: each is one range, or several of `PIECE_BYTES`."""
    return whole_or_split(((target_prefix + one.suffix, one.etag, one.size) for one in originals), PIECE_BYTES)


class OriginalsArchived(Exception):
    """Originals that are listed like any other turned out to be in an archive tier when they were asked for."""

    def __init__(self, keys: frozenset[str]) -> None:
        super().__init__(f"{len(keys)} originals are in an archive tier")
        self.keys = keys


def fetch_originals(
    store: Store, originals: Iterable[Original], target_prefix: str
) -> Generator[tuple[bytes, bytes], None, None]:
    """The bodies of `ranges_of` in their order, each with its MD5 if it is a whole object.

    Raises `OriginalsArchived` for those that can't be read without a restore: for all of them together, since looking
    again for one after the other would ask for all the others as often. Raises `StorageError` for anything else.
    """
    archived = set()
    with closing(store.fetch_each(ranges_of(target_prefix, originals))) as answers:
        for answer in answers:
            if isinstance(answer, ObjectArchived):
                archived.add(answer.key)
            elif isinstance(answer, StorageError):
                raise answer
            elif not archived:
                yield answer
    if archived:
        raise OriginalsArchived(frozenset(archived))


def read_md5s(store: Store, originals: Originals) -> dict[str, bytes]:
    """Read the originals for nothing but the MD5s of their content, by suffix. Raises what `fetch_originals` does."""
    md5s = {}
    bodies = fetch_originals(store, originals, originals.group.target_prefix)
    for original in originals:
        content = md5(usedforsecurity=False)
        for _ in range(0, max(1, original.size), PIECE_BYTES):
            content.update(next(bodies)[0])
        md5s[original.suffix] = content.digest()
    return md5s
