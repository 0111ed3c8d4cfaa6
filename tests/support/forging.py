"""Rollups put together by somebody who knows the format: parts of one with parts of another, all checksums right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from tests.support.packing import cut, decode_index

from s3_log_roller.rollup import Block, Chunk, read_footer
from s3_log_roller.rollup.carriers import decode_carriers, encode_carriers
from s3_log_roller.rollup.compression import GZIP_HEADER, GZIP_TRAILER, crc32, deflate
from s3_log_roller.rollup.directory import encode_directory


def sections(rollup: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Data, members section, directory, footer."""
    footer = read_footer(rollup, len(rollup))
    cuts = [0, footer.data_bytes, footer.directory_section.offset, footer.start, len(rollup)]
    data, members, directory, end = (rollup[start:stop] for start, stop in pairwise(cuts))
    return data, members, directory, end


def flipped(data: bytes, place: float) -> bytes:
    """One bit flipped, that share of the way through."""
    at = int(place * (len(data) - 1))
    return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]


def one_block(tar: bytes, first_suffix: str) -> tuple[bytes, Block]:
    """The data of a rollup with that tar in one block, and the block."""
    deflated = deflate(tar, 6)
    block = Block(len(GZIP_HEADER), len(deflated), crc32(deflated), len(tar), 0, 0, first_suffix, last=True)
    return GZIP_HEADER + deflated + GZIP_TRAILER.pack(crc32(tar), len(tar)), block


def chunk_payloads(rollup: bytes) -> list[bytes]:
    """What the chunks of the members section carry."""
    return [decode_carriers(cut(rollup, chunk)) for chunk in decode_index(rollup)[1].chunks]


def reseal(
    rollup: bytes,
    *,
    data: bytes | None = None,
    blocks: Sequence[Block] | None = None,
    chunks: Sequence[bytes] | None = None,
    first_suffixes: Sequence[str] | None = None,
) -> bytes:
    """The rollup with other data, blocks or payloads of chunks under an index whose checksums are all right."""
    footer, directory, _ = decode_index(rollup)
    data = data if data is not None else rollup[: footer.data_bytes]
    blocks = blocks if blocks is not None else list(directory.blocks)
    section, described = b"", []
    payloads = chunks if chunks is not None else chunk_payloads(rollup)
    names = first_suffixes if first_suffixes is not None else [chunk.suffix for chunk in directory.chunks]
    for payload, suffix in zip(payloads, names, strict=True):
        encoded = encode_carriers(payload)
        described.append(Chunk(0, len(encoded), crc32(encoded), 0, suffix))
        section += encoded
    encoded = encode_directory(directory.target_prefix, directory.day, blocks, described)
    members = footer.members_section._replace(offset=len(data), length=len(section), crc32=crc32(section))
    forged = replace(
        footer,
        blocks=len(blocks),
        tar_bytes=sum(block.tar_length for block in blocks),
        data_bytes=len(data),
        sections=(
            members,
            footer.directory_section._replace(offset=members.reach.stop, length=len(encoded), crc32=crc32(encoded)),
        ),
    )
    return data + section + encoded + forged.encode()


def newer(rollup: bytes) -> bytes:
    """The rollup as a later version of the program might write it, one that this one cannot read."""
    footer = read_footer(rollup, len(rollup))
    return rollup[: footer.start] + replace(footer, needs_version=2, created_by="s3-log-roller 9.0").encode()
