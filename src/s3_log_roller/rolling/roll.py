"""Run a task against its bucket: one day group alone, or a pass over many."""

from __future__ import annotations

from datetime import date

from s3_log_roller.memory import give_back
from s3_log_roller.rolling.manifest import NO_MANIFEST, Manifest
from s3_log_roller.rolling.options import RollOptions
from s3_log_roller.rolling.pace import Pace
from s3_log_roller.rolling.packing import Tick
from s3_log_roller.rolling.passes import roll_range
from s3_log_roller.rolling.reconcile import reconcile
from s3_log_roller.rolling.runner import Outcome
from s3_log_roller.rolling.tasks import RangeTask, WorkTask
from s3_log_roller.store import RollupStore, Store


def roll(
    store: Store,
    task: WorkTask,
    options: RollOptions,
    *,
    today: date,
    rollups: RollupStore | None = None,
    manifest: Manifest = NO_MANIFEST,
    pace: Pace | None = None,
    on_progress: Tick | None = None,
) -> Outcome:
    """See `reconcile` and `roll_range`. Nothing is begun while the manifest cannot be written: `ManifestError`.

    `rollups` is the place that `options.destination` means for the task's bucket.
    """
    give_back()
    manifest.sync()
    if (rollups is None) != (options.destination is None):
        raise ValueError("the place for rollups is not the one that was asked for")
    pace = pace or Pace()
    if isinstance(task, RangeTask):
        return roll_range(
            store, task, options, today=today, rollups=rollups, manifest=manifest, pace=pace, on_progress=on_progress
        )
    return reconcile(
        store, task, options, today=today, rollups=rollups, manifest=manifest, pace=pace, on_progress=on_progress
    )
