"""How to roll: what a run was asked for, the same for all of its day groups."""

from __future__ import annotations

from dataclasses import dataclass

from s3_log_roller.rolling.destination import Destination
from s3_log_roller.rollup.compression import DEFAULT_LEVEL
from s3_log_roller.stored_as import BUCKET_DEFAULTS, StoredAs


@dataclass(frozen=True, slots=True)
class RollOptions:
    """What a run does with originals, and how it makes rollups."""

    delete: bool = False
    """Delete originals once a rollup that holds them was read back and verified."""
    level: int = DEFAULT_LEVEL
    """Compression level."""
    stored_as: StoredAs = BUCKET_DEFAULTS
    """How rollups are stored. A store that writes them is opened with it."""
    delete_versions: bool = False
    """In a versioned bucket, delete the very versions that were proven, instead of hiding them below delete markers."""
    destination: Destination | None = None
    """Where rollups go, if not beside their logs."""
