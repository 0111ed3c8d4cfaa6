"""SQL over the table `logs`: DuckDB, without network, files and extensions.

The logs are read in the thread that asks, DuckDB works in another one and takes rows as it needs them. A question that
looks at `logs` once never holds more than a few batches of them. For one that looks twice, the columns it uses are
kept in DuckDB's memory, and beyond `MEMORY_BYTES` in a temporary directory.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any, Final, NamedTuple

import duckdb
import pyarrow as pa

from s3_log_roller.errors import UsageError
from s3_log_roller.querying.columns import SCHEMA
from s3_log_roller.querying.conditions import ALL, Conditions, conditions_of
from s3_log_roller.querying.feed import Enough, Feed

MEMORY_BYTES: Final = 1 << 30
"""What DuckDB may hold in memory; what is more goes to the temporary directory."""
RESULT_ROWS: Final = 2048
"""Of the answer, at a time."""
ROWS_AT_A_TIME: Final = 1 << 13
"""Rows in a batch that several questions take."""
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
    conditions: Conditions = ALL
    """What all rows fulfil that matter."""


def understand(sql: str, parameters: Mapping[str, str]) -> Question:
    """The question. Raises `UsageError` if it is not one SELECT, or DuckDB refuses it."""
    with _connected() as connection:
        connection.register(_TABLE, pa.RecordBatchReader.from_batches(SCHEMA, []))
        try:
            statements = connection.extract_statements(sql)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise UsageError("the question must be a single SELECT over the table logs; nothing else is allowed")
            plan = connection.execute(f"EXPLAIN (FORMAT json) {statements[0].query}", dict(parameters) or None)
            scans = list(_scans(json.loads(plan.fetchall()[0][1])))
        except duckdb.Error as error:
            raise UsageError(f"DuckDB does not understand the question: {one_line(error)}") from error
        columns = frozenset[str]().union(*(scan.columns for scan in scans))
        conditions = _conditions(connection, scans[0].condition) if len(scans) == 1 else ALL
    return Question(statements[0].query, parameters, columns, len(scans), conditions)


def _conditions(connection: Any, condition: str) -> Conditions:
    if not condition:
        return ALL
    rows = connection.execute("SELECT json_serialize_sql($sql)", {"sql": f"SELECT 1 WHERE {condition}"}).fetchall()
    return conditions_of(rows[0][0])


def ask(question: Question, read: Read, write: Write) -> None:
    """Have the question answered: `read` gives the rows, `write` takes the answer, both at once.

    Raises what `read` and `write` raise, and `UsageError` for what DuckDB cannot compute. `read` is stopped when the
    answer needs no more rows.
    """
    ask_all([(question, write)], read)


def ask_all(questions: Sequence[tuple[Question, Write]], read: Read) -> None:
    """As `ask`, for several questions at once: the logs are read once, and the questions share the memory.

    Each question has a thread of its own, all share one database. When one of them fails, all end without an answer.
    """
    with (
        TemporaryDirectory(prefix="s3-log-roller-") as directory,
        _connected(directory, is_shared=len(questions) > 1) as database,
    ):
        answers = [_Answer(question, write, database.cursor()) for question, write in questions]
        rows = _Rows(answers)
        try:
            with suppress(Enough):
                read(rows.take if len(answers) > 1 else rows.hand_over)
                rows.flush()
            rows.end(whole=True)
        except BaseException:
            rows.end(whole=False)
            raise
        finally:
            for answer in answers:
                answer.join()
    for answer in answers:
        if answer.failure is not None:
            raise _told(answer.failure)


class _Answer:
    """The answer to one question, on its way in a thread of its own."""

    def __init__(self, question: Question, write: Write, connection: Any) -> None:
        self.feed = Feed()
        self.failure: BaseException | None = None
        self._question = question
        self._write = write
        self._connection = connection
        self._thread = Thread(target=self._run, name="duckdb", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        question, connection = self._question, self._connection
        try:
            rows = pa.RecordBatchReader.from_batches(SCHEMA, self.feed.batches())
            if question.looks > 1:
                connection.register(_STREAM, rows)
                connection.execute(_KEEP)
            else:
                connection.register(_TABLE, rows)
            relation = connection.sql(question.sql, params=dict(question.parameters) or None)
            try:
                self._write(relation.to_arrow_reader(RESULT_ROWS))
            finally:
                self.feed.stop()  # before the connection closes: DuckDB's own threads may wait for rows
        except BaseException as error:
            self.failure = error
        finally:
            self.feed.stop()
            connection.close()

    def join(self) -> None:
        """Wait for it; an interruption ends the work, too, so that the temporary directory is removed."""
        try:
            self._thread.join()
        except BaseException:
            self._connection.interrupt()
            self._thread.join()
            raise


class _Rows:
    """Batches on their way to all questions."""

    def __init__(self, answers: Sequence[_Answer]) -> None:
        self._answers = answers
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0

    def take(self, batch: pa.RecordBatch) -> None:
        """Hand the batch over with some others: each question has its costs for each of them. Raises `Enough`."""
        self._waiting.append(batch)
        self._waiting_rows += batch.num_rows
        if self._waiting_rows >= ROWS_AT_A_TIME:
            self.flush()

    def flush(self) -> None:
        """Hand over what waits."""
        waiting, self._waiting, self._waiting_rows = self._waiting, [], 0
        if waiting:
            self.hand_over(pa.concat_batches(waiting))

    def hand_over(self, batch: pa.RecordBatch) -> None:
        """Raises `Enough` if no question needs more rows, or one has failed."""
        wanted = [answer.feed.put(batch) for answer in self._answers]
        if not any(wanted) or self._has_failed:
            raise Enough

    def end(self, *, whole: bool) -> None:
        """No more come; these were all of them, or not."""
        for answer in self._answers:
            answer.feed.end(whole=whole and not self._has_failed)

    @property
    def _has_failed(self) -> bool:
        return any(answer.failure is not None for answer in self._answers)


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

    def __init__(self, directory: str | None, *, is_shared: bool) -> None:
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
        if is_shared:
            settings = {"threads": "1"} | settings  # each question has a thread that asked it; no other waits for rows
        for name, value in settings.items():
            self._connection.execute(f"SET GLOBAL {name} = '{value}'")

    def __enter__(self) -> Any:
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def _connected(directory: str | None = None, *, is_shared: bool = False) -> _Connection:
    """For one question, or for several at the same time."""
    return _Connection(directory, is_shared=is_shared)


class _Scan(NamedTuple):
    """One way through `logs` in a plan."""

    columns: frozenset[str]
    condition: str
    """Of all rows that go on from there; empty if all do."""


def _scans(node: Any, condition: str = "") -> Iterator[_Scan]:
    """The scans in a plan, below a node that lets through what fulfils that condition."""
    nodes = node if isinstance(node, list) else node.get("children", [])
    if isinstance(node, dict) and node["name"] == "PYTHON_ARROW_SCAN":
        columns = node["extra_info"].get("Projections", SCHEMA.names)
        yield _Scan(frozenset([columns] if isinstance(columns, str) else columns), condition)
    is_filter = isinstance(node, dict) and node["name"] == "FILTER"
    for child in nodes:
        yield from _scans(child, node["extra_info"]["Expression"] if is_filter else "")
