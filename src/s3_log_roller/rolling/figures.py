"""The figures of rolling, of however much of it: they add up."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was done to originals. Figures of day groups, of passes and of runs add up with `+`."""

    rollups: int = 0
    """Rollups written and verified."""
    packed: int = 0
    """Originals packed into them."""
    bytes_in: int = 0
    """Bytes of the originals packed."""
    bytes_out: int = 0
    """Bytes of the rollups written."""
    leftovers: int = 0
    """Originals that were members of earlier rollups already."""
    leftovers_proven: int = 0
    """How many of the leftovers are in a rollup that this run read back and that holds the same bytes."""
    deleted: int = 0
    """Originals deleted, leftovers included."""
    delete_markers: int = 0
    """Deletes that only wrote a delete marker: the bucket is versioned and goes on billing the bytes."""
    uncertain: int = 0
    """Originals left alone because a rollup in an archive tier may hold them."""
    versions_deleted: int = 0
    """Deleted originals whose versions are gone for good, in a versioned bucket."""
    versions_kept: int = 0
    """Deleted originals whose versions should have gone for good, but were refused."""
    other_versions: int = 0
    """Other versions of these originals, which stay and are billed."""
    archived: int = 0
    """Originals skipped because they are in an archive tier."""

    def __add__(self, other: Figures) -> Figures:
        return Figures(**{name: getattr(self, name) + getattr(other, name) for name in NAMES})


NAMES: Final = tuple(field.name for field in fields(Figures))
