"""What a question's condition says about lines and days saves reading, and never a row of the answer."""

from __future__ import annotations

import sys
from datetime import date
from random import Random

import pytest
from tests.support.columns import answer_of
from tests.support.odd_lines import LINES, odd_lines
from tests.support.records import a_line

from s3_log_roller.log_keys import DayGroup
from s3_log_roller.querying.conditions import ALL, Conditions, LinePicker
from s3_log_roller.querying.engine import understand
from s3_log_roller.reading.groups import Group
from s3_log_roller.reading.selection import Selection


def conditions(where: str, **parameters: str) -> Conditions:
    return understand(f"FROM logs WHERE {where}", parameters).conditions


@pytest.mark.parametrize(
    ("where", "needles"),
    [
        ("operation = 'REST.GET.OBJECT'", [{b"REST.GET.OBJECT"}]),
        ("'it''s' = user_agent", [{b"it's"}]),
        ("requester = 'caf\xe9'", [{"caf\xe9".encode()}]),
        ("http_status = 404 AND error_code = 'NoSuchKey'", [{b"404"}, {b"NoSuchKey"}]),
        ("operation IN ('a', 'b', 'c') OR requester = 'd'", [{b"a", b"b", b"c", b"d"}]),
        ("operation = 'a' OR (requester = 'bb' AND key = 'c')", [{b"a", b"bb"}]),
        ("key LIKE 'reports/%/summaries_1%'", [{b"/summaries"}]),
        ("starts_with(key, 'reports/') AND contains(referer, 'x')", [{b"reports/"}, {b"x"}]),
        ("key_decoded = 'a/b'", [{b"a/b", b"%"}]),
        ("key_decoded LIKE 'a b%'", []),
        ("requester = 'x' OR bytes_sent > 5", []),
        ("NOT operation = 'a'", []),
        ("operation <> 'a' AND requester IS NULL", []),
        ("user_agent = 'back\\slash'", []),
        ("http_status = -1 AND bytes_sent = 1.5", []),
        ("lower(operation) = 'a' AND user_agent ILIKE '%x%' AND regexp_matches(key, 'y[0-9]')", []),
        ("source = 'a' AND raw = 'b'", []),
        ("key = ''", []),
    ],
)
def test_texts_that_a_line_must_hold(where: str, needles: list[set[bytes]]) -> None:
    """Only those that are certain."""
    assert sorted(map(sorted, conditions(where).needles)) == sorted(map(sorted, needles))


@pytest.mark.parametrize(
    ("where", "first", "last"),
    [
        ("day = '2022-07-01'", "2022-07-01", "2022-07-01"),
        ("day BETWEEN '2022-07-01' AND '2022-07-03' AND day <= DATE '2022-07-02'", "2022-07-01", "2022-07-02"),
        ("time >= '2022-07-01 05:00'", "2022-06-30", "9999-12-31"),
        ("time BETWEEN '2022-07-01' AND '2022-07-03'", "2022-06-30", "9999-12-31"),
        ("time < '2022-07-01'", "0001-01-01", "9999-12-31"),
        ("time = '2022-07-01 05:00'", "2022-06-30", "9999-12-31"),
        ("day = '2022-07-01' OR key = 'a'", "0001-01-01", "9999-12-31"),
        ("day > 'infinity'", "0001-01-01", "9999-12-31"),
    ],
)
def test_days_of_logs(where: str, first: str, last: str) -> None:
    """A log is delivered after the requests that it tells of, however late."""
    found = conditions(where)
    assert (str(found.first_day), str(found.last_day)) == (first, last)


def test_conditions_elsewhere_than_on_the_table_say_nothing() -> None:
    """Other names for columns do not lead astray, and a second look at the table may want other rows."""
    assert understand("FROM logs AS l(bucket, bucket_owner) WHERE bucket = 'x'", {}).conditions.needles == ((b"x",),)
    assert (
        understand("SELECT key FROM (SELECT key, count(*) AS n FROM logs GROUP BY key) WHERE n = 5", {}).conditions
        == ALL
    )
    assert understand("FROM logs WHERE key = 'a' UNION ALL FROM logs WHERE key = 'b'", {}).conditions == ALL
    assert conditions("operation = $what", what="REST.GET.OBJECT").needles == ((b"REST.GET.OBJECT",),)


WHERES = [
    "operation = 'REST.GET.OBJECT'",
    "http_status = 404 OR error_code = 'NoSuchKey'",
    "http_status = 99",
    "bytes_sent = 113 AND requester IS NOT NULL",
    "key_decoded = 'reports/My File%.csv'",
    "key_decoded LIKE 'reports/%'",
    "key = 'k' AND operation IN ('REST.GET.OBJECT', 'REST.PUT.OBJECT')",
    "user_agent = 'caf\xe9'",
    "user_agent LIKE '%caf\\xe9%'",
    "user_agent = 'a, b' OR referer LIKE 'http://x/%'",
    "host_id = 'host=' AND tls_version = 'TLSv1.2'",
    "contains(request_uri, 'GET')",
    "acl_required = 'Yes' OR signature_version = 'SigV4'",
]


@pytest.mark.parametrize("where", WHERES)
def test_picked_lines_give_the_same_answer(where: str) -> None:
    """Over lines as they come and as nobody expects them."""
    lines = [line.decode("utf-8", "surrogateescape") for line in (*LINES, *odd_lines(Random(7), 3_000))]
    encoded = [line.encode("utf-8", "surrogateescape") for line in lines]
    sql = f"SELECT * EXCLUDE (source, day) FROM logs WHERE {where} ORDER BY ALL"
    picker = LinePicker(conditions(where))
    picked = [line for line in encoded if picker.pick(line)]
    assert answer_of(sql, picked, lines_a_batch=100) == answer_of(sql, encoded, lines_a_batch=100)
    text = b"\n".join(encoded)
    assert not picker.needles or LinePicker(conditions(where)).pick(text).rstrip(b"\n") == b"\n".join(picked).rstrip(
        b"\n"
    )


def test_a_text_without_the_needles_is_not_looked_at() -> None:
    """All of them are needed, of alternatives one."""
    found = conditions("operation IN ('a1', 'b1') AND requester = 'c1'")
    assert found.may_match(b"... b1 ... c1")
    assert not found.may_match(b"... b1 a1 ...")
    assert not found.may_match(b"... c1 ...")


def test_picking_ends_where_it_picks_nearly_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would only cost."""
    monkeypatch.setattr(sys.modules[LinePicker.__module__], "_LOOK_AT_BYTES", 1_000)
    picker = LinePicker(conditions("http_status = 200"))
    line = f"{a_line()}\n".encode()
    other = line.replace(b"200", b"404")
    assert other not in picker.pick(line * 9 + other)
    assert picker.pick(line * 9 + other) == line * 9 + other


def test_groups_of_other_days_are_left_out() -> None:
    """Where only the file tells the day, its logs are selected by it."""
    days = [date(2022, 7, day) for day in (1, 2, 3)]
    groups = [Group("b", "", DayGroup("b", "", day), Selection()) for day in days]
    unknown = Group("", "a.tgz", None, Selection())
    kept = list(Conditions((), days[1], days[1]).narrowed([*groups, unknown]))
    assert kept[0] is groups[1]
    assert (kept[1].selection.low, kept[1].selection.high) == ("2022-07-02", "2022-07-02:")
    assert list(ALL.narrowed([*groups, unknown])) == [*groups, unknown]
