"""The rollup format, version 1: an ordinary tarball with an index behind it. Described in docs/reference/format.md.

Everything here is pure: bytes in, bytes out, no I/O.
"""

from __future__ import annotations

from s3_log_roller.rollup.index import (
    FOOTER_BYTES,
    TAIL_BYTES,
    Block,
    BlockTable,
    Footer,
    IndexedMember,
    NoIndex,
    decode_blocks,
    iter_members,
    read_footer,
)
from s3_log_roller.rollup.originals import Original, Originals
from s3_log_roller.rollup.reader import RollupChecker, inflate_block
from s3_log_roller.rollup.writer import RollupWriter

__all__ = [
    "FOOTER_BYTES",
    "TAIL_BYTES",
    "Block",
    "BlockTable",
    "Footer",
    "IndexedMember",
    "NoIndex",
    "Original",
    "Originals",
    "RollupChecker",
    "RollupWriter",
    "decode_blocks",
    "inflate_block",
    "iter_members",
    "read_footer",
]
