"""How fast records become columns and Parquet, without network: `python -m bench.columns [--logs 40000]`.

Lines in memory become columns, all of them or three, and Parquet files. Then rollups on disk are read into columns and
exported, on one process and on two. The rates are records a second of wall-clock time; the best of three runs counts.
Start-up of child processes is in them, so many logs are fairer to two processes than few.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from hashlib import md5
from itertools import groupby
from pathlib import Path
from shutil import rmtree

from bench.logs import LogSet, generate
from bench.measure import scratch
from s3_log_roller.local_files import LOCAL, LocalFiles
from s3_log_roller.log_keys import DayGroup, day_of_log
from s3_log_roller.querying.choosing import Overview, find_exports
from s3_log_roller.querying.columns import SCHEMA, ColumnParser, Counts, Lines
from s3_log_roller.querying.exported import Exported
from s3_log_roller.querying.exporting import Export
from s3_log_roller.querying.parquet import PartWriter
from s3_log_roller.querying.rows import BATCH_BYTES, ReadRows
from s3_log_roller.reading.groups import Stores, find_groups
from s3_log_roller.reading.parallel import batches, run_all
from s3_log_roller.reading.selection import Selection
from s3_log_roller.reading.shares import find_shares
from s3_log_roller.reading.targets import Target
from s3_log_roller.rollup import Originals, RollupWriter
from s3_log_roller.store import Store

COLUMNS = {"all columns": tuple(SCHEMA.names), "three columns": ("operation", "http_status", "bytes_sent")}
DAYS = 4
Block = tuple[bytes, list[Lines]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Records into columns and Parquet.")
    parser.add_argument("--logs", type=int, default=40_000, help="logs in all")
    logs = parser.parse_args().logs
    with scratch() as directory:
        rollups = directory / "rollups"
        rollups.mkdir()
        blocks = list(_fill(rollups, LogSet(days=DAYS, logs=logs // DAYS)))
        counts = _into_columns(blocks, COLUMNS["all columns"])
        print(f"{counts.rows:,} records, {counts.slow / counts.rows:.2%} of them through parse_record")
        for what, names in COLUMNS.items():
            _show(f"lines into {what}", counts.rows, partial(_into_columns, blocks, names))
        _show("lines into Parquet", counts.rows, partial(_into_parquet, blocks, directory))
        for what, names in COLUMNS.items():
            for processes in (1, 2):
                run = partial(_read, rollups, names, processes)
                _show(f"rollups into {what}, processes: {processes}", counts.rows, run)
        for processes in (1, 2):
            run = partial(_export, rollups, directory / "parquet", processes)
            _show(f"export, processes: {processes}", counts.rows, run)


def _show(what: str, records: int, run: Callable[[], object]) -> None:
    best = float("inf")
    for _ in range(3):
        begin = time.monotonic()
        run()
        best = min(best, time.monotonic() - begin)
    print(f"{what:42} {records / best:12,.0f} a second", flush=True)


def _fill(directory: Path, log_set: LogSet) -> Iterator[Block]:
    """Put rollups into the directory, and give their lines."""
    prefix = log_set.prefixes[0]
    for day, found in groupby(generate(log_set), key=lambda one: day_of_log(one[0])):
        assert day is not None
        originals = Originals(DayGroup(LOCAL, prefix, day))
        logs = sorted(found, key=lambda one: one[0])
        lines, origins = bytearray(), []
        for key, content, mtime in logs:
            originals.append(key[len(prefix) :], content.etag, len(content.body), mtime)
            lines += content.body
            origins.append(Lines(content.body.count(b"\n"), key, day))
            if len(lines) >= BATCH_BYTES:
                yield bytes(lines), origins
                lines, origins = bytearray(), []
        if lines:
            yield bytes(lines), origins
        writer = RollupWriter(originals.group, 6)
        packed = [
            writer.add(original, content.body, md5(content.body).digest())
            for original, (_, content, _) in zip(originals, logs, strict=True)
        ]
        name = originals.group.rollup_key(logs[0][0][len(prefix) :]).rpartition("/")[2]
        (directory / name).write_bytes(b"".join([*packed, *writer.finish()]))


def _into_columns(blocks: Sequence[Block], names: Sequence[str]) -> Counts:
    parser = ColumnParser(names)
    return sum((parser.parse(lines, origins)[1] for lines, origins in blocks), Counts())


def _into_parquet(blocks: Sequence[Block], directory: Path) -> None:
    parser = ColumnParser()
    with closing(PartWriter(str(directory), "", ())) as writer:
        for lines, origins in blocks:
            writer.add(parser.parse(lines, origins)[0])
        writer.finish()


@contextmanager
def _local_stores() -> Iterator[Stores]:
    yield _local


def _local(bucket: str) -> LocalFiles:
    return LocalFiles()


@contextmanager
def _no_buckets() -> Iterator[Callable[[str], Store]]:
    yield _no_bucket


def _no_bucket(bucket: str) -> Store:
    raise AssertionError(f"nothing goes to a bucket, but {bucket} was opened")


def _failed(message: str) -> None:
    raise SystemExit(message)


def _read(rollups: Path, names: Sequence[str], processes: int) -> None:
    groups = find_groups(_local, [str(rollups)], Selection(), _failed)
    shares = find_shares(_local, groups, _failed, split=processes > 1)
    run_all(ReadRows(_local_stores, names), batches(shares), processes, lambda result: None, stores=_local)


def _export(rollups: Path, target: Path, processes: int) -> None:
    rmtree(target, ignore_errors=True)
    groups = find_groups(_local, [str(rollups)], Selection(), _failed)
    shares = find_exports(_local, groups, Exported((), ()), (), _failed, Overview())
    export = Export(_local_stores, _no_buckets, Target(LOCAL, str(target)), ())
    run_all(export, batches(shares), processes, lambda result: None, stores=_local)


if __name__ == "__main__":
    main()
