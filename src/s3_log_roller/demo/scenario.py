"""What the demo puts into its buckets, and the prefixes it is rolled up under."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Final, NamedTuple

from s3_log_roller.demo.sample_logs import RECORDS_PER_LOG, sample_day, sample_key, sample_log

BUCKETS: Final = ("bucket1", "bucket2", "bucket3")
PREFIXES: Final = ("s3://bucket1/", "s3://bucket2/logs/", "s3://bucket3/access-logs/example.com/")

DAYS: Final = (date(2022, 7, 1), date(2022, 7, 2))
README_LOGS: Final = (
    "2022-07-01-05-15-43-42117B9A70B0F1BA",
    "2022-07-01-05-21-46-66A49E4B82CEA312",
    "2022-07-01-05-31-51-2F572D0BD05E48EF",
    "2022-07-02-00-21-50-EA56CA33F44CFE0E",
    "2022-07-02-00-41-28-C88B4724EC22EBB0",
    "2022-07-02-05-13-29-E4E5C6CF6881DCA8",
    "2022-07-03-01-24-22-C8FB35206F454BBA",
    "2022-07-03-01-27-42-5AD4C461AB01E837",
    "2022-07-03-05-36-30-2C5ECE485C48D3EB",
)
"""The logs of the README's example, under `s3://bucket1/example.com/`."""

LOGS_A_DAY: Final = {"web": 400, "api": 200, "example.com": 400}
"""How many logs a day there are for each bucket whose requests are logged."""
LOGS_TODAY: Final = 12


class Place(NamedTuple):
    """Where an object is."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True)
class Scenario:
    """Objects and their contents."""

    past: dict[Place, bytes]
    """Logs of past days, which are rolled up."""
    today: dict[Place, bytes]
    """Logs of today, which are left alone."""
    no_logs: dict[Place, bytes]
    """Objects that are not logs and are never touched."""

    @property
    def untouched(self) -> dict[Place, bytes]:
        """The objects that must be unchanged afterwards."""
        return self.today | self.no_logs

    @property
    def everything(self) -> dict[Place, bytes]:
        """All objects."""
        return self.past | self.untouched


def make_scenario(today: date) -> Scenario:
    """The objects of the demo: the same ones every time but for those of `today`."""
    past = dict(_readme_logs(Random("README")))  # noqa: S311 - the same every time is the point
    for day in DAYS:
        past |= dict(_logs(day, LOGS_A_DAY))
    return Scenario(past, dict(_logs(today, dict.fromkeys(LOGS_A_DAY, LOGS_TODAY))), dict(_no_logs()))


def _logs(day: date, logs: dict[str, int]) -> Iterator[tuple[Place, bytes]]:
    """A day's logs: of two buckets in one folder, told apart by a prefix without a slash, and date-partitioned ones."""
    for source in ("web", "api"):
        rng = Random(f"{source} {day}")  # noqa: S311
        for key, content in sample_day(rng, day, source, f"logs/{source}-", logs[source]):
            yield Place("bucket2", key), content
    # Partitioned by event time, hh-mm-ss is 00-00-00 (S3 API, PartitionedPrefix).
    rng = Random(f"partitioned {day}")  # noqa: S311
    midnight = datetime.combine(day, time(), UTC)
    partition = f"access-logs/example.com/111122223333/us-west-2/example.com/{day:%Y/%m/%d}/"
    for _ in range(logs["example.com"]):
        when = midnight + timedelta(seconds=rng.randrange(3_600, 82_800))
        yield Place("bucket3", sample_key(partition, midnight, rng)), sample_log(rng, when, "example.com")


def _readme_logs(rng: Random) -> Iterator[tuple[Place, bytes]]:
    for name in README_LOGS:
        when = datetime.strptime(name[:19], "%Y-%m-%d-%H-%M-%S").replace(tzinfo=UTC)
        records = rng.randint(1, 2 * RECORDS_PER_LOG)
        yield Place("bucket1", f"example.com/{name}"), sample_log(rng, when, "example.com", records)


def _no_logs() -> Iterator[tuple[Place, bytes]]:
    yield Place("bucket1", "example.com/robots.txt"), b"User-agent: *\nDisallow: /\n"
    yield Place("bucket2", "logs/web-2022-02-30-05-15-43-42117B9A70B0F1BA"), b"a day that never was\n"
    yield Place("bucket2", "logs/web-2022-07-01.tar.gz"), b"somebody's own archive\n"
    yield Place("bucket3", "access-logs/example.com/about-these-logs.html"), b"<p>Logs of example.com</p>\n"
