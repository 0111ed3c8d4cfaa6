"""The two layouts of rollups: the one that is written, and the one that 0.1 wrote."""

from __future__ import annotations

from s3_log_roller.rollup import directory, draft, footer
from s3_log_roller.rollup.directory import Directory
from s3_log_roller.rollup.footer import Footer


def read_footer(tail: bytes, file_size: int) -> Footer:
    """Decode the footer of either layout, see `footer.read_footer`."""
    return draft.read_footer(tail, file_size) if draft.is_draft(tail) else footer.read_footer(tail, file_size)


def decode_directory(read: Footer, data: bytes) -> Directory:
    """Decode the directory that belongs to the footer, from the bytes at `directory_reach` of it."""
    return draft.decode_directory(read, data) if read.draft else directory.decode_directory(read, data)
