"""Exports rollups: each becomes a Parquet file, which is whole and under its name, or not there at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from tempfile import TemporaryDirectory
from typing import Final

from s3_log_roller.errors import DamagedRollup, StorageError, reason
from s3_log_roller.local_files import LOCAL
from s3_log_roller.querying.choosing import ExportShare
from s3_log_roller.querying.columns import SCHEMA, ColumnParser
from s3_log_roller.querying.parquet import Part, PartWriter
from s3_log_roller.querying.rows import Blocks
from s3_log_roller.reading.directories import DirectoryPlace
from s3_log_roller.reading.doubles import Doubles, LogPart
from s3_log_roller.reading.groups import Stores, place_of
from s3_log_roller.reading.logs import Reader
from s3_log_roller.reading.parallel import Emit, Failure, OpenStores, Operation, Performer
from s3_log_roller.reading.selection import suffix_of
from s3_log_roller.reading.shares import Shares
from s3_log_roller.reading.tarball import Member
from s3_log_roller.reading.targets import BucketPlace, OpenBuckets, Outcome, Place, Target

PIECE_BYTES: Final = 1 << 20
"""Of a finished file that are handed on at a time."""


@dataclass(frozen=True, slots=True)
class Done:
    """What was exported."""

    rollups: int = 0
    files: int = 0
    file_bytes: int = 0
    rows: int = 0
    unparsable: int = 0

    def __add__(self, other: Done) -> Done:
        return Done(
            self.rollups + other.rollups,
            self.files + other.files,
            self.file_bytes + other.file_bytes,
            self.rows + other.rows,
            self.unparsable + other.unparsable,
        )


@dataclass(frozen=True, slots=True)
class Export(Operation):
    """Emits what was `Done`, rollup by rollup."""

    open_stores: OpenStores
    open_buckets: OpenBuckets
    target: Target
    dropped: tuple[str, ...]

    def start(self, stores: Stores, emit: Emit) -> Performer:
        return _Exporter(self, stores, emit)


class _Exporter(Performer):
    def __init__(self, export: Export, stores: Stores, emit: Emit) -> None:
        self._export = export
        self._emit = emit
        self._reasons: list[str] = []
        self._reader = Reader(stores, self._reasons.append, packed_only=True, prove=True)
        self._parser = ColumnParser([name for name in SCHEMA.names if name not in export.dropped])
        target = export.target
        self._place: Place = (
            DirectoryPlace(target.prefix) if target.bucket == LOCAL else BucketPlace(target, export.open_buckets)
        )

    def run(self, shares: Shares) -> None:
        for share, parts in self._reader.read_each(shares):
            if isinstance(share, ExportShare):
                self._reasons.clear()
                try:
                    with TemporaryDirectory(prefix="s3-log-roller-") as directory:
                        self._one(share, parts, directory)
                except OSError as error:
                    raise StorageError(
                        f"files cannot be written in the temporary directory: {reason(error)}; it must have room for "
                        "the files of a rollup, TMPDIR names another one"
                    ) from error

    def close(self) -> None:
        self._place.close()

    def _one(self, share: ExportShare, parts: Iterator[LogPart], directory: str) -> None:
        where = place_of(share.bucket, share.packed[0].listed)
        try:
            with closing(PartWriter(directory, share.target_prefix, self._export.dropped)) as writer:
                unparsable = self._write(share, parts, writer)
                files = writer.finish()
        except DamagedRollup as error:
            self._reasons.append(f"{where}: {error}")
        if self._reasons:
            self._emit(Failure(f"{self._reasons[0]} ({where} is not exported)"))
            return
        outcomes = list(self._publish(share, files))
        written = [member.size for _, member, outcome in outcomes if outcome is True]
        for name, _, outcome in outcomes:
            if isinstance(outcome, Exception):
                self._emit(Failure(f"{name}: {reason(outcome)}"))
        if not any(isinstance(outcome, Exception) for _, _, outcome in outcomes):
            rows = sum(part.rows for part in files)
            self._emit(Done(1, len(written), sum(written), rows, unparsable))

    def _write(self, share: ExportShare, parts: Iterator[LogPart], writer: PartWriter) -> int:
        """Write all rows of the rollup; returns how many lines are not records. Raises `DamagedRollup`."""
        blocks = Blocks(self._without_doubles(share, parts))
        unparsable = 0
        for lines, origins in blocks:
            batch, counts = self._parser.parse(lines, origins)
            writer.add(batch)
            unparsable += counts.unparsable
            if self._reasons:
                return unparsable
        expected = share.members - len(share.name.left_out)
        if blocks.logs != expected and not self._reasons:
            raise DamagedRollup(f"{blocks.logs:,} members came out of it, not {expected:,}")
        return unparsable

    def _without_doubles(self, share: ExportShare, parts: Iterator[LogPart]) -> Iterator[LogPart]:
        """The rollup's members without those that earlier rollups have; what the indexes say is held against bytes."""
        if not share.earlier:
            return parts
        doubles = Doubles(lambda name: suffix_of(name) in share.name.left_out, self._reasons.append)
        everything = doubles.leave_out(chain(self._reader.read(share.earlier), parts), in_order=False)
        listed = share.packed[0].listed
        wanted = listed.place or share.bucket, listed.key
        return (part for part in everything if (part[0].bucket, part[0].key) == wanted)

    def _publish(self, share: ExportShare, files: list[Part]) -> Iterator[Outcome]:
        """Give the files their names in the target: never over something else."""
        for number, part in enumerate(files, 1):
            relative = share.name.path(part.bucket, number, len(files))
            member = Member(relative, os.path.getsize(part.path), share.packed[0].listed.mtime)
            yield from self._place.restore(relative, relative, member, _pieces(part.path))
        yield from self._place.finish()


def _pieces(path: str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while data := file.read(PIECE_BYTES):
            yield data
