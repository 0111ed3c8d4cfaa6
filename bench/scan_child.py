"""What a producer does short of sending: scan a prefix, count the tasks. A process of its own."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime

from s3_log_roller.aws.buckets import Buckets, Connection
from s3_log_roller.errors import RollerError
from s3_log_roller.rolling.outcome import ScanOutcome
from s3_log_roller.rolling.producer import find_tasks
from s3_log_roller.rolling.tasks import ScanTask
from s3_log_roller.rolling.window import Window


def main(bucket: str, prefix: str) -> None:
    """Scan, print the counts as JSON."""
    outcomes: list[ScanOutcome] = []
    scans = [ScanTask(bucket, prefix, Window(datetime.now(UTC).date(), None), None)]

    def fail(what: str, error: RollerError) -> None:
        raise error

    tasks = find_tasks(scans, Buckets(Connection()).lease, scanned=outcomes.append, failed=fail)
    figures = {"tasks": sum(1 for _ in tasks)}
    figures["day_groups"] = sum(outcome.day_groups for outcome in outcomes)
    figures["requests"] = sum(outcome.requests for outcome in outcomes)
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
