"""Small day groups packed in memory, out of one stream of their originals."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Final

from s3_log_roller.errors import ObjectArchived, StorageError
from s3_log_roller.rolling.packing import Tick, Ticks
from s3_log_roller.rolling.wave_day import Day
from s3_log_roller.rollup.originals import Original
from s3_log_roller.store import ByteRange, Store

PACKED_BYTES: Final = 24 << 20
"""Of rollups in memory, at most. A day group that might come out larger than what is left of it, which takes logs that
do not compress, is put off."""


def pack_days(store: Store, days: Sequence[Day], level: int, tick: Tick) -> Day | None:
    """Fetch the loose originals of the day groups in one stream, and write each day group's rollup in memory.

    Returns the first that was put off, with all behind it.
    """
    packing = _Packing(days, level)
    ticks = Ticks(tick)
    with closing(store.fetch_each(packing.ranges())) as bodies:
        for answer in bodies:
            packing.take(answer, ticks)
    ticks.flush()
    return packing.put_off


class _Packing:
    def __init__(self, days: Sequence[Day], level: int) -> None:
        self.put_off: Day | None = None
        self._days = days
        self._level = level
        self._asked: deque[tuple[Day, Original]] = deque()
        self._held_bytes = 0
        """Of the rollups in memory, with the originals that they are yet to take in at full size."""

    def ranges(self) -> Iterator[ByteRange]:
        """What to fetch: asked for as the stream goes on, so that what was packed until then is known."""
        for day in self._days:
            if self._held_bytes and self._held_bytes + day.loose.total_bytes > PACKED_BYTES:
                self.put_off = day
                return
            self._held_bytes += day.loose.total_bytes
            prefix = day.group.target_prefix
            for original in day.loose:
                if day.stopped:
                    break
                self._asked.append((day, original))
                yield ByteRange(prefix + original.suffix, original.etag, 0, original.size, whole=True)

    def take(self, answer: tuple[bytes, bytes] | StorageError, ticks: Ticks) -> None:
        """Pack the next original, in the order of the ranges, or note why it can't be had."""
        day, original = self._asked.popleft()
        if day.stopped:
            return
        self._held_bytes -= original.size
        if isinstance(answer, ObjectArchived):
            day.archived.add(original.suffix)
        elif isinstance(answer, StorageError):
            day.stop(answer)
            return
        else:
            self._held_bytes += day.pack(original, *answer, self._level)
            ticks.count(original.size)
        day.taken += 1
        if day.taken == len(day.loose):
            self._held_bytes += day.end_packing()
