from __future__ import annotations

import re
from datetime import UTC, date, datetime
from itertools import pairwise
from random import Random
from statistics import mean

import pytest

from s3_log_roller.demo.sample_logs import RECORDS_PER_LOG, sample_day, sample_key, sample_log
from s3_log_roller.log_keys import LogKey, parse_log_key

DAY = date(2022, 7, 1)
WHEN = datetime(2022, 7, 1, 5, 15, 43, tzinfo=UTC)

FIELDS_OF_A_RECORD = 27
"""S3 User Guide, "Amazon S3 server access log format"; the time stands in brackets, some fields in quotes."""
FIELD = re.compile(r'\[[^\]]*\]|"[^"]*"|[^ "\[\]]+')


def fields(record: str) -> list[str]:
    assert re.fullmatch(rf"(?:{FIELD.pattern})(?: (?:{FIELD.pattern}))*", record)
    return FIELD.findall(record)


def a_day(seed: int = 1, target_prefix: str = "web/") -> list[tuple[str, bytes]]:
    return list(sample_day(Random(seed), DAY, "shop", target_prefix, 200))


def test_a_record_has_the_fields_of_an_access_log() -> None:
    """27 of them, each of the kind that S3 writes in its place; a log is whole lines."""
    log = sample_log(Random(1), WHEN, "shop", 500).decode()
    assert log.endswith("\n")
    records = log.splitlines()
    assert len(records) == 500
    for record in records:
        values = fields(record)
        assert len(values) == FIELDS_OF_A_RECORD
        assert re.fullmatch("[0-9a-f]{64}", values[0])
        assert values[1] == "shop"
        datetime.strptime(values[2], "[%d/%b/%Y:%H:%M:%S %z]")
        assert re.fullmatch("[0-9A-F]{16}", values[5])
        method, status, error = values[6].split(".")[1], int(values[9]), values[10]
        assert values[8] == f'"{method} /{values[7]} HTTP/1.1"'
        assert (error != "-") == (status >= 400)
        assert re.fullmatch("[A-Za-z0-9+/]{75}=", values[18])
        assert values[22] == "shop.s3.us-west-2.amazonaws.com"


def test_records_are_in_the_order_of_their_times() -> None:
    """A log's records come as the requests did, the first one some time before the log's delivery."""
    log = sample_log(Random(1), WHEN, "shop").decode()
    times = [datetime.strptime(fields(record)[2], "[%d/%b/%Y:%H:%M:%S %z]") for record in log.splitlines()]
    assert times == sorted(times)
    assert times[0] < WHEN


def test_logs_have_the_size_of_real_ones() -> None:
    """A record of some 530 bytes, a log of some 3.7 KB; the benchmarks' figures are per such a log."""
    logs = [content for _, content in a_day()]
    assert mean(map(len, logs)) == pytest.approx(3_700, rel=0.1)
    assert sum(map(len, logs)) / sum(log.count(b"\n") for log in logs) == pytest.approx(530, rel=0.05)
    assert len({log.count(b"\n") for log in logs}) > 5
    assert mean(log.count(b"\n") for log in logs) == pytest.approx(RECORDS_PER_LOG, rel=0.1)


@pytest.mark.parametrize("target_prefix", ["", "web/", "logs/web-"])
def test_a_days_keys_are_log_keys_of_that_day_in_order(target_prefix: str) -> None:
    """Every key parses as a log of that target prefix and day, each is there once, in S3's order."""
    keys = [key for key, _ in a_day(target_prefix=target_prefix)]
    assert len(keys) == 200
    assert {parse_log_key(key) for key in keys} == {LogKey(target_prefix, DAY)}
    assert all(key < following for key, following in pairwise(keys))


def test_a_key_tells_the_time_in_utc() -> None:
    """Whatever the time zone of the moment."""
    when = datetime.fromisoformat("2022-07-01T23:30:00-07:00")
    assert sample_key("web/", when, Random(1)).startswith("web/2022-07-02-06-30-00-")


def test_a_seed_gives_the_same_logs_every_time() -> None:
    """The same keys and bytes for the same seed, others for another: golden rollups and benchmarks rest on it."""
    assert a_day(seed=1) == a_day(seed=1)
    assert not dict(a_day(seed=1)).keys() & dict(a_day(seed=2)).keys()
    assert not {content for _, content in a_day(seed=1)} & {content for _, content in a_day(seed=2)}
