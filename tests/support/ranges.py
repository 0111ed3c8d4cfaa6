"""What lies in a range of keys, as a plain scan sees it."""

from __future__ import annotations

from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rolling.scan import scan
from s3_log_roller.rolling.tasks import RangeTask, ScanTask
from s3_log_roller.store import ReadStore


def groups_in_range(store: ReadStore, task: RangeTask) -> list[DayGroup]:
    """The day groups in the task's range, in the order of their keys."""
    whole = ScanTask(task.bucket, task.prefix, task.window, task.role, task.start_after, task.owner, task.end)
    return [sighting.group for sighting in scan(store, whole)]
