"""What became of a task."""

from __future__ import annotations

from dataclasses import dataclass, field

from s3_log_roller.log_keys import DayGroup


@dataclass(frozen=True, slots=True)
class RollOutcome:
    """What one pass over a day group did. All figures are of this pass alone."""

    group: DayGroup
    rollups: tuple[str, ...] = ()
    """Keys of the rollups written."""
    packed: int = 0
    """Originals packed into them."""
    bytes_in: int = 0
    """Bytes of those originals."""
    bytes_out: int = 0
    """Bytes of those rollups."""
    leftovers: int = 0
    """Originals that were members of earlier rollups already."""
    deleted: int = 0
    """Originals deleted, leftovers included."""
    delete_markers: int = 0
    """Deletes that only wrote a delete marker: the bucket is versioned and goes on billing the bytes."""
    archived: int = 0
    """Originals skipped because they are in an archive tier."""
    remaining: int = 0
    """Originals left for another pass: the task has to run again."""
    nested: frozenset[DayGroup] = field(default=frozenset())
    """Day groups of other target prefixes whose keys lie among this day's, where a scan skips over them."""


@dataclass(frozen=True, slots=True)
class ScanOutcome:
    """What a scan found, and where it has to go on if it ended early."""

    day_groups: int
    requests: int
    start_after: str | None = None
    """None when the scan is complete."""
