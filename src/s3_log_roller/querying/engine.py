"""SQL over the table `logs`: DuckDB, without network, files and extensions.

The logs are read in the thread that asks, DuckDB works in another one and takes rows as it needs them. A question that
looks at `logs` once never holds more than a few batches of them. For one that looks twice, the columns it uses are
kept in DuckDB's memory, and beyond `MEMORY_BYTES` in a temporary directory.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, Full, Queue
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Any, Final

import duckdb
import pyarrow as pa

from s3_log_roller.errors import UsageError
from s3_log_roller.querying.columns import SCHEMA

MEMORY_BYTES: Final = 1 << 30
"""What DuckDB may hold in memory; what is more goes to the temporary directory."""
RESULT_ROWS: Final = 2048
"""Of the answer, at a time."""
_WAITING: Final = 16
"""Batches read that DuckDB has not taken yet."""
_TABLE: Final = "logs"
_STREAM: Final = "logs_as_they_are_read"
_KEEP: Final = "CREATE TEMP TABLE logs AS SELECT * FROM logs_as_they_are_read"

Take = Callable[[pa.RecordBatch], None]
Read = Callable[[Take], None]
"""Reads all logs and hands their rows over, in the thread that asks."""
Write = Callable[[pa.RecordBatchReader], None]
"""Takes the answer, in a thread of its own."""


@dataclass(frozen=True, slots=True)
class Question:
    """A SELECT that DuckDB understands, and what it looks at."""

    sql: str
    parameters: Mapping[str, str]
    columns: frozenset[str]
    """Of `logs`, those that matter."""
    looks: int
    """So many times it goes through `logs`."""


def understand(sql: str, parameters: Mapping[str, str]) -> Question:
    """The question. Raises `UsageError` if it is not one SELECT, or DuckDB refuses it."""
    with _connected() as connection:
        connection.register(_TABLE, pa.RecordBatchReader.from_batches(SCHEMA, []))
        try:
            statements = connection.extract_statements(sql)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise UsageError("the question must be a single SELECT over the table logs; nothing else is allowed")
            plan = connection.execute(f"EXPLAIN (FORMAT json) {statements[0].query}", dict(parameters) or None)
            rows = plan.fetchall()
        except duckdb.Error as error:
            raise UsageError(f"DuckDB does not understand the question: {one_line(error)}") from error
    scans = list(_scans(json.loads(rows[0][1])))
    return Question(statements[0].query, parameters, frozenset().union(*scans), len(scans))


def ask(question: Question, read: Read, write: Write) -> None:
    """Have the question answered: `read` gives the rows, `write` takes the answer, both at once.

    Raises what `read` and `write` raise, and `UsageError` for what DuckDB cannot compute. `read` is stopped when the
    answer needs no more rows.
    """
    feed = _Feed()
    failure: list[BaseException] = []
    working: list[Any] = []

    def answer() -> None:
        try:
            with TemporaryDirectory(prefix="s3-log-roller-") as directory, _connected(directory) as connection:
                working.append(connection)
                rows = pa.RecordBatchReader.from_batches(SCHEMA, feed.batches())
                if question.looks > 1:
                    connection.register(_STREAM, rows)
                    connection.execute(_KEEP)
                else:
                    connection.register(_TABLE, rows)
                relation = connection.sql(question.sql, params=dict(question.parameters) or None)
                try:
                    write(relation.to_arrow_reader(RESULT_ROWS))
                finally:
                    feed.stop()  # before the connection closes: DuckDB's own threads may wait for rows
        except BaseException as error:
            failure.append(error)
        finally:
            feed.stop()

    thread = Thread(target=answer, name="duckdb", daemon=True)
    thread.start()
    whole = False
    try:
        with suppress(_Enough):
            read(feed.put)
        whole = True
    finally:
        feed.end(whole=whole)
        _join(thread, working)
    if failure:
        raise _told(failure[0])


def _join(thread: Thread, working: list[Any]) -> None:
    """Wait for the answer; an interruption ends the work, too, so that the temporary directory is removed."""
    try:
        thread.join()
    except BaseException:
        for connection in working:
            connection.interrupt()
        thread.join()
        raise


def one_line(error: Exception) -> str:
    """DuckDB's message without the picture of the place that follows it."""
    return " ".join(str(error).partition("\n\n")[0].split())


def _told(error: BaseException) -> BaseException:
    if isinstance(error, (duckdb.Error, pa.ArrowException)):
        told = UsageError(f"DuckDB cannot answer the question: {one_line(error)}")
        told.__cause__ = error
        return told
    return error


class _Connection:
    """A database in memory, closed at the end."""

    def __init__(self, directory: str | None) -> None:
        self._connection = duckdb.connect()
        settings = {
            "memory_limit": f"{MEMORY_BYTES >> 20}MiB",
            "temp_directory": directory or "",
            "TimeZone": "UTC",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "python_enable_replacements": "false",
            "enable_external_access": "false",
            "lock_configuration": "true",
        }
        for name, value in settings.items():
            self._connection.execute(f"SET {name} = '{value}'")

    def __enter__(self) -> Any:
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def _connected(directory: str | None = None) -> _Connection:
    return _Connection(directory)


def _scans(node: Any) -> Iterator[frozenset[str]]:
    """The columns that each scan of `logs` in a plan takes."""
    nodes = node if isinstance(node, list) else node.get("children", [])
    if isinstance(node, dict) and node["name"] == "PYTHON_ARROW_SCAN":
        columns = node["extra_info"].get("Projections", SCHEMA.names)
        yield frozenset([columns] if isinstance(columns, str) else columns)
    for child in nodes:
        yield from _scans(child)


class _Enough(Exception):
    """The answer is complete, or will not be given."""


class _CutOff(Exception):
    """Reading ended before its end, so there is no answer."""


class _Feed:
    """Batches on their way from the thread that reads to the one that answers."""

    def __init__(self) -> None:
        self._batches: Queue[pa.RecordBatch | None] = Queue(_WAITING)
        self._stopped = Event()
        self._whole = False

    def put(self, batch: pa.RecordBatch) -> None:
        """Hand a batch over. Raises `_Enough` if nobody takes it any more."""
        self._put(batch)
        if self._stopped.is_set():
            raise _Enough

    def end(self, *, whole: bool) -> None:
        """No more come; these were all of them, or not."""
        self._whole = whole
        self._put(None)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Those handed over. Raises `_CutOff` if they are not all."""
        while (batch := self._batches.get()) is not None:
            yield batch
        if not self._whole:
            raise _CutOff

    def stop(self) -> None:
        """Take no more. Neither side waits for the other from now on."""
        self._stopped.set()
        with suppress(Empty):
            while True:
                self._batches.get_nowait()  # who reads may wait for room
        with suppress(Full):
            self._batches.put_nowait(None)  # DuckDB may have asked for more rows than the answer needed

    def _put(self, batch: pa.RecordBatch | None) -> None:
        if not self._stopped.is_set():
            self._batches.put(batch)
