"""Questions are answered from rows that come in a stream, and nothing else."""

from __future__ import annotations

import time
from itertools import count
from pathlib import Path
from threading import Thread

import pyarrow as pa
import pytest
from tests.support.columns import answer_of
from tests.support.records import a_line

from s3_log_roller.errors import StorageError, UsageError
from s3_log_roller.querying.columns import ColumnParser, Lines
from s3_log_roller.querying.engine import Question, Take, Write, ask, ask_all, understand
from s3_log_roller.querying.feed import CutOff, Feed

LINES = [a_line(uri=f"GET /{number} HTTP/1.1").replace(" 113 ", f" {number} ") for number in range(10)]


def test_a_question_is_answered_over_all_rows() -> None:
    """The rows of every batch count, lines that are not records included."""
    sql = "SELECT count(*) AS n, sum(bytes_sent)::BIGINT AS b, count(raw) AS r FROM logs"
    assert answer_of(sql, [*LINES, "nonsense"]) == [{"n": 11, "b": 45, "r": 1}]


def test_a_question_that_looks_twice_sees_all_rows_twice() -> None:
    """The stream can be read once only, so the rows are kept."""
    sql = "SELECT count(*) AS n FROM logs AS a JOIN logs AS b ON a.bytes_sent <= b.bytes_sent"
    assert answer_of(sql, LINES) == [{"n": 55}]


def test_times_are_utc() -> None:
    """Whatever the time zone of the machine and of the record."""
    sql = "SELECT strftime(time, '%d %H:%M') AS t, CAST(time AS DATE)::VARCHAR AS d FROM logs"
    assert answer_of(sql, [a_line().replace("+0000", "-2300")]) == [{"t": "06 23:00", "d": "2019-02-06"}]


def test_only_the_columns_that_a_question_needs_are_made() -> None:
    """Those in its conditions among them."""
    question = understand("SELECT requester FROM logs WHERE http_status = 200 ORDER BY user_agent", {})
    assert question.columns == {"requester", "http_status", "user_agent"}
    assert question.looks == 1


def test_reading_stops_when_the_answer_is_complete() -> None:
    """Of endless logs a few rows can be had."""
    rows = []
    batch, _ = ColumnParser().parse(f"{a_line()}\n".encode(), [Lines(1, "log", None)])

    def read(take: Take) -> None:
        for _ in count():
            take(batch)

    ask(understand("SELECT * FROM logs LIMIT 3", {}), read, lambda answer: rows.extend(answer.read_all().to_pylist()))
    assert len(rows) == 3


def test_an_error_in_reading_ends_the_question_without_an_answer() -> None:
    """A sum over half of the logs would be a lie."""
    answers = []

    def read(take: Take) -> None:
        batch, _ = ColumnParser().parse(f"{a_line()}\n".encode(), [Lines(1, "log", None)])
        take(batch)
        raise StorageError("gone")

    question = understand("SELECT count(*) FROM logs", {})
    with pytest.raises(StorageError, match="gone"):
        ask(question, read, lambda answer: answers.extend(answer.read_all().to_pylist()))
    assert answers == []


def test_an_error_in_writing_is_raised_where_it_was_asked() -> None:
    """Whoever reads the output went away, for example; reading stops."""

    def read(take: Take) -> None:
        batch, _ = ColumnParser().parse(f"{a_line()}\n".encode(), [Lines(1, "log", None)])
        for _ in count():
            take(batch)

    def write(answer: pa.RecordBatchReader) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        ask(understand("SELECT * FROM logs", {}), read, write)


def test_many_questions_are_answered_over_one_reading() -> None:
    """The logs are read once, and every question sees all rows, lines that are not records included."""
    answers: dict[str, list[dict[str, object]]] = {}
    readings = 0
    batch, _ = ColumnParser().parse(f"{a_line()}\nnonsense\n".encode(), [Lines(2, "log", None)])

    def read(take: Take) -> None:
        nonlocal readings
        readings += 1
        for _ in range(9_000):
            take(batch)

    def question(sql: str) -> tuple[Question, Write]:
        return understand(sql, {}), lambda answer: answers.update({sql: answer.read_all().to_pylist()})

    counted, summed, first = (
        "SELECT count(raw) AS n FROM logs",
        "SELECT sum(bytes_sent) AS n FROM logs",
        "FROM logs LIMIT 1",
    )
    ask_all([question(counted), question(summed), question(first)], read)
    assert (answers[counted], answers[summed]) == ([{"n": 9_000}], [{"n": 9_000 * 113}])
    assert len(answers[first]) == readings == 1


@pytest.mark.parametrize("failing", ["reading", "question"])
def test_when_one_of_many_questions_fails_none_is_answered(failing: str) -> None:
    """None of them has seen all rows."""
    answered = []
    batch, _ = ColumnParser().parse(f"{a_line()}\n".encode(), [Lines(1, "log", None)])

    def read(take: Take) -> None:
        for _ in range(100_000):
            take(batch)
        raise StorageError("gone")

    sql = "SELECT count(*) FROM logs" if failing == "reading" else "SELECT CAST(operation AS INTEGER) FROM logs"
    questions = [understand("SELECT count(*) FROM logs", {}), understand(sql, {})]
    with pytest.raises(StorageError if failing == "reading" else UsageError):
        ask_all([(one, lambda answer: answered.append(answer.read_all())) for one in questions], read)
    assert answered == []


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "selec",
        "SELECT 1; SELECT 2",
        "COPY logs TO 'x'",
        "CREATE TABLE x AS SELECT 1",
        "INSTALL httpfs",
        "SET memory_limit = '1TB'",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_csv('http://127.0.0.1:9/x.csv')",
        "SELECT $missing FROM logs",
        "SELECT nothing FROM logs",
    ],
)
def test_a_question_is_one_select_over_logs(sql: str) -> None:
    """Nothing else is run; no file and no address is opened; the message is one line."""
    with pytest.raises(UsageError) as refused:
        understand(sql, {})
    assert "\n" not in str(refused.value)


def test_what_cannot_be_computed_is_an_error_of_one_line() -> None:
    """Here a text that is not a number."""
    with pytest.raises(UsageError, match="DuckDB cannot answer the question") as refused:
        answer_of("SELECT CAST(operation AS INTEGER) FROM logs", LINES)
    assert "\n" not in str(refused.value)


def test_the_temporary_directory_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the logs stays on the disk."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = time.time()
    answer_of("SELECT count(*) FROM logs AS a, logs AS b", LINES)
    assert list(tmp_path.iterdir()) == []
    assert tmp_path.stat().st_mtime >= before - 1


def test_nobody_waits_for_rows_when_the_answer_is_complete() -> None:
    """DuckDB's threads may ask for more than was needed; waiting for ever, they would keep the program from ending."""
    feed = Feed()

    def take_all() -> None:
        with pytest.raises(CutOff):
            list(feed.batches())

    waiting = Thread(target=take_all, daemon=True)
    waiting.start()
    feed.stop()
    waiting.join(60)
    assert not waiting.is_alive()
