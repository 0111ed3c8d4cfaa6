"""The report: many questions over one reading, as a page and as JSON."""

from __future__ import annotations

import json
import re
from collections import Counter

from tests.support.sample_report import ALICE, HOSTILE, sample_lines, sample_report

from s3_log_roller.querying.columns import ColumnParser, Lines
from s3_log_roller.querying.document import to_json
from s3_log_roller.querying.engine import Take, understand
from s3_log_roller.querying.page import SECTIONS, render_page
from s3_log_roller.querying.questions import find_question
from s3_log_roller.querying.report import MAX_ROWS, QUESTIONS, answer_all
from s3_log_roller.reading.records import parse_record


def test_the_figures_are_those_of_the_records() -> None:
    """Counted once more here, by records read one by one."""
    records = [record for line in sample_lines() if (record := parse_record(line)) is not None]
    report = sample_report()
    assert report.overview["records"] == len(records)
    assert report.overview["refused"] == sum(record["http_status"] == 403 for record in records)
    assert report.overview["deleted"] == sum(record["operation"] == "REST.DELETE.OBJECT" for record in records)
    assert report.overview["bytes_sent"] == sum(int(str(record["bytes_sent"])) for record in records)
    by_day = Counter(str(record["time"])[:10] for record in records)
    assert {row["on_day"]: row["requests"] for row in report.answers["requests-by-day"].dicts()} == by_day
    requesters = Counter(str(record["requester"] or "anonymous") for record in records)
    answer = report.answers["bytes-by-requester"].dicts()
    assert {row["requester"]: row["requests"] for row in answer} == requesters


def test_every_question_goes_through_the_logs_once() -> None:
    """What goes twice would be kept; the memory would grow with the logs."""
    for name in QUESTIONS:
        named = find_question(name)
        assert understand(named.text, named.with_defaults({})).looks == 1, name


def test_every_answer_is_on_the_page() -> None:
    """Each in a section; the first ones at the top."""
    shown = {name for parts in SECTIONS.values() for name in parts}
    assert shown | {"overview", "requests-by-day", "requests-by-operation"} == set(QUESTIONS)


def test_a_long_answer_says_that_it_is_cut_off() -> None:
    """Rows beyond the limit are not shown, and nobody is led to think that there are none."""
    lines = "".join(f"{line}\n" for line in sample_lines())
    many = "".join(lines.replace("service-", f"service-{number}-") for number in range(20)).encode()
    batch, _ = ColumnParser().parse(many, [Lines(many.count(b"\n"), "log", None)])

    def read(take: Take) -> None:
        take(batch)

    answers = answer_all(read)
    assert (len(answers["top-keys"].rows), answers["top-keys"].is_complete) == (MAX_ROWS, False)
    assert (len(answers["bytes-by-requester"].rows), answers["bytes-by-requester"].is_complete) == (MAX_ROWS, False)
    assert answers["sigv2"].is_complete
    assert len(answers["requests-by-day"].rows) == 91


def test_the_page_holds_everything_it_needs() -> None:
    """Nothing is loaded from anywhere, and its policy for content forbids it; texts of strangers are texts."""
    page = render_page(sample_report())
    text = re.sub(r"&lt;.*?&gt;", "", page)
    assert not re.search(r"""(src|href)=|url\(|@import""", text)
    assert "default-src 'none'" in page
    assert page.count("<script>") == 1
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "\x1b" not in page
    assert len(page) < 200_000


def test_what_is_missing_is_told() -> None:
    """What could not be read, lines that are not records, days without logs, answers that go on."""
    page = render_page(sample_report())
    assert "Not read: s3://my-logs/" in page
    assert "1 line of 1,404 is not a log record" in page
    assert "Neither logs nor rollups: s3://my-logs/web/: 2022-08-16 to 2022-08-18 (3 days)" in page
    assert "<code>s3-log-roller query --name top-keys</code>" in page


def test_the_json_has_everything_that_the_page_has() -> None:
    """And all of it can be read back."""
    document = json.loads(json.dumps(to_json(sample_report())))
    assert document["read"] == {
        "rollups_found": 91,
        "logs": 1_203,
        "loose_logs": 12,
        "lines": 1_404,
        "lines_not_records": 1,
    }
    assert list(document["answers"]) == list(QUESTIONS)
    assert document["answers"]["old-tls"]["rows"][0]["user_agent"] == HOSTILE
    assert document["answers"]["config-changes"]["rows"][0]["requester"] == ALICE
    assert document["delivery"][0]["gaps"] == [{"first": "2022-08-16", "last": "2022-08-18", "days": 3}]
    assert document["not_read"] == len(document["failures"]) == 1
