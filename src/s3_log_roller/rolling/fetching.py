"""The bodies of originals, whole or in pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from hashlib import md5
from typing import Final

from s3_log_roller.rollup.originals import Original, Originals
from s3_log_roller.store import ByteRange, ReadStore, whole_or_split

PIECE_BYTES: Final = 4 << 20
"""Originals above this are fetched in pieces, so that one huge log takes no more memory than many small ones."""


def ranges_of(target_prefix: str, originals: Iterable[Original]) -> Iterator[ByteRange]:
    """What to fetch for these originals: each is one range, or several of `PIECE_BYTES`."""
    return whole_or_split(((target_prefix + one.suffix, one.etag, one.size) for one in originals), PIECE_BYTES)


def read_md5s(store: ReadStore, originals: Originals) -> dict[str, bytes]:
    """Read the originals for nothing but the MD5s of their content, by suffix."""
    md5s = {}
    with closing(store.fetch(ranges_of(originals.group.target_prefix, originals))) as bodies:
        for original in originals:
            content = md5(usedforsecurity=False)
            for _ in range(0, max(1, original.size), PIECE_BYTES):
                content.update(next(bodies)[0])
            md5s[original.suffix] = content.digest()
    return md5s
