"""Rows on their way from the thread that reads them to the one that answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from queue import Empty, Full, Queue
from threading import Event
from typing import Final

import pyarrow as pa

_WAITING: Final = 16
"""Batches read that DuckDB has not taken yet."""


class Enough(Exception):
    """The answer is complete, or will not be given."""


class CutOff(Exception):
    """Reading ended before its end, so there is no answer."""


class Feed:
    """Batches on their way from the thread that reads to the one that answers."""

    def __init__(self) -> None:
        self._batches: Queue[pa.RecordBatch | None] = Queue(_WAITING)
        self._stopped = Event()
        self._whole = False

    def put(self, batch: pa.RecordBatch) -> bool:
        """Hand a batch over; False if nobody takes any more."""
        self._put(batch)
        return not self._stopped.is_set()

    def end(self, *, whole: bool) -> None:
        """No more come; these were all of them, or not."""
        self._whole = whole
        self._put(None)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Those handed over. Raises `CutOff` if they are not all."""
        while (batch := self._batches.get()) is not None:
            yield batch
        if not self._whole:
            raise CutOff

    def stop(self) -> None:
        """Take no more. Neither side waits for the other from now on."""
        self._stopped.set()
        with suppress(Empty):
            while True:
                self._batches.get_nowait()  # who reads may wait for room
        with suppress(Full):
            self._batches.put_nowait(None)  # DuckDB may have asked for more rows than the answer needed

    def _put(self, batch: pa.RecordBatch | None) -> None:
        if not self._stopped.is_set():
            self._batches.put(batch)
