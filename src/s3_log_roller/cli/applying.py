"""`roll --plan`: do what a saved plan says, and nothing else."""

from __future__ import annotations

import logging
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from s3_log_roller.cli import options, planning, storing
from s3_log_roller.errors import UsageError
from s3_log_roller.rolling.options import RollOptions
from s3_log_roller.stored_as import BUCKET_DEFAULTS

if TYPE_CHECKING:
    from s3_log_roller.planning.saved import SavedPlan

logger = logging.getLogger(__name__)

_OF_THE_PLAN = (
    ("uris", "a prefix"),
    ("prefixes", "--prefixes"),
    ("prefixes_from", "--prefixes-from"),
    ("exclude", "--exclude"),
    ("since", "--since"),
    ("until", "--until"),
    ("delete", "--delete"),
    ("delete_versions", "--delete-versions"),
    ("dry_run", "--dry-run"),
    ("destination", "--destination"),
)
"""What a plan has settled, by the names of the arguments."""


def apply(args: Namespace) -> int:
    """Roll up the day groups of the plan that are still as it saw them; the others are named and left."""
    saved = _read(args)
    asked = storing.roll_options_from(args).stored_as
    if asked not in (BUCKET_DEFAULTS, saved.stored_as):
        raise UsageError("--plan stores rollups as the plan says, but the options given here differ: leave them out")
    roll_options = RollOptions(saved.delete, saved.level, saved.stored_as, saved.delete_versions, saved.destination)
    connection = replace(options.connection_from(args), bucket_regions=dict(saved.regions))
    from s3_log_roller.aws.sessions import Sessions
    from s3_log_roller.cli.rolling import find_all_tasks, rolling
    from s3_log_roller.planning.saved import changes_since, without
    from s3_log_roller.rolling.queue import InProcessQueue

    sessions = Sessions(profile=connection.profile, region=connection.region, timeout_s=connection.timeout_s)
    with rolling(args, roll_options, connection, sessions, prefixes=len(saved.scans)) as job:
        inventories = [planning.take(job.buckets, scan, saved.destination, with_digests=True) for scan in saved.scans]
        changes = changes_since(saved, inventories)
        scans = without(saved.scans, changes)
        for change in changes:
            sentence = f"{change.group} was left: it {change.what}"
            logger.warning("changed_since_plan", extra={"day_group": str(change.group), "sentence": sentence})
            job.summary.failed(str(change.group), f"{change.what}; it was left")
        tasks = find_all_tasks([[scan] for scan in scans], job.buckets, job.summary)
        job.worker(InProcessQueue(tasks)).work()
    return job.summary.exit_code


def _read(args: Namespace) -> SavedPlan:
    from s3_log_roller.planning.saved import decode_saved

    for name, option in _OF_THE_PLAN:
        if getattr(args, name):
            raise UsageError(f"--plan does what the plan says: {option} cannot be given with it")
    try:
        text = Path(args.plan).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise UsageError(f"--plan {args.plan} cannot be read: {error.strerror}") from error
    return decode_saved(text, args.plan)
