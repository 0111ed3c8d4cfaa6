"""JSON and CSV hold what the records hold, whichever way a line goes."""

from __future__ import annotations

import csv
import io
import json
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.odd_lines import LINES, exact_way_only, odd_lines
from tests.support.records import a_line

from s3_log_roller.reading.formats import CsvRows, Format, JsonLines, csv_header
from s3_log_roller.reading.records import decode_line, parse_record
from s3_log_roller.reading.strict_lines import Columns, Shape, split_lines
from s3_log_roller.reading.terms import Matcher, Where

WHERES = [
    "status=404",
    "status!=200",
    "key=k",
    "key='reports/My File%.csv'",
    "key!=-",
    "time>=2022-07-01T05",
    "time=2022-07-01T04:5",
    "time<2019-02-06T00:01 time>2019-02",
    "time>=2022-07-01T05 time~3",
    "bytes_sent=113",
    "agent~'^(curl|Boto3)' bytes_sent>100",
    "agent!~Mozilla",
    "signature_version=SigV4 region=us-east-1",
    "error=-",
    "host_id~=$",
]


def assert_same_both_ways(lines: list[bytes]) -> None:
    text = b"\n".join(lines) + b"\n"
    for make in (JsonLines, CsvRows):
        for name in ("", 's3://b/a",:"log'):
            quick, exact = make(), make()
            found = quick.write(text, name)
            with exact_way_only():
                assert found == exact.write(text, name)
            assert quick.unparsable == exact.unparsable
    for expression in WHERES:
        where = Where.parse([expression])
        quick_matcher, exact_matcher = Matcher(where), Matcher(where)
        picked = quick_matcher.pick(text)
        with exact_way_only():
            assert picked == exact_matcher.pick(text)
        assert quick_matcher.unparsable == exact_matcher.unparsable
        assert all(needle in line for line in picked for needle in where.needles)


@pytest.mark.heavy
def test_the_quick_way_and_the_exact_way_agree() -> None:
    """On lines as they come and on thousands of lines with something changed in them."""
    assert_same_both_ways(LINES)
    rng = Random(11)
    for _ in range(40):
        assert_same_both_ways(odd_lines(rng, 50))


@settings(max_examples=40)
@given(rng=st.randoms(use_true_random=False), count=st.integers(1, 12))
def test_they_agree_whatever_is_changed(rng: Random, count: int) -> None:
    """Also in what few lines come at a time."""
    assert_same_both_ways(odd_lines(rng, count))


def test_most_lines_go_the_quick_way() -> None:
    """Of real-looking logs all, old ones with fewer fields after the first of them."""
    text = "".join(f"{line.decode()}\n" for line in LINES[:5] + LINES[6:26])
    (columns,) = split_lines(text, Shape())
    assert isinstance(columns, Columns)
    assert columns.number == 25
    old = a_line().rpartition(" ")[0].encode() + b"\n"
    json_lines = JsonLines()
    json_lines.write(old, "")
    (columns,) = split_lines(old.decode() * 3, json_lines._shape)
    assert isinstance(columns, Columns)


def formatted(format_: Format, *lines: bytes) -> str:
    return format_.write(b"\n".join(lines), "")[0].decode()


def test_json_holds_the_record_and_the_decoded_key() -> None:
    """Every field as `parse_record` has it, the key as its owner knows it beside the key as S3 wrote it."""
    for line in LINES[:-4]:
        shown = json.loads(formatted(JsonLines(), line))
        record = parse_record(decode_line(line))
        if record is None:
            assert shown == {"raw": decode_line(line)}
        else:
            del shown["key_decoded"]
            assert shown == record
    line = a_line().replace(" k ", " reports/My%2520File%2525.csv ").encode()
    shown = json.loads(formatted(JsonLines(), line))
    assert (shown["key"], shown["key_decoded"]) == ("reports/My%2520File%2525.csv", "reports/My File%.csv")
    assert list(shown).index("key_decoded") == list(shown).index("key") + 1


def test_csv_can_be_read_back() -> None:
    """Columns under their names; what begins like a formula has an apostrophe in front."""
    out = csv_header(with_names=False) + "\n" + formatted(CsvRows(), *LINES)
    rows = list(csv.DictReader(io.StringIO(out)))
    lines = [line for line in LINES if decode_line(line)]
    assert len(rows) == len(lines)
    for row, line in zip(rows, lines, strict=True):
        record = parse_record(decode_line(line))
        if record is None:
            assert row["raw"].removeprefix("'") == decode_line(line)
            continue
        for name, value in record.items():
            shown = " ".join(value) if isinstance(value, list) else "" if value is None else str(value)
            assert row[name] == (f"'{shown}" if shown[:1] in tuple("=+-@") and shown else shown)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t="])
def test_no_cell_is_a_formula(start: str) -> None:
    """Whatever a client calls itself, and whatever a key decodes to."""
    line = a_line(agent=f"{start}1+1", referer=f"{start}1").encode()
    (row,) = csv.DictReader(io.StringIO(csv_header(with_names=False) + "\n" + formatted(CsvRows(), line)))
    assert (row["user_agent"], row["referer"]) == (f"'{start}1+1", f"'{start}1")


@pytest.mark.parametrize("format_", [JsonLines(), CsvRows()], ids=["json", "csv"])
def test_blank_lines_are_nothing(format_: Format) -> None:
    """Neither records nor lines that are none."""
    assert format_.write(b"\n\r\n\n", "") == (b"", 0)
    assert format_.unparsable == 0


@pytest.mark.parametrize(("key", "decoded"), [("my+file", "my file"), ("my%2520file", "my file"), ("file", "file")])
def test_a_key_is_decoded_whichever_way_it_is_encoded(key: str, decoded: str) -> None:
    """One behind the other, as in a log, and alone."""
    line = a_line().replace(" REST.GET.OBJECT k ", f" REST.GET.OBJECT {key} ")
    for count in (1, 3):
        written = JsonLines().write(f"{line}\n".encode() * count, "")[0]
        assert [json.loads(one)["key_decoded"] for one in written.splitlines()] == [decoded] * count
