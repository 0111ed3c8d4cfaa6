"""Faults on the wire by name, and one run of the program with each at one kind of call."""

from __future__ import annotations

from datetime import date
from random import Random
from typing import Protocol

import pytest
from tests.support import faulty_proxy as faults
from tests.support.faulty_proxy import Exchange, Fault, FaultyProxy, Plan
from tests.support.logs import TODAY, log_key
from tests.support.real_day import RealDay, opened, reconcile_day

from s3_log_roller.aws.s3 import S3Bucket, deletes, opening, uploads
from s3_log_roller.demo.servers import SeaweedFS
from s3_log_roller.errors import RollerError
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rolling.scan import scan
from s3_log_roller.rolling.tasks import ScanTask
from s3_log_roller.rolling.window import Window

ONE_PUT = ["ListObjects", "GetObject", "PutRollup", "GetRollup", "DeleteObjects"]
IN_PARTS = ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"]
FAULTS: dict[str, Fault] = {
    "reset before the request": faults.reset_before_request,
    "closed before the request": faults.close_before_request,
    "reset after the request": faults.reset_after_request,
    "reset in the header": faults.reset_in_header,
    "reset in the body": faults.reset_in_body,
    "closed in the body": faults.close_in_body,
    "503": faults.answer(503, "SlowDown"),
    "500": faults.answer(500, "InternalError"),
    "500 though it was done": faults.answer(500, "InternalError", done=True),
    "429": faults.answer(429, "TooManyRequests"),
    "400 RequestTimeout": faults.answer(400, "RequestTimeout"),
    "shorter": faults.shorter(7),
    "empty": faults.shorter(1 << 30),
    "content-length too high": faults.wrong_length(9),
    "content-length too low": faults.wrong_length(-9),
    "flipped answer, early": faults.flip_answer(0.02),
    "flipped answer, middle": faults.flip_answer(0.5),
    "flipped answer, late": faults.flip_answer(0.97),
    "flipped request": faults.flip_request(0.4),
    "no HTTP": faults.garbage,
}


SLOW_FAULTS: dict[str, Fault] = {
    "hangs before the answer": faults.hang_before_answer,
    "hangs in the body": faults.hang_in_body,
    "drips": faults.drip,
}
"""These take a time-out each."""


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little of it: three attempts of a second each, and deletes are put off for five."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")
    monkeypatch.setattr(opening, "DEFAULT_TIMEOUT_S", 8.0)
    monkeypatch.setattr(deletes, "PATIENCE_S", 5.0)
    monkeypatch.setattr(uploads, "PART_BYTES", 5 << 20)  # the smallest that S3 takes


def only(operation: str, fault: Fault, times: int, *, after: int = 0) -> Plan:
    """The fault at so many calls of that kind, `after` some that pass; all others pass."""
    seen = 0

    def plan(exchange: Exchange) -> Fault | None:
        nonlocal seen
        if exchange.operation != operation:
            return None
        seen += 1
        return fault if after < seen <= after + times else None

    return plan


def fill(day: RealDay, operation: str) -> None:
    """A short day: large enough for an upload in parts where the operation is one of those."""
    if operation in IN_PARTS or operation == "AbortMultipartUpload":
        for number in range(4):
            day.put(log_key(number, day.prefix), Random(number).randbytes(1_800_000))
    else:
        day.fill(3)


class Work(Protocol):
    """What is run on the logs under a prefix."""

    def __call__(self, store: S3Bucket, bucket: str, prefix: str, *, delete: bool) -> object: ...


def run_through(
    server: SeaweedFS, day: RealDay, plan: Plan, *, delete: bool = True, work: Work = reconcile_day
) -> RollerError | None:
    """One run whose every request goes through a faulty proxy; the error it ended with, if any.

    Anything but a `RollerError` is a failure of the test, as is an error of many lines.
    """
    ended = None
    with FaultyProxy(server.port, plan) as proxy:
        try:
            with opened(proxy.url, server.access_key, server.secret_key, day.bucket) as store:
                work(store, day.bucket, day.prefix, delete=delete)
        except RollerError as error:
            ended = error
    check_error(ended, day)
    return ended


def check_error(error: RollerError | None, day: RealDay) -> None:
    """An error is one line and names the bucket."""
    if error is not None:
        assert len(str(error).splitlines()) == 1, error
        assert day.bucket in str(error)


def scan_through(server: SeaweedFS, day: RealDay, plan: Plan) -> tuple[list[DayGroup], RollerError | None]:
    """The day groups that a scan finds through a faulty proxy, up to the error it ended with, if any."""
    found: list[DayGroup] = []
    ended = None
    with FaultyProxy(server.port, plan) as proxy:
        try:
            with opened(proxy.url, server.access_key, server.secret_key, day.bucket) as store:
                found.extend(one.group for one in scan(store, ScanTask(day.bucket, day.prefix, Window(TODAY))))
        except RollerError as error:
            ended = error
    check_error(ended, day)
    return found, ended


def two_pages(day: RealDay) -> list[DayGroup]:
    """Put so many logs that a scan takes two LISTs; the day groups there are."""
    day.bodies |= {log_key(second, day.prefix): b"" for second in range(1001)}
    day.fill(1, days=3)
    return [DayGroup(day.bucket, day.prefix, date(2022, 7, number)) for number in (1, 2, 3)]


def at_an_abort(plan: Plan) -> Plan:
    """What the plan says, and an upload in parts that is refused at its end, so that it has to be aborted."""

    def both(exchange: Exchange) -> Fault | None:
        if exchange.operation == "CompleteMultipartUpload":
            return faults.answer(403, "AccessDenied")
        return plan(exchange)

    return both


def run_plainly(server: SeaweedFS, day: RealDay, *, delete: bool = True, work: Work = reconcile_day) -> None:
    with opened(server.endpoint, server.access_key, server.secret_key, day.bucket) as store:
        work(store, day.bucket, day.prefix, delete=delete)


def break_and_mend(
    server: SeaweedFS, day: RealDay, plan: Plan, *, open_uploads: bool = False, work: Work = reconcile_day
) -> RollerError | None:
    """Run with faults: nothing is lost. Run without: all is done. Returns the error of the first run, if any.

    `open_uploads`: the fault is one of those that may leave one.
    """
    error = run_through(server, day, plan, work=work)
    day.assert_nothing_lost()
    if error is None:
        assert not set(day.keys()) & set(day.bodies)
    assert open_uploads or day.open_uploads() == []
    run_plainly(server, day, work=work)
    day.assert_exactly_once()
    return error


def may_fail(fault: str, operation: str) -> bool:
    """Whether a single such fault may end a run: where a flipped bit makes another request or answer of it.

    And a HEAD's answer has no body that could tell one 400 from another.
    """
    if operation == "HeadBucket":
        return fault == "400 RequestTimeout"
    return (fault == "flipped request" and operation not in {"ListObjects", "GetObject", "GetRollup"}) or (
        fault.startswith("flipped answer") and operation in {"GetRollup", "DeleteObjects", *IN_PARTS}
    )
