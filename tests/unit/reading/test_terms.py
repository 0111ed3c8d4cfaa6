"""`--where` finds the records whose fields are as asked for, and refuses what makes no sense."""

from __future__ import annotations

import pytest
from tests.support.records import GUIDE, POINT, a_line, parsed

from s3_log_roller.errors import UsageError
from s3_log_roller.reading.terms import Matcher, Where


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ("status=404", [2]),
        ("http_status=404 operation=REST.GET.BUCKETPOLICY", [2]),
        ("status=404 operation=REST.PUT.OBJECT", []),
        ("status!=200", [2]),
        ("status>=400", [2]),
        ("bytes_sent<200", [0, 3]),
        ("bytes_sent>113", [1, 2]),
        ("key=-", [0, 1, 2, 3]),
        ("key!=-", [4]),
        ("key=''", [0, 1, 2, 3]),
        ("error_code~^NoSuch", [2]),
        ("error!~Bucket", [0, 1, 3, 4]),
        (r"uri~'s3-dg\.pdf HTTP'", [4]),
        ('uri="PUT /amzn-s3-demo-bucket1/s3-dg.pdf HTTP/1.1"', [4]),
        ("time=2019-02-06T00:01", [3, 4]),
        ("time>2019-02-06T00:01:00", [4]),
        ("time<2019-02-06T00:01", [0, 1, 2]),
        ("time=2019-0 time='2019-02-06 00:01Z'", [3, 4]),
        ("time>=2019-02-06T0001", [3, 4]),
        ("time=2019-02-06T00:00:3", [0, 1, 2]),
        ("time>2018", [0, 1, 2, 3, 4]),
        ("access_point_arn=" + POINT, [0]),
    ],
)
def test_where(terms: str, expected: list[int]) -> None:
    """Terms hold all together; a needle is in every line that fulfils them."""
    where = Where.parse([terms])
    assert [n for n, line in enumerate(GUIDE) if where.matches(parsed(line))] == expected
    assert all(needle in GUIDE[n].encode() for n in expected for needle in where.needles)


def test_where_more_than_once() -> None:
    """As if all terms stood in one."""
    assert [Where.parse(["status=200", "key!=-"]).matches(parsed(line)) for line in GUIDE] == [False] * 4 + [True]


@pytest.mark.parametrize(
    "terms",
    [
        *("", "status", "sttus=4", "status=four", "key<a", "error~(", "uri='x", "status<-"),
        *("time>2019-13-01", "time=06/Feb/2019", "time<yesterday", "time>=2019-02-06T25", "time=2019-02-3"),
        *("time=2019-02-06T00:00:38+01:00", "time!=2019-2"),
    ],
)
def test_where_that_makes_no_sense(terms: str) -> None:
    """Is refused with the words that are wrong."""
    with pytest.raises(UsageError, match="--where"):
        Where.parse([terms])


@pytest.mark.parametrize("operation", ["REST.GET.OBJECT", "S3.EXPIRE.OBJECT", "BATCH.DELETE.OBJECT"])
@pytest.mark.parametrize(
    "written", ["reports/My%2520File%2525.csv", "reports/My%20File%25.csv", "reports/My+File%25.csv"]
)
def test_keys_are_found_as_users_know_them(operation: str, written: str) -> None:
    """However often S3 encoded them; as they are in the log, too."""
    record = parsed(a_line().replace(" REST.GET.OBJECT k ", f" {operation} {written} "))
    for expression in ("key='reports/My File%.csv'", f"key={written}", r"key~'^reports/My File%\.csv$'"):
        where = Where.parse([expression])
        assert where.matches(record)
        assert all(needle.decode() in written for needle in where.needles)
    for expression in ("key='reports/My File.csv'", "key!='reports/My File%.csv'", "key!~'My File'"):
        assert not Where.parse([expression]).matches(record)


@pytest.mark.parametrize(
    ("field", "values"), [("status", ("200", "404", "500")), ("time", ("2019-02-05", "2019-02-06T00", "2019-02-07"))]
)
def test_numbers_and_times_are_compared_with_what_is_below_equal_and_above(
    field: str, values: tuple[str, str, str]
) -> None:
    """By each of the operators."""
    record = parsed(a_line().replace('" 200 ', '" 404 '))
    for operator, expected in {
        "=": [False, True, False],
        "!=": [True, False, True],
        "<": [False, False, True],
        "<=": [False, True, True],
        ">": [True, False, False],
        ">=": [True, True, False],
    }.items():
        assert [Where.parse([f"{field}{operator}{value}"]).matches(record) for value in values] == expected, operator


def test_only_a_time_may_be_the_beginning_of_one() -> None:
    """Of other texts all must be the same."""
    record = parsed(a_line())
    for term in ("operation=REST.GET", "key=k2", "host_header=b"):
        assert not Where.parse([term]).matches(record)
    assert Where.parse(["operation=REST.GET.OBJECT time=2019 key=k"]).matches(record)


def test_an_expression_is_not_found_in_what_is_not_there() -> None:
    """A field without a value is no text."""
    record = parsed(a_line())
    assert record["version_id"] is None
    for expression in ("None", "null", "-", ".*"):
        assert not Where.parse([f"version_id~{expression}"]).matches(record)
        assert Where.parse([f"version_id!~{expression}"]).matches(record)


def test_a_plus_sign_in_a_key_may_be_a_blank() -> None:
    """Where nothing else of it is encoded, too."""
    record = parsed(a_line().replace(" REST.GET.OBJECT k ", " REST.GET.OBJECT my+file "))
    for key in ("my+file", "my file"):
        assert Where.parse([f"key='{key}'"]).matches(record)


@pytest.mark.parametrize("term", ["operation!=REST.GET.OBJECT", "key!~k", "status!=200", "time=2019", "key=-"])
def test_what_must_not_be_in_a_line_is_not_looked_for_in_it(term: str) -> None:
    """Only what every line holds that matches may be searched for before."""
    assert Where.parse([term]).needles == ()


def test_blank_lines_are_not_taken_for_records_that_cannot_be_parsed() -> None:
    """Others that are not records are counted."""
    matcher = Matcher(Where.parse(["status=200"]))
    lines = "\n".join(["", a_line(), "\r", "nonsense", ""]).encode() + b"\n"
    assert matcher.pick(lines) == [a_line().encode()]
    assert matcher.unparsable == 1


def test_fields_that_older_records_do_not_have_are_without_a_value() -> None:
    """Also where many such lines come one behind the other, whose plain ones are looked at the quick way."""
    whole = a_line(behind="")
    short = whole[: whole.index(" TLSv1.2")]
    lines = "\n".join([short, short, whole, short]).encode() + b"\n"
    for terms, expected in (
        ("tls_version=-", [short] * 3),
        ("tls_version!=-", [whole]),
        ("tls_version=- source_region=- status=200", [short] * 3),
        ("status=200 source_region=us-east-1", [whole]),
    ):
        matcher = Matcher(Where.parse([terms]))
        for _ in range(2):  # the second time it knows how long they are
            assert matcher.pick(lines) == [line.encode() for line in expected]
