"""What lies under a prefix: day groups, runs of keys, and what does not belong to any."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from s3_log_roller.log_keys import DayGroup
from s3_log_roller.planning.places import Place, place_of
from s3_log_roller.planning.sizes import Measured
from s3_log_roller.rolling.fetching import PIECE_BYTES
from s3_log_roller.rolling.window import Window
from s3_log_roller.store import ListedObject

MIN_BILLED_BYTES: Final = 128 << 10
"""Standard-IA and Glacier Instant Retrieval bill a smaller object as if it were so large."""


@dataclass(slots=True)
class Day:
    """What lies in a day group. Archived originals are counted apart: they are in none of the other figures."""

    group: DayGroup
    logs: int = 0
    bytes: int = 0
    billed_bytes: int = 0
    """What a storage class with a minimum bills: each log counts as at least 128 KiB."""
    pieces: int = 0
    """GETs to fetch each of them once."""
    archived: int = 0
    uncertain: int = 0
    """Logs that a rollup in an archive class may hold, and a run leaves alone; they are in no other figure."""
    leftovers: int = 0
    """Logs that are members of a rollup already."""
    leftover_bytes: int = 0
    leftover_pieces: int = 0
    rollups: list[ListedObject] = field(default_factory=list)
    holders: list[tuple[ListedObject, int]] = field(default_factory=list)
    """Rollups that have leftovers as members, and how many."""
    places: int = 1
    """In so many places a run looks for rollups: beside the logs, and in the destination."""
    index_gets: int = 0
    """It took that many to read the rollups' indexes, or the metadata of those that can't be read."""
    unread: int = 0
    """Rollups that can't be read, because they are archived."""
    content_digest: str = ""
    """Over key, ETag and size of every log; empty unless it was asked for."""
    variance: float = 0.0
    """The variance of the number of logs if that is an estimate."""
    problem: str = ""
    """Why its rollups could not be read. A run will fail on this day, and say the same."""

    @property
    def to_pack(self) -> int:
        """Logs that no rollup has."""
        return self.logs - self.leftovers

    @property
    def late(self) -> int:
        """How many of these belong to a day that was rolled up before."""
        return self.to_pack if self.rollups else 0

    def count(self, size: int) -> None:
        """Take up one more original, of that many bytes."""
        self.logs += 1
        self.bytes += size
        self.billed_bytes += max(size, MIN_BILLED_BYTES)
        self.pieces += pieces_of(size)


def pieces_of(size: int) -> int:
    """GETs that fetch a log of that many bytes."""
    return max(1, -(-size // PIECE_BYTES))


@dataclass(slots=True)
class Run:
    """Keys that lie side by side in a listing and are logs of one day group, or no logs at all."""

    first: str
    last: str
    group: DayGroup | None
    """Also of days outside the window; None for what is not a log."""
    keys: int
    nested: bool
    """It lies among the keys of another day group."""


@dataclass(slots=True)
class Inventory:
    """Everything under a prefix."""

    bucket: str
    prefix: str
    window: Window
    region: str = ""
    """Where the bucket is."""
    days: list[Day] = field(default_factory=list)
    """The days of the window that have originals, in key order."""
    settled: list[Day] = field(default_factory=list)
    """The days of the window that have rollups and no originals left."""
    young: int = 0
    """Logs of days that are too young, today's among them."""
    outside: int = 0
    """Logs of other days that were not asked for."""
    others: int = 0
    """Objects that are neither logs nor rollups."""
    runs: list[Run] = field(default_factory=list)
    """All keys in order."""
    lists: int = 0
    """LISTs that this inventory took."""
    gets: int = 0
    """GETs that this inventory took: for indexes of rollups, and for the logs that were measured."""
    measured: dict[Place, Measured] = field(default_factory=dict)
    """How well logs compress: by rollups whose indexes were read, and by logs that were read for it."""

    def add_measured(self, group: DayGroup, measured: Measured) -> None:
        """Real bytes of that day group told something."""
        place = place_of(group)
        self.measured[place] = self.measured.get(place, Measured()) + measured
