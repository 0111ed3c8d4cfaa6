"""The Lambda function's metrics, as one log line in CloudWatch's embedded metric format (EMF).

CloudWatch makes metrics of such a line by itself: no call, no permission, no library
(docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from s3_log_roller.rolling.summary import Summary

NAMESPACE: Final = "S3LogRoller"
DIMENSION: Final = "FunctionName"
SCHEDULE: Final = "Schedule"
OF_SCHEDULES: Final = "DayGroupsFound"
"""The one metric that also exists for each schedule. Each further one would cost 0.30 USD a month and schedule."""

COUNT: Final = "Count"
BYTES: Final = "Bytes"
UNITS: Final = {
    "DayGroupsFound": COUNT,
    "DayGroupsDone": COUNT,
    "Rollups": COUNT,
    "Logs": COUNT,
    "BytesIn": BYTES,
    "BytesOut": BYTES,
    "Deleted": COUNT,
    "ArchivedSkipped": COUNT,
    "Failures": COUNT,
    "ScanFailures": COUNT,
    "OldestUnrolledDayAge": COUNT,
}
"""Every metric and its unit; the age is in days."""


def figures_of(summary: Summary, oldest_age_days: int | None) -> dict[str, int]:
    """The metrics of one invocation. `ScanFailures` are prefixes whose scan did not come to its end.

    `oldest_age_days` is the age of the oldest day that had logs outside any rollup when this invocation came to it,
    and None if there was none.
    """
    figures = {
        "DayGroupsFound": summary.day_groups_found,
        "DayGroupsDone": summary.day_groups_done,
        "Rollups": summary.figures.rollups,
        "Logs": summary.figures.packed,
        "BytesIn": summary.figures.bytes_in,
        "BytesOut": summary.figures.bytes_out,
        "Deleted": summary.figures.deleted,
        "ArchivedSkipped": summary.archived_skipped,
        "Failures": summary.failed_count,
        "ScanFailures": summary.prefixes_failed,
    }
    if oldest_age_days is not None:
        figures["OldestUnrolledDayAge"] = oldest_age_days
    return figures


def encode_emf(
    figures: Mapping[str, int], function_name: str, timestamp_ms: int, schedule: str | None = None, **properties: Any
) -> str:
    """One line of EMF. The properties can be searched for in the log but are not dimensions, since those cost money.

    With a schedule, what it found is counted for it, too.
    """
    metrics = [{"Name": name, "Unit": UNITS[name]} for name in figures]
    directives = [{"Namespace": NAMESPACE, "Dimensions": [[DIMENSION]], "Metrics": metrics}]
    if schedule is not None:
        found = [{"Name": OF_SCHEDULES, "Unit": UNITS[OF_SCHEDULES]}]
        directives.append({"Namespace": NAMESPACE, "Dimensions": [[DIMENSION, SCHEDULE]], "Metrics": found})
        properties[SCHEDULE] = schedule
    header = {"Timestamp": timestamp_ms, "CloudWatchMetrics": directives}
    return json.dumps({"_aws": header, DIMENSION: function_name, **properties, **figures})
