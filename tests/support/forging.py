"""Rollups put together by somebody who knows the format: parts of one with parts of another, all checksums right."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from deflate import crc32, deflate_compress

from s3_log_roller.rollup import Block, decode_blocks, read_footer
from s3_log_roller.rollup.index import encode_blocks, encode_section
from s3_log_roller.rollup.writer import BLOCK_HEADER, BLOCK_TRAILER


def sections(rollup: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Data, members section, blocks section, footer."""
    footer = read_footer(rollup, len(rollup))
    cuts = [0, footer.members_start, footer.blocks_start, footer.footer_start, len(rollup)]
    data, members, blocks, end = (rollup[start:stop] for start, stop in pairwise(cuts))
    return data, members, blocks, end


def flipped(data: bytes, place: float) -> bytes:
    """One bit flipped, that share of the way through."""
    at = int(place * (len(data) - 1))
    return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]


def gzip_block(tar: bytes) -> bytes:
    """A gzip member as the writer makes them."""
    return BLOCK_HEADER + deflate_compress(tar, 6) + BLOCK_TRAILER.pack(crc32(tar), len(tar))


def reseal(rollup: bytes, data: bytes, blocks: list[Block], members: bytes | None = None) -> bytes:
    """A rollup of that data with the index of another, all of whose checksums are right."""
    footer = read_footer(rollup, len(rollup))
    table = decode_blocks(footer, rollup[footer.blocks_start : footer.footer_start])
    section = rollup[footer.members_start : footer.blocks_start]
    members_crc32 = footer.members_crc32
    if members is not None:
        section, members_crc32 = encode_section(members), crc32(members)
    payload = encode_blocks(blocks, table.target_prefix, table.day)
    blocks_start = len(data) + len(section)
    forged = replace(
        footer,
        members_start=len(data),
        blocks_start=blocks_start,
        footer_start=blocks_start + len(encode_section(payload)),
        blocks=len(blocks),
        tar_bytes=sum(block.tar_length for block in blocks),
        members_crc32=members_crc32,
        blocks_crc32=crc32(payload),
    )
    return data + section + encode_section(payload) + forged.encode()
