"""Rollups made without a store, and their proof."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from hashlib import md5
from typing import NamedTuple, Protocol

from tests.support.logs import DAY, PREFIX

from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rollup import (
    Block,
    Chunk,
    Directory,
    Footer,
    IndexedMember,
    Originals,
    RollupChecker,
    RollupWriter,
    TarChecker,
    decode_directory,
    draft,
    inflate_block,
    iter_members,
    read_footer,
)
from s3_log_roller.rollup.compression import DEFAULT_LEVEL
from s3_log_roller.rollup.directory import directory_reach

DELIVERED = 1_656_652_543
"""2022-07-01 05:15:43 UTC."""


class Delivered(Protocol):
    """A log to be packed; its ETag is the body's MD5 unless `etag` is another."""

    @property
    def suffix(self) -> str: ...
    @property
    def body(self) -> bytes: ...
    @property
    def mtime(self) -> int: ...
    @property
    def etag(self) -> str | None: ...


class Log(NamedTuple):
    suffix: str
    body: bytes
    mtime: int = DELIVERED
    etag: str | None = None


def pack(
    group: DayGroup, logs: Iterable[Delivered], *, pieces: Sequence[int] = (), level: int = DEFAULT_LEVEL
) -> tuple[str, bytes]:
    """(key, content) of the rollup of those logs; bodies are written in pieces of those sizes, in turn, or whole."""
    logs = list(logs)
    originals = Originals(group)
    for log in logs:
        originals.append(log.suffix, log.etag or md5(log.body).hexdigest(), len(log.body), log.mtime)
    writer = RollupWriter(group, level)
    out: list[bytes] = []
    for original, log in zip(originals, logs, strict=True):
        if not pieces:
            out.append(writer.add(original, log.body, md5(log.body).digest()))
            continue
        out.append(writer.begin(original))
        position = turn = 0
        while position < len(log.body):
            size = pieces[turn % len(pieces)]
            out.append(writer.write(log.body[position : position + size]))
            position, turn = position + size, turn + 1
        out.append(writer.end(md5(log.body).digest()))
    out += writer.finish()
    content = b"".join(out)
    assert writer.bytes_out == len(content)
    assert (writer.members, writer.original_bytes) == (len(originals), originals.total_bytes)
    return group.rollup_key(logs[0].suffix), content


def pack_day(bodies: dict[str, bytes], *, day: date = DAY, prefix: str = PREFIX) -> tuple[str, bytes]:
    """(key, content) of the rollup of the logs with those keys and bodies."""
    logs = [Log(key.removeprefix(prefix), body) for key, body in sorted(bodies.items())]
    return pack(DayGroup("bucket", prefix, day), logs, level=1)


def prove(rollup: bytes, piece: int = 0) -> list[tuple[IndexedMember, bytes]]:
    """Verify as reconcile does, block by block, or with the tar in pieces of that size: (member, MD5) of each."""
    footer, directory, members = decode_index(rollup)
    if piece:
        tar = b"".join(inflate_block(cut(rollup, block), block) for block in directory.blocks)
        return prove_tar(rollup, tar, piece)
    checker = RollupChecker(footer, members, directory)
    proven = [member for block in directory.blocks for member in checker.take(block, cut(rollup, block))]
    checker.finish(rollup[: directory.blocks[0].offset], rollup[directory.blocks.stop : footer.data_bytes])
    return proven


def prove_tar(rollup: bytes, tar: bytes, piece: int) -> list[tuple[IndexedMember, bytes]]:
    """Hold that tar, which comes in pieces of that size, against the rollup's index."""
    footer, directory, members = decode_index(rollup)
    checker = TarChecker(footer, members, directory)
    proven = [member for start in range(0, len(tar), piece) for member in checker.feed(tar[start : start + piece])]
    checker.finish()
    return proven


def decode_index(rollup: bytes) -> tuple[Footer, Directory, Iterator[IndexedMember]]:
    """All parts of a rollup's index; the members are decoded as they are taken."""
    footer = read_footer(rollup, len(rollup))
    reach = directory_reach(footer)
    directory = decode_directory(footer, rollup[reach.start : reach.stop])
    if footer.draft:
        section = footer.members_section.reach
        return footer, directory, draft.iter_members(footer, rollup[section.start : section.stop], directory.day)
    chunks = ((chunk, cut(rollup, chunk)) for chunk in directory.chunks)
    return footer, directory, iter_members(footer, chunks, directory.day)


def cut(rollup: bytes, part: Block | Chunk) -> bytes:
    """The bytes of a block or chunk."""
    return rollup[part.offset : part.offset + part.length]
