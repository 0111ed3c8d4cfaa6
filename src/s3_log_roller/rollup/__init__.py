"""The rollup format, version 1: an ordinary tarball with an index behind it. Described in docs/reference/format.md.

But for `stored` and `verify`, which read from a store, everything here is pure: bytes in, bytes out.
"""

from __future__ import annotations

from s3_log_roller.rollup.directory import Block, Directory
from s3_log_roller.rollup.footer import MAX_FOOTER_BYTES, Footer, NoIndex
from s3_log_roller.rollup.layouts import decode_directory, read_footer
from s3_log_roller.rollup.members import Chunk, IndexedMember, iter_members
from s3_log_roller.rollup.originals import Original, Originals
from s3_log_roller.rollup.reader import RollupChecker, inflate_block
from s3_log_roller.rollup.tar_checker import TarChecker
from s3_log_roller.rollup.writer import RollupWriter

__all__ = [
    "MAX_FOOTER_BYTES",
    "Block",
    "Chunk",
    "Directory",
    "Footer",
    "IndexedMember",
    "NoIndex",
    "Original",
    "Originals",
    "RollupChecker",
    "RollupWriter",
    "TarChecker",
    "decode_directory",
    "inflate_block",
    "iter_members",
    "read_footer",
]
