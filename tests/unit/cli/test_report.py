"""The command line of `report`."""

from __future__ import annotations

import json
from datetime import date
from hashlib import md5
from pathlib import Path

import pytest
from bench.buckets import Bucket
from bench.s3_server import S3Server
from tests.support.missing import hide_library
from tests.support.packing import DELIVERED, Log, pack
from tests.support.quick_server import environment
from tests.support.records import a_line

from s3_log_roller.cli.main import main
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.querying.rows import ReadRows
from s3_log_roller.reading import parallel

LOG = "05-15-43-42117B9A70B0F1BA"
DAYS = ("2019-02-06", "2019-02-07", "2019-02-10")


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A log on each of three days, with two records and a line that is none."""
    folder = tmp_path / "logs"
    folder.mkdir()
    for day in DAYS:
        (folder / f"{day}-{LOG}").write_text(f"{a_line()}\n{a_line()}\nnonsense\n")
    return folder


def run(arguments: list[str], capsys: pytest.CaptureFixture[str], code: int) -> tuple[str, str]:
    assert main(["report", *arguments]) == code
    return capsys.readouterr()


@pytest.mark.parametrize("processes", ["1", pytest.param("2", marks=pytest.mark.heavy)])
def test_the_page_and_the_json_are_written_together(
    processes: str,
    logs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One reading for both, by child processes, too; all that was read is counted, also lines that are not records."""
    monkeypatch.setattr(parallel, "SHARE_BYTES", 1)  # each log is a piece of work,
    monkeypatch.setattr(ReadRows, "inline_batches", 1)  # and none is too little for child processes
    page = tmp_path / "report.html"
    said, _ = run([str(logs), "--html", str(page), "--json", "--processes", processes], capsys, 0)
    document = json.loads(said)
    assert document["read"] == {
        "rollups_found": 0,
        "logs": 3,
        "loose_logs": 3,
        "lines": 9,
        "lines_not_records": 3,
    }
    assert document["answers"]["overview"]["rows"][0]["requests"] == 6
    assert [(gap["first"], gap["last"]) for gap in document["delivery"][0]["gaps"]] == [("2019-02-08", "2019-02-09")]
    assert "3 lines of 9 are not log records" in page.read_text()
    assert "6 requests on 2019-02-06" in page.read_text()


def test_days_missing_in_the_window_are_told_and_the_future_is_not_missing(
    logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the first day that was asked for to yesterday."""
    said, _ = run([str(logs), "--json", "--since", "2019-02-05", "--until", "2019-02-11"], capsys, 0)
    gaps = json.loads(said)["delivery"][0]["gaps"]
    assert [gap["first"] for gap in gaps] == ["2019-02-05", "2019-02-08", "2019-02-11"]
    said, _ = run([str(logs), "--json", "--since", "2019-02-10", "--until", "9999-01-01"], capsys, 0)
    assert json.loads(said)["delivery"][0]["gaps"][0]["last"] < "9998"


def test_what_could_not_be_read_is_in_the_report(
    logs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is about the rest, and says so in the page, the JSON and the exit code."""
    broken = tmp_path / "broken.tgz"
    broken.write_bytes(b"this is not a tarball")
    page = tmp_path / "report.html"
    said, complained = run([str(logs), str(broken), "--html", str(page), "--json"], capsys, 3)
    document = json.loads(said)
    assert (document["not_read"], document["read"]["logs"]) == (1, 3)
    assert "broken.tgz" in document["failures"][0]
    assert "broken.tgz" in complained
    assert "Not read: " in page.read_text()


def test_a_report_without_logs_is_an_error(logs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty page would look like good news."""
    page = tmp_path / "report.html"
    _, said = run([str(logs), "--since", "2020-01-01", "--html", str(page)], capsys, 1)
    assert "none of this time" in said
    broken = tmp_path / "broken.tgz"
    broken.write_bytes(b"this is not a tarball")
    _, said = run([str(broken), "--html", str(page)], capsys, 1)
    assert "could be read, so no report was written" in said
    assert not page.exists()


def test_where_the_report_goes_must_be_said(logs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In a line, before or after the work."""
    assert "--html FILE for a page, --json for a program" in run([str(logs)], capsys, 2)[1]
    assert "cannot be written" in run([str(logs), "--html", str(tmp_path / "no" / "r.html")], capsys, 2)[1]


@pytest.mark.parametrize(("library", "extra"), [("duckdb", "query"), ("jinja2", "report")])
def test_a_missing_library_is_told_with_the_way_to_get_it(
    library: str, extra: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is read."""
    hide_library(monkeypatch, library, "s3_log_roller.querying", "s3_log_roller.pages")
    _, said = run([".", "--html", "report.html"], capsys, 2)
    assert f"needs {library}, which is not installed: pip install" in said
    assert f"[{extra}]'" in said


def test_rollups_and_loose_logs_of_a_bucket_are_one_report(
    quick_server: S3Server, quick_bucket: Bucket, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each record counts once, and a day counts as delivered whether it is rolled up or not."""
    for name, value in environment(quick_server).items():
        monkeypatch.setenv(name, value)
    body = f"{a_line()}\n".encode()
    key, content = pack(DayGroup("logs", "web/", date(2019, 2, 6)), [Log(f"2019-02-06-{LOG}", body)])
    for name, data in ((key, content), (f"web/2019-02-08-{LOG}", body), (f"api-2019-02-07-{LOG}", body)):
        quick_bucket.put(name, data, DELIVERED, etag=md5(data).hexdigest())
    document = json.loads(run(["s3://logs/", "--json"], capsys, 0)[0])
    read = document["read"]
    assert (read["rollups_found"], read["logs"], read["loose_logs"], read["lines"]) == (1, 3, 2, 3)
    assert [(one["where"], one["days"], len(one["gaps"])) for one in document["delivery"]] == [
        ("s3://logs/api-", 1, 0),
        ("s3://logs/web/", 2, 1),
    ]
