"""Exported files hold every record of the rollups once, whole or not at all, whatever was exported in which order."""

from __future__ import annotations

import errno
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, timedelta
from hashlib import md5
from itertools import permutations
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from tests.support.logs import DAY, PREFIX, log_key
from tests.support.memory_day import put_logs, roll
from tests.support.memory_store import MemoryStore, no_step
from tests.support.packing import DELIVERED, Log, pack
from tests.support.records import a_line

from s3_log_roller.demo.sample_logs import sample_day
from s3_log_roller.errors import StorageError
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.querying.columns import ColumnParser, Lines
from s3_log_roller.querying.parquet import PartWriter
from s3_log_roller.querying.tables import Table, ddl
from s3_log_roller.reading.doubles import LogPart
from s3_log_roller.reading.logs import Reader
from s3_log_roller.reading.shares import Share
from s3_log_roller.rollup import Originals, RollupWriter, read_footer

Run = Callable[..., tuple[int, str, str]]
TO = ("--to", "s3://bucket/parquet/")
LOGS = {key[len(PREFIX) :]: body for key, body in sample_day(Random(5), DAY, "example.com", PREFIX, 30)}
SUFFIXES = sorted(LOGS)


def put_rollup(store: MemoryStore, suffixes: Iterable[str], mtime: int = DELIVERED) -> str:
    """A rollup of some of the logs, written at that time; returns its key."""
    key, content = pack(DayGroup("bucket", PREFIX, DAY), [Log(suffix, LOGS[suffix]) for suffix in sorted(suffixes)])
    store.put(key, content, mtime=mtime)
    return key


def files(store: MemoryStore) -> dict[str, bytes]:
    """The target's files by name."""
    prefix = "parquet/"
    return {key[len(prefix) :]: found.body for key, found in store.objects.items() if key.startswith(prefix)}


def rows(store: MemoryStore, columns: Sequence[str] = ("source", "request_id")) -> list[tuple[Any, ...]]:
    """Those columns of all rows of the target, sorted."""
    found: list[tuple[Any, ...]] = []
    for body in files(store).values():
        table = pq.read_table(io.BytesIO(body))
        found += zip(*(table[name].to_pylist() for name in columns), strict=True)
    return sorted(found, key=str)


def request_ids(suffixes: Iterable[str]) -> list[str]:
    """Of all records of those logs, sorted."""
    return sorted(line.split()[6].decode() for suffix in suffixes for line in LOGS[suffix].splitlines())


def test_the_files_hold_what_the_rollups_hold(store: MemoryStore, run: Run, tmp_path: Path) -> None:
    """Every field of every record, read back by DuckDB through the statement that --ddl prints, and by pyarrow."""
    days = [DAY, DAY + timedelta(1)]
    for number, day in enumerate(days):
        for key, body in sample_day(Random(number), day, "example.com", PREFIX, 20):
            store.put(key, body)
        roll(store, day=day)
    code, _, said = run("export", "s3://bucket/", "--to", str(tmp_path))
    assert (code, said.count("2 rollups exported to ")) == (0, 1)
    expected = [json.loads(line) for line in run("cat", "s3://bucket/", "--output", "json")[1].splitlines()]
    database = duckdb.connect()
    database.execute("SET TimeZone = 'UTC'")
    database.execute(run("export", "--ddl", "duckdb", "--to", str(tmp_path))[1])
    names = ", ".join(name for name in expected[0] if name != "time")
    by = "ORDER BY request_id"
    found = database.sql(f"SELECT {names} FROM logs {by}").fetchall()
    expected.sort(key=lambda record: str(record["request_id"]))
    assert found == [tuple(value for name, value in record.items() if name != "time") for record in expected]
    times = database.sql(f"SELECT strftime(time, '%Y-%m-%dT%H:%M:%SZ'), day, target_prefix FROM logs {by}").fetchall()
    assert [row[0] for row in times] == [record["time"] for record in expected]
    assert {row[1:] for row in times} == {(day, PREFIX) for day in days}
    table = ds.dataset(tmp_path, partitioning="hive").to_table()
    assert sorted(table["request_id"].to_pylist()) == [record["request_id"] for record in expected]
    assert set(table["bucket"].to_pylist()) == {"example.com"}
    assert set(table.schema.names) >= {*expected[0], "extra", "raw", "source", "day"}


def test_exporting_again_changes_nothing(store: MemoryStore, run: Run) -> None:
    """The second run writes nothing and reads no more than the ends of rollups."""
    put_rollup(store, SUFFIXES)
    assert run("export", "s3://bucket/", *TO)[0] == 0
    before = dict(store.objects)
    uploads: list[str] = []
    store.before = lambda step, key: uploads.append(key) if step == "upload" else None
    code, _, said = run("export", "s3://bucket/", *TO)
    assert (code, uploads, store.objects) == (0, [], before)
    assert "0 rollups exported" in said
    assert "1 was there already" in said


def test_a_late_rollup_adds_a_file(store: MemoryStore, run: Run) -> None:
    """What is there stays as it is, and every record is there once."""
    put_rollup(store, SUFFIXES[:20])
    run("export", "s3://bucket/", *TO)
    before = files(store)
    put_rollup(store, SUFFIXES[20:], DELIVERED + 90_000)
    run("export", "s3://bucket/", *TO)
    assert before.items() < files(store).items()
    assert len(files(store)) == 2
    assert [row[0] for row in rows(store, ["request_id"])] == request_ids(SUFFIXES)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_shared_members_are_exported_once_in_any_order(store: MemoryStore, run: Run, order: tuple[int, ...]) -> None:
    """Three rollups of a day that overlap, exported one by one in any order: the same files, each member in one."""
    keys = [
        put_rollup(store, SUFFIXES[:20], DELIVERED + 5),
        put_rollup(store, SUFFIXES[10:], DELIVERED),
        put_rollup(store, [*SUFFIXES[5:12], *SUFFIXES[18:25]], DELIVERED + 9),
    ]
    for number in order:
        assert run("export", f"s3://bucket/{keys[number]}", *TO)[0] == 0
    assert [row[0] for row in rows(store, ["request_id"])] == request_ids(SUFFIXES)
    holders = {source.rpartition(":")[2]: source.rpartition(":")[0] for source, _ in rows(store)}
    for suffix in SUFFIXES[10:]:
        assert holders[suffix] == f"s3://bucket/{keys[1]}"
    one_by_one = files(store)
    for name in one_by_one:
        del store.objects[f"parquet/{name}"]
    assert run("export", "s3://bucket/", *TO)[0] == 0
    assert files(store) == one_by_one


def test_a_rollup_whose_members_are_all_in_others_is_done_once(store: MemoryStore, run: Run) -> None:
    """It becomes a file without rows, so that the next run knows of it."""
    put_rollup(store, SUFFIXES, DELIVERED)
    put_rollup(store, SUFFIXES[3:9], DELIVERED + 1)
    assert "2 rollups exported" in run("export", "s3://bucket/", *TO)[2]
    assert "2 were there already" in run("export", "s3://bucket/", *TO)[2]
    assert [row[0] for row in rows(store, ["request_id"])] == request_ids(SUFFIXES)


def test_a_rollup_that_turns_up_as_the_earlier_one_is_not_counted_twice(store: MemoryStore, run: Run) -> None:
    """A copy with other times would change what belongs to which file: that is told, and nothing is written."""
    put_rollup(store, SUFFIXES[10:], DELIVERED + 5)
    run("export", "s3://bucket/", *TO)
    before = files(store)
    put_rollup(store, SUFFIXES[:20], DELIVERED)
    code, _, said = run("export", "s3://bucket/", *TO)
    assert code == 3
    assert "take the files of that day out of the target" in said
    assert files(store) == before


@pytest.mark.parametrize("later", [True, False])
def test_a_planted_rollup_takes_no_record_out(store: MemoryStore, run: Run, later: bool) -> None:
    """An index may lie: what it says of shared members is held against their bytes, and a lie is told."""
    good = put_rollup(store, SUFFIXES[:20], DELIVERED)
    bodies = {suffix: LOGS[suffix] for suffix in SUFFIXES[15:]}
    originals = Originals(DayGroup("bucket", PREFIX, DAY))
    for suffix, body in bodies.items():
        originals.append(suffix, md5(body).hexdigest(), len(body), DELIVERED)
    writer = RollupWriter(originals.group, 1)
    out = [writer.add(original, bytes(original.size), md5(bodies[original.suffix]).digest()) for original in originals]
    planted = originals.group.rollup_key(SUFFIXES[15])
    store.put(planted, b"".join([*out, *writer.finish()]), mtime=DELIVERED + (5 if later else -5))
    code, _, said = run("export", "s3://bucket/", *TO)
    assert code == 3
    assert f"(s3://bucket/{planted} is not exported)" in said
    assert rows(store) == ([] if not later else sorted(rows_of(good, SUFFIXES[:20]), key=str))
    assert later or f"(s3://bucket/{good} is not exported)" in said


def rows_of(key: str, suffixes: Iterable[str]) -> list[tuple[str, str]]:
    """The source and the request id of each record of a rollup."""
    return [(f"s3://bucket/{key}:{suffix}", request_id) for suffix in suffixes for request_id in request_ids([suffix])]


def test_a_damaged_rollup_leaves_nothing_behind(store: MemoryStore, run: Run) -> None:
    """It is told, and the others are exported."""
    good = put_rollup(store, SUFFIXES[:10])
    bad = put_rollup(store, SUFFIXES[10:], DELIVERED + 5)
    body = bytearray(store.objects[bad].body)
    body[100] ^= 1
    store.put(bad, bytes(body), mtime=DELIVERED + 5)
    code, _, said = run("export", "s3://bucket/", *TO)
    assert code == 3
    assert f"(s3://bucket/{bad} is not exported)" in said
    assert {source.rpartition(":")[0] for source, _ in rows(store)} == {f"s3://bucket/{good}"}


@pytest.mark.parametrize("trouble", ["refused", "damaged list of members"])
def test_a_day_with_a_rollup_that_cannot_be_compared_waits(store: MemoryStore, run: Run, trouble: str) -> None:
    """Nobody knows what the others share with it, and a record must not come twice."""
    bad = put_rollup(store, SUFFIXES[:20])
    put_rollup(store, SUFFIXES[10:], DELIVERED + 5)
    whole = store.objects[bad]

    def refuse(step: str, key: str) -> None:
        if step == "fetch" and key == bad:
            raise StorageError("s3:GetObject was refused")

    if trouble == "refused":
        store.before = refuse
    else:
        body = bytearray(whole.body)
        body[read_footer(whole.body, len(whole.body)).data_bytes + 30] ^= 1
        store.put(bad, bytes(body), mtime=whole.mtime)
    code, _, said = run("export", "s3://bucket/", *TO)
    assert (code, files(store)) == (3, {})
    assert "the rollups of that day are not exported" in said
    store.before = no_step
    store.objects[bad] = whole
    assert run("export", "s3://bucket/", *TO)[0] == 0
    assert [row[0] for row in rows(store, ["request_id"])] == request_ids(SUFFIXES)


def test_a_member_that_does_not_come_out_is_missed(
    store: MemoryStore, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file has the records of as many logs as the rollup's index says, or it is not written."""
    key = put_rollup(store, SUFFIXES)
    read_each = Reader.read_each

    def lose_the_first(self: Reader, shares: Iterable[Share]) -> Iterator[tuple[Share, Iterator[LogPart]]]:
        for share, parts in read_each(self, shares):
            next(parts)
            yield share, parts

    monkeypatch.setattr(Reader, "read_each", lose_the_first)
    code, _, said = run("export", "s3://bucket/", *TO)
    assert code == 3
    assert f"s3://bucket/{key}: 29 members came out of it, not 30" in said
    assert files(store) == {}


@pytest.mark.parametrize("step", ["upload", "finish"])
def test_an_upload_that_fails_leaves_nothing_behind(store: MemoryStore, run: Run, step: str) -> None:
    """The next run exports what is missing."""
    put_rollup(store, SUFFIXES)

    def fail(now: str, key: str) -> None:
        if now == step and key.startswith("parquet/"):
            raise StorageError("no")

    store.before = fail
    assert run("export", "s3://bucket/", *TO)[0] == 3
    assert files(store) == {}
    store.before = lambda step, key: None
    assert run("export", "s3://bucket/", *TO)[0] == 0
    assert [row[0] for row in rows(store, ["request_id"])] == request_ids(SUFFIXES)


def test_a_full_temporary_directory_is_told(store: MemoryStore, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line, and nothing is in the target."""
    put_rollup(store, SUFFIXES)

    def full(self: PartWriter, batch: pa.RecordBatch) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(PartWriter, "add", full)
    code, _, said = run("export", "s3://bucket/", *TO)
    assert code == 1
    assert "in the temporary directory: No space left on device" in said
    assert files(store) == {}


def test_an_interrupted_run_leaves_no_file(
    store: MemoryStore, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in the target directory nor elsewhere."""
    put_rollup(store, SUFFIXES)
    temporary, target = tmp_path / "temporary", tmp_path / "target"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))

    def interrupted(self: PartWriter) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(PartWriter, "finish", interrupted)
    assert run("export", "s3://bucket/", "--to", str(target))[0] == 130
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_file_for_each_source_bucket_and_for_lines_that_are_not_records(store: MemoryStore, run: Run) -> None:
    """Nothing is dropped, and the folder tells the truth of every row. A part that is missing is written again."""
    lines = [a_line(), a_line().replace(" b ", " other/.. "), "nonsense", a_line()]
    assert "other/.." in lines[1]
    store.put(log_key(1), "".join(f"{line}\n" for line in lines).encode())
    roll(store)
    code, _, said = run("export", "s3://bucket/", *TO)
    assert code == 0
    assert "1 line cannot be read as log records: see the column raw" in said
    counts = {name.split("/")[0]: pq.read_table(io.BytesIO(body)).num_rows for name, body in files(store).items()}
    assert counts == {"bucket=b": 2, "bucket=other%2F..": 1, "bucket=__HIVE_DEFAULT_PARTITION__": 1}
    assert all(name.split("/")[1] == f"day={DAY}" for name in files(store))
    assert {row for row in rows(store, ["raw"]) if row[0]} == {("nonsense",)}
    before = files(store)
    for name in before:
        del store.objects[f"parquet/{name}"]
        assert "1 rollup exported" in run("export", "s3://bucket/", *TO)[2]
        assert files(store) == before


def test_dropped_columns(store: MemoryStore, run: Run) -> None:
    """They are in no file, and a target holds files of the same columns only."""
    put_rollup(store, SUFFIXES)
    run("export", "s3://bucket/", *TO, "--drop", "host_id", "--drop", "extra")
    (body,) = files(store).values()
    assert {"host_id", "extra"}.isdisjoint(pq.read_schema(io.BytesIO(body)).names)
    code, _, said = run("export", "s3://bucket/", *TO)
    assert code == 2
    assert "the target has files with other columns" in said
    assert "--drop 'bucket' is not possible" in run("export", "s3://bucket/", *TO, "--drop", "bucket")[2]


def test_loose_logs_are_told_of(store: MemoryStore, run: Run) -> None:
    """Only rollups are exported; nobody is to believe that the rest is there, too."""
    put_logs(store, range(5))
    code, _, said = run("export", "s3://bucket/", *TO)
    assert code == 1
    assert f"not rolled up, and so not exported: s3://bucket/{PREFIX}{DAY}" in said
    roll(store, delete=False)
    code, _, said = run("export", "s3://bucket/", *TO)
    assert code == 0
    assert "1 day has loose logs beside their rollups" in said


def test_days_and_tarballs_of_others(store: MemoryStore, run: Run) -> None:
    """--since and --until choose days; a tarball that is not a rollup is told of."""
    put_logs(store, range(5))
    roll(store)
    put_logs(store, range(5), day=date(2022, 7, 3))
    roll(store, day=date(2022, 7, 3))
    assert "1 rollup exported" in run("export", "s3://bucket/", *TO, "--since", "2022-07-02")[2]
    store.put(f"{PREFIX}rollup-2022-07-04-00000000.tgz", b"\x1f\x8b no rollup")
    code, _, said = run("export", "s3://bucket/", *TO, "--since", "2022-07-04")
    assert code == 3
    assert "is not exported, since its index cannot be read" in said


def test_local_rollups(store: MemoryStore, run: Run, tmp_path: Path) -> None:
    """Copies of rollups are exported like the rollups; those of a day share no member either."""
    for start, stop in ((0, 20), (10, 30)):
        key = put_rollup(store, SUFFIXES[start:stop])
        (tmp_path / key.rpartition("/")[2]).write_bytes(store.objects[key].body)
    assert run("export", str(tmp_path), *TO)[0] == 0
    assert [row[0] for row in rows(store, ["request_id"])] == request_ids(SUFFIXES)
    assert {row[0] for row in rows(store, ["target_prefix"])} == {PREFIX}


@pytest.mark.parametrize("stop", [12, 20])
def test_rollups_in_two_places_share_no_record(store: MemoryStore, archive: MemoryStore, run: Run, stop: int) -> None:
    """Even if they have the same name, there and beside the logs; and a late one there is added."""
    key = put_rollup(store, SUFFIXES[:20])
    assert run("export", "s3://bucket/", *TO)[0] == 0
    content = pack(DayGroup("bucket", PREFIX, DAY), [Log(suffix, LOGS[suffix]) for suffix in SUFFIXES[:stop]])[1]
    archive.put(f"logs/bucket/{key}", content, mtime=DELIVERED + 9)
    late, content = pack(DayGroup("bucket", PREFIX, DAY), [Log(suffix, LOGS[suffix]) for suffix in SUFFIXES[8:]])
    archive.put(f"logs/bucket/{late}", content, mtime=DELIVERED + 20)
    code, _, said = run("export", "s3://bucket/", *TO, "--rollups-in", "s3://archive/logs/")
    assert code == 0, said
    assert [row[0] for row in rows(store, ["request_id"])] == request_ids(SUFFIXES)
    code, _, said = run("export", f"s3://bucket/{late}", *TO, "--rollups-in", "s3://archive/logs/")
    assert (code, "0 rollups exported" in said) == (0, True)


def test_a_copy_of_a_rollup_is_exported_once(store: MemoryStore, run: Run) -> None:
    """Whether both are named in one run, or one after the other."""
    key = put_rollup(store, SUFFIXES)
    store.put(f"copies/{key}", store.objects[key].body, mtime=DELIVERED + 99)
    code, _, said = run("export", f"s3://bucket/{PREFIX}", "s3://bucket/copies/", *TO)
    assert (code, "1 rollup exported" in said, "1 was there already" in said) == (0, True, True)
    assert "2 were there already" in run("export", f"s3://bucket/{PREFIX}", "s3://bucket/copies/", *TO)[2]
    assert [row[0] for row in rows(store, ["request_id"])] == request_ids(SUFFIXES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "x"], "say what to export"),
        (["s3://bucket/", "--to", "x", "--ddl", "duckdb"], "--ddl exports nothing"),
        (["s3://bucket/", "--to", "x", "--bucket", "abc"], "--bucket is for --ddl"),
        (["s3://bucket/", "--to", "x", "--drop", "raw"], "--drop 'raw' is not possible"),
        (["s3://bucket/", "--to", "x", "--since", "2022-07-02", "--until", "2022-07-01"], "is later than"),
    ],
)
def test_command_lines_that_make_no_sense(run: Run, arguments: list[str], message: str) -> None:
    """What is wrong is said in a line."""
    code, _, said = run("export", *arguments)
    assert code == 2
    assert message in said


def test_the_view_of_duckdb_shows_lines_without_bucket(store: MemoryStore, run: Run, tmp_path: Path) -> None:
    """Their folder is the one that stands for NULL."""
    store.put(log_key(1), f"{a_line()}\nnonsense\n".encode())
    roll(store)
    run("export", "s3://bucket/", "--to", str(tmp_path))
    database = duckdb.connect()
    database.execute(ddl("duckdb", Table(str(tmp_path))))
    found = database.sql("SELECT bucket, raw FROM logs ORDER BY raw NULLS FIRST").fetchall()
    assert found == [("b", None), (None, "nonsense")]


def test_rows_beyond_a_row_group_are_written_as_they_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more rows than a row group's wait in memory."""
    monkeypatch.setattr("s3_log_roller.querying.parquet.ROW_GROUP_ROWS", 10)
    writer = PartWriter(str(tmp_path), PREFIX, ())
    for _ in range(5):
        writer.add(ColumnParser().parse(f"{a_line()}\n".encode() * 4, [Lines(4, "log", DAY)])[0])
    (part,) = writer.finish()
    file = pq.ParquetFile(part.path)
    assert [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)] == [12, 8]
    assert isinstance(file.read(), pa.Table)
