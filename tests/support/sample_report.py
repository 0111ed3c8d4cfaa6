"""A report with something of everything: three months of requests, gaps, refusals, deletes, hostile texts, failures."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from random import Random

from tests.support.records import a_line

from s3_log_roller.querying.columns import ColumnParser, Lines
from s3_log_roller.querying.engine import Take
from s3_log_roller.querying.report import Delivery, Report, Scope, answer_all, wanted_columns
from s3_log_roller.querying.rows import Seen
from s3_log_roller.reading.completeness import Gap

TODAY = date(2022, 10, 3)
FIRST = date(2022, 7, 1)
SILENT = (date(2022, 8, 16), date(2022, 8, 18))
"""The first and the last day without requests."""
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>\x1b[31m"
ALICE = "arn:aws:iam::111122223333:user/alice"
BACKUP = "arn:aws:sts::111122223333:assumed-role/nightly-backup-of-everything/i-0123456789abcdef0"
_BUSINESS = (
    ("REST.GET.OBJECT", "200 -"),
    ("REST.GET.OBJECT", "200 -"),
    ("REST.GET.OBJECT", "404 NoSuchKey"),
    ("REST.HEAD.OBJECT", "200 -"),
    ("REST.PUT.OBJECT", "200 -"),
    ("REST.PUT.OBJECT", "503 SlowDown"),
    ("REST.DELETE.OBJECT", "204 -"),
    ("REST.GET.OBJECT", "403 AccessDenied"),
)


def a_request(
    day: date,
    operation: str = "REST.GET.OBJECT",
    status: str = "200 -",
    who: str = ALICE,
    key: str = "k",
    agent: str = "-",
) -> str:
    """A record of that day."""
    return (
        a_line(agent=agent)
        .replace("06/Feb/2019", f"{day:%d/%b/%Y}")
        .replace(" - 3E57427F3 REST.GET.OBJECT k ", f" {who} 3E57427F3 {operation} {key} ")
        .replace('" 200 - 113 ', f'" {status} 11300 ')
    )


def sample_lines() -> Iterator[str]:
    """Records of three months, and a line that is none."""
    rng = Random(7)
    requesters = [ALICE, BACKUP, "-", *(f"arn:aws:iam::111122223333:role/service-{number}" for number in range(12))]
    for number in range((TODAY - FIRST).days):
        day = FIRST + timedelta(number)
        if SILENT[0] <= day <= SILENT[1]:
            continue
        for _ in range(5 if day.weekday() >= 5 else 20):
            operation, status = rng.choice(_BUSINESS)
            key = f"reports/{day:%Y/%m}/{rng.randrange(40)}.csv"
            yield a_request(day, operation, status, rng.choice(requesters), key)
    yield a_request(FIRST, who=ALICE, agent=HOSTILE).replace(" TLSv1.2 ", " TLSv1.1 ")
    yield a_request(FIRST, who="-", key=HOSTILE.replace(" ", "%2520")).replace(" SigV4 ", " SigV2 ")
    yield a_request(FIRST, "REST.PUT.BUCKETPOLICY", key="-")
    yield "nonsense"


def sample_report(*, failures: tuple[str, ...] = (f"s3://my-logs/{HOSTILE} cannot be read",)) -> Report:
    """The report on `sample_lines`."""
    lines = list(sample_lines())
    batch, counts = ColumnParser(wanted_columns()).parse(
        "".join(f"{line}\n" for line in lines).encode(), [Lines(len(lines), "log", FIRST)]
    )

    def read(take: Take) -> None:
        take(batch)

    gap = Gap("s3://my-logs/web/", *SILENT)
    return Report(
        Scope(TODAY, ("s3://my-logs/",), "2022-07-01", "2022-10-02", ()),
        answer_all(read),
        Seen(1_203, 12, counts),
        91,
        [Delivery("s3://my-logs/web/", 91, FIRST, TODAY - timedelta(1), [gap])],
        list(failures),
        len(failures),
    )
