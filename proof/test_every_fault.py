"""Every fault on the wire at every kind of call, once and for good."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from tests.support.fault_table import (
    FAULTS,
    IN_PARTS,
    ONE_PUT,
    SLOW_FAULTS,
    at_an_abort,
    break_and_mend,
    fill,
    may_fail,
    only,
    run_plainly,
    run_through,
    scan_through,
    two_pages,
)
from tests.support.real_day import RealDay, roll_many

from s3_log_roller.aws.s3 import opening
from s3_log_roller.demo.servers import SeaweedFS

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

ALL_FAULTS = FAULTS | SLOW_FAULTS
FOR_EVER = 1_000_000


@pytest.fixture
def enough_patience(patience: None, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """libcurl notices up to five seconds late that nothing comes any more; then there must be time to try again."""
    if fault in SLOW_FAULTS:
        monkeypatch.setattr(opening, "DEFAULT_TIMEOUT_S", 20.0)


LEAVES_AN_UPLOAD = {"CreateMultipartUpload"}
"""The id of an upload whose creation was not answered is unknown, so nobody can abort it; a lifecycle rule does."""


@pytest.mark.usefixtures("enough_patience")
@pytest.mark.parametrize("operation", ["HeadBucket", *ONE_PUT, *IN_PARTS])
@pytest.mark.parametrize("fault", ALL_FAULTS)
def test_every_fault_at_every_call(
    seaweedfs: SeaweedFS, s3: S3Client, bucket: str, fault: str, operation: str, figure: Callable[[str], None]
) -> None:
    """Once: the run succeeds, but for a few flipped bits. Always: one clear error, or success where it does no harm.

    After either nothing is lost, within a bounded time, and the next plain run reaches the end state.
    """
    for times in (1, FOR_EVER):
        day = RealDay(s3, bucket, f"{times}/")
        fill(day, operation)
        started = time.monotonic()
        plan = only(operation, ALL_FAULTS[fault], times)
        error = break_and_mend(seaweedfs, day, plan, open_uploads=operation in LEAVES_AN_UPLOAD)
        assert time.monotonic() - started < 60
        if times == 1:
            assert error is None or may_fail(fault, operation), error
        outcome = type(error).__name__ if error else "success"
        figure(f"FAULT {'once' if times == 1 else 'always'} {operation}, {fault}: {outcome}")


@pytest.mark.usefixtures("enough_patience")
@pytest.mark.parametrize("operation", ONE_PUT)
@pytest.mark.parametrize("fault", ALL_FAULTS)
def test_every_fault_at_every_call_of_a_pass(
    seaweedfs: SeaweedFS, s3: S3Client, bucket: str, fault: str, operation: str, figure: Callable[[str], None]
) -> None:
    """The same for four day groups that go together, within the same time."""
    for times in (1, FOR_EVER):
        day = RealDay(s3, bucket, f"{times}/")
        day.fill_many()
        started = time.monotonic()
        error = break_and_mend(seaweedfs, day, only(operation, ALL_FAULTS[fault], times), work=roll_many)
        assert time.monotonic() - started < 60
        assert times > 1 or error is None or may_fail(fault, operation), error
        outcome = type(error).__name__ if error else "success"
        figure(f"FAULT IN A PASS {'once' if times == 1 else 'always'} {operation}, {fault}: {outcome}")


@pytest.mark.usefixtures("enough_patience")
@pytest.mark.parametrize("fault", ALL_FAULTS)
def test_every_fault_at_an_abort(
    seaweedfs: SeaweedFS, s3: S3Client, bucket: str, fault: str, figure: Callable[[str], None]
) -> None:
    """The error is that of the upload. Once: no upload stays open. Always: it may, and nothing else comes of it."""
    for times in (1, FOR_EVER):
        day = RealDay(s3, bucket, f"{times}/")
        fill(day, "AbortMultipartUpload")
        started = time.monotonic()
        error = run_through(seaweedfs, day, at_an_abort(only("AbortMultipartUpload", ALL_FAULTS[fault], times)))
        assert time.monotonic() - started < 60
        assert "AccessDenied" in str(error)
        left_open = len(day.open_uploads())
        assert times > 1 or not left_open
        day.assert_untouched()
        run_plainly(seaweedfs, day)
        day.assert_exactly_once()
        how = "once" if times == 1 else "always"
        figure(f"FAULT {how} AbortMultipartUpload, {fault}: the first error, {left_open} uploads left open")


@pytest.mark.usefixtures("enough_patience")
@pytest.mark.parametrize("fault", ALL_FAULTS)
def test_every_fault_at_a_scan(
    seaweedfs: SeaweedFS, s3: S3Client, bucket: str, fault: str, figure: Callable[[str], None]
) -> None:
    """At the first page, at the second, at all: every day group is found, or there is one clear error.

    A flipped bit in a key makes another key of it, as nothing on plain HTTP could tell; the next scan is right.
    """
    day = RealDay(s3, bucket, "x/")
    groups = two_pages(day)
    for times, after in ((1, 0), (1, 1), (FOR_EVER, 0), (FOR_EVER, 1)):
        started = time.monotonic()
        found, error = scan_through(seaweedfs, day, only("ListObjects", ALL_FAULTS[fault], times, after=after))
        assert time.monotonic() - started < 60
        if not fault.startswith("flipped answer"):
            assert error is not None or found == groups
            assert times > 1 or error is None
            assert found == groups[: len(found)]
        how = f"{'once' if times == 1 else 'always'} from page {after + 1}"
        what = type(error).__name__ if error else "success" if found == groups else f"another list, {len(found)} groups"
        figure(f"FAULT {how} of a scan, {fault}: {what}")
        assert scan_through(seaweedfs, day, lambda exchange: None) == (groups, None)
