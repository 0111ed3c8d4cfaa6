"""`--where` finds the records whose fields are as asked for, and refuses what makes no sense."""

from __future__ import annotations

import pytest
from tests.support.records import GUIDE, POINT, a_line, parsed

from s3_log_roller.errors import UsageError
from s3_log_roller.reading.terms import Where


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
