"""The command line of `query`."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.logs import DAY, log_key
from tests.support.memory_day import roll
from tests.support.memory_store import MemoryStore
from tests.support.missing import hide_library
from tests.support.records import a_line

from s3_log_roller.cli.main import main

LOG = "2022-07-01-05-15-43-42117B9A70B0F1BA"


def run(arguments: list[str], capsys: pytest.CaptureFixture[str], code: int) -> tuple[str, str]:
    assert main(["query", *arguments]) == code
    return capsys.readouterr()


def test_a_missing_library_is_told_with_the_way_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not everybody installs the extra. The list of questions does not need it."""
    hide_library(monkeypatch, "duckdb", "s3_log_roller.querying")
    _, said = run(["SELECT 1 FROM logs", "."], capsys, 2)
    assert "query needs duckdb, which is not installed: pip install" in said
    assert "who-deleted" in run(["--list"], capsys, 0)[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "write a SELECT"),
        (["SELECT 1 FROM logs"], "say where the logs are"),
        (["--name", "who-deleted"], "say where the logs are"),
        (["--name", "no-such", "."], "there is no question called 'no-such'"),
        (["--list", "SELECT 1"], "answer no question"),
        (["SELECT $a FROM logs", ".", "--param", "a"], "--param 'a' is not a parameter"),
    ],
)
def test_a_question_and_a_place_are_needed(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is missing is said in a line."""
    assert message in run(arguments, capsys, 2)[1]


def test_options_may_stand_anywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With `--name` all words are places. A question that needs one row is answered although reading stops."""
    (tmp_path / LOG).write_bytes(b"nonsense\n")
    sql = "SELECT raw, day FROM logs LIMIT 1"
    assert run([sql, "--output", "csv", str(tmp_path)], capsys, 0)[0] == "raw,day\nnonsense,2022-07-01\n"
    assert run(["--name", "top-keys", str(tmp_path), "--output", "json"], capsys, 0)[0] == ""
    assert run(["SELECT $a AS a FROM logs", str(tmp_path), "--param", "a=x"], capsys, 0)[0] == "a\nx\n"
    assert "FROM logs" in run(["--show", "who-deleted"], capsys, 0)[0]


def test_the_program_ends_when_nobody_reads_the_answer_any_more(tmp_path: Path) -> None:
    """`query … | head -1` does not wait for rows that nobody wants."""
    (tmp_path / LOG).write_text(f"{a_line()}\n" * 40_000)
    program = "import sys; from s3_log_roller.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "query", "FROM logs", str(tmp_path), "--output", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b'{"bucket_owner"')
        process.stdout.close()
        try:
            process.wait(120)
        finally:
            process.kill()


def test_only_days_that_can_hold_wanted_rows_are_read(store: MemoryStore, capsys: pytest.CaptureFixture[str]) -> None:
    """By the conditions in the SQL. Where none can, the answer is empty, which is no error."""
    days = [DAY, DAY + timedelta(1), DAY + timedelta(2)]
    line = a_line(uri="GET /k HTTP/1.1")
    for day in days:
        store.put(log_key(1, day=day), line.replace("06/Feb/2019", f"{day:%d/%b/%Y}").encode())
        roll(store, day=day)
    read: list[str] = []
    store.before = lambda step, key: read.append(key) if step == "fetch" else None
    for where, number, touched in (
        (f"day = '{days[1]}'", 1, days[1:2]),
        (f"day >= '{days[1]}'", 2, days[1:]),
        (f"time >= '{days[2]}'", 1, days[1:]),
        ("day = '2030-01-01'", 0, []),
        ("operation = 'REST.NO.SUCH'", 0, days),
    ):
        read.clear()
        sql = f"SELECT count(*) AS n FROM logs WHERE {where}"
        assert run([sql, "s3://bucket/", "--output", "csv"], capsys, 0)[0] == f"n\n{number}\n"
        assert {key.partition("rollup-")[2][:10] for key in read} == set(map(str, touched))
