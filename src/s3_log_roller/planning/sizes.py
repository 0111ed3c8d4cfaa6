"""How large a rollup will be, before it is made.

The model is linear: every rollup, every member and every byte of a log adds its share. Its figures were fitted to
rollups of made-up logs of 1 to 100 records, 1 to 5,000 a day. Real logs may compress better or worse; a measured factor
corrects for that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import tee
from typing import Final

from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rollup.originals import Original, Originals
from s3_log_roller.rollup.writer import RollupWriter
from s3_log_roller.store import ByteRange, ReadStore

ROLLUP_BYTES: Final = 600
"""A rollup's footer, block table and gzip headers take so many bytes."""
MEMBER_BYTES: Final = 53
"""Tar header and index entry of a member, compressed."""
BYTES_PER_BYTE: Final = 0.2265
"""Bytes in a rollup for a byte of a log's content."""
WARM_UP_BYTES: Final = 32 << 10
"""Until the compressor's window is full of the log's like, it finds less."""
WARM_UP_BYTES_PER_BYTE: Final = 0.05

SAMPLE_LOGS: Final = 256
SAMPLE_BYTES: Final = 1 << 20
"""A sample is one run of neighbouring logs of a day, up to so many logs and bytes."""


def model_bytes(logs: int, log_bytes: int) -> float:
    """The size of a rollup of that many logs, if they compress as the model's do."""
    if not logs:
        return 0.0
    warm_up = WARM_UP_BYTES_PER_BYTE * min(log_bytes, WARM_UP_BYTES)
    return ROLLUP_BYTES + MEMBER_BYTES * logs + BYTES_PER_BYTE * log_bytes + warm_up


@dataclass(frozen=True, slots=True)
class Measured:
    """What real bytes say: rollups that are there already, or a sample that was read and packed."""

    logs: int = 0
    packed_bytes: int = 0
    """Bytes that those logs take in rollups."""
    modelled_bytes: float = 0.0
    """What the model says of the same."""

    def __add__(self, other: Measured) -> Measured:
        return Measured(
            self.logs + other.logs,
            self.packed_bytes + other.packed_bytes,
            self.modelled_bytes + other.modelled_bytes,
        )

    @property
    def factor(self) -> float:
        """By what to multiply the model's sizes; 1 where nothing was measured."""
        return self.packed_bytes / self.modelled_bytes if self.modelled_bytes else 1.0


def sum_measured(parts: Iterable[Measured]) -> Measured:
    """All of them together."""
    return sum(parts, Measured())


def measure_sample(store: ReadStore, group: DayGroup, level: int) -> Measured:
    """Read a run of a day's first logs and pack it in memory."""
    originals = _first_originals(store, group)
    if not len(originals):
        return Measured()
    writer = RollupWriter(group, level)
    to_fetch, to_pack = tee(originals)
    with closing(store.fetch(_pieces(group, to_fetch))) as bodies:
        for original, (body, md5) in zip(to_pack, bodies, strict=True):
            writer.add(original, body, md5)
    for _ in writer.finish():
        pass
    modelled = model_bytes(len(originals), originals.total_bytes)
    return Measured(len(originals), writer.bytes_out, modelled)


def _first_originals(store: ReadStore, group: DayGroup) -> Originals:
    originals = Originals(group)
    for entry in store.list_page(group.logs_prefix, max_keys=SAMPLE_LOGS).objects:
        full = len(originals) > 0 and originals.total_bytes + entry.size > SAMPLE_BYTES
        if full or entry.size > SAMPLE_BYTES:
            break
        if not entry.archived:
            originals.append(entry.key[len(group.target_prefix) :], entry.etag, entry.size, entry.mtime)
    return originals


def _pieces(group: DayGroup, originals: Iterable[Original]) -> Iterator[ByteRange]:
    for original in originals:
        yield ByteRange(group.target_prefix + original.suffix, original.etag, 0, original.size, whole=True)
