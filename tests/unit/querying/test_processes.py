"""Rows and exports come out of child processes as they do of this one."""

from __future__ import annotations

import pickle
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.support.logs import DAY
from tests.support.packing import Log, pack
from tests.support.records import a_line

from s3_log_roller.aws.buckets import Connection
from s3_log_roller.cli.reading import opened_buckets, opened_stores
from s3_log_roller.demo.sample_logs import sample_day
from s3_log_roller.local_files import LOCAL, LocalFiles
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.querying.choosing import Overview, find_exports
from s3_log_roller.querying.columns import ColumnParser, Lines
from s3_log_roller.querying.exported import Exported
from s3_log_roller.querying.exporting import Done, Export
from s3_log_roller.querying.rows import ReadRows, Rows, Seen
from s3_log_roller.reading.groups import Stores, find_groups
from s3_log_roller.reading.parallel import Operation, run_all
from s3_log_roller.reading.selection import Selection
from s3_log_roller.reading.shares import Share, find_shares
from s3_log_roller.reading.targets import Target

CONNECTION = Connection()
OPEN_STORES = partial(opened_stores, CONNECTION, None)


def stores(bucket: str) -> LocalFiles:
    return LocalFiles()


def failed(message: str) -> None:
    raise AssertionError(message)


@pytest.fixture
def rollups(tmp_path: Path) -> list[str]:
    """The paths of three rollups."""
    paths = []
    for number in range(3):
        logs = [Log(key, body) for key, body in sample_day(Random(number), DAY, "example.com", "", 5)]
        name, content = pack(DayGroup(LOCAL, "", DAY), logs)
        path = tmp_path / name
        path.write_bytes(content)
        paths.append(str(path))
    return paths


def results(operation: Operation, work: list[Share], processes: int, stores: Stores) -> list[Any]:
    """Each share apart, so that there is something to do for several processes."""
    found: list[Any] = []
    run_all(operation, ((share,) for share in work), processes, found.append, stores=stores)
    return found


def test_rows_survive_the_way_between_processes() -> None:
    """All columns, those without values, too."""
    batch = ColumnParser(["key", "raw"]).parse(f"{a_line()}\nnonsense\n".encode(), [Lines(2, "log", DAY)])[0]
    assert pickle.loads(pickle.dumps(Rows(batch))).batch.equals(batch)


@pytest.mark.heavy
def test_rows_come_in_order_from_two_processes(rollups: list[str]) -> None:
    """As from one."""

    def read(processes: int) -> tuple[list[Any], Seen]:
        groups = find_groups(stores, rollups, Selection(), failed)
        shares = list(find_shares(stores, groups, failed, split=False))
        found = results(ReadRows(OPEN_STORES), shares, processes, stores)
        rows = [row for one in found if isinstance(one, Rows) for row in one.batch.to_pylist()]
        return rows, sum((one for one in found if isinstance(one, Seen)), Seen())

    assert read(2) == read(1)
    assert read(1)[1].logs == 15


@pytest.mark.heavy
def test_two_processes_export_what_one_does(rollups: list[str], tmp_path: Path) -> None:
    """The same files, byte for byte."""

    def export(processes: int) -> tuple[dict[str, bytes], int]:
        target = tmp_path / f"by-{processes}"
        groups = find_groups(stores, rollups, Selection(), failed)
        shares = list(find_exports(stores, groups, Exported((), ()), (), failed, Overview()))
        operation = Export(OPEN_STORES, partial(opened_buckets, CONNECTION, None), Target(LOCAL, str(target)), ())
        done = sum(results(operation, list(shares), processes, stores), Done())
        files = sorted(target.rglob("*.parquet"))
        assert sum(pq.read_metadata(file).num_rows for file in files) == done.rows > 0
        return {str(file.relative_to(target)): file.read_bytes() for file in files}, done.rollups

    assert export(2) == export(1)
    assert export(1)[1] == 3
