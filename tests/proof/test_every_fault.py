"""Every fault on the wire at every kind of call, once and for good."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from tests.integration import test_faults
from tests.integration.test_faults import (
    FAULTS,
    IN_PARTS,
    ONE_PUT,
    SLOW_FAULTS,
    break_and_mend,
    fill,
    may_fail,
    only,
)
from tests.real_day import RealDay

from s3_log_roller.demo.servers import SeaweedFS

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

patience = test_faults.patience
ALL_FAULTS = FAULTS | SLOW_FAULTS
FOR_EVER = 1_000_000

LEAVES_AN_UPLOAD = {"CreateMultipartUpload"}
"""The id of an upload whose creation was not answered is unknown, so nobody can abort it; a lifecycle rule does."""


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("operation", [*ONE_PUT, *IN_PARTS])
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
