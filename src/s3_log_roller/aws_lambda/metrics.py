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
    "Successes": COUNT,
    "OldestUnrolledDayAge": COUNT,
}
"""Every metric and its unit; the age is in days."""


def figures_of(summary: Summary, oldest_age_days: int | None) -> dict[str, int]:
    """The metrics of one invocation. `Successes` is 1 when nothing in it failed.

    `oldest_age_days` is how old the oldest day is that had logs outside any rollup when this invocation came to it;
    None when it came to no such day.
    """
    figures = {
        "DayGroupsFound": summary.day_groups_found,
        "DayGroupsDone": summary.day_groups_done,
        "Rollups": summary.figures.rollups,
        "Logs": summary.figures.packed,
        "BytesIn": summary.figures.bytes_in,
        "BytesOut": summary.figures.bytes_out,
        "Deleted": summary.figures.deleted,
        "ArchivedSkipped": sum(summary.archived.values()),
        "Failures": summary.failed_count,
        "Successes": int(not summary.failed_count),
    }
    if oldest_age_days is not None:
        figures["OldestUnrolledDayAge"] = oldest_age_days
    return figures


def encode_emf(figures: Mapping[str, int], function_name: str, timestamp_ms: int, **properties: Any) -> str:
    """One line of EMF. The properties are searchable in the log, but no dimensions: those cost money each."""
    metrics = [{"Name": name, "Unit": UNITS[name]} for name in figures]
    directive = {"Namespace": NAMESPACE, "Dimensions": [[DIMENSION]], "Metrics": metrics}
    header = {"Timestamp": timestamp_ms, "CloudWatchMetrics": [directive]}
    return json.dumps({"_aws": header, DIMENSION: function_name, **properties, **figures})
