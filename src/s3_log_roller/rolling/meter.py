"""Logs and bytes packed so far, counted while they are packed, in however many processes."""

from __future__ import annotations

from collections.abc import MutableSequence


class Meter:
    """Logs and bytes packed so far, counted by any number of processes: each has two cells that only it writes."""

    def __init__(self, processes: int) -> None:
        # Memory that processes share is a file in a temporary folder, which may be full; one process needs none.
        self.cells: MutableSequence[int] = _shared_cells(2 * processes) if processes > 1 else [0, 0]

    @property
    def logs(self) -> int:
        """The logs of all processes together."""
        return sum(self.cells[0::2])

    @property
    def n_bytes(self) -> int:
        """The bytes of all processes together."""
        return sum(self.cells[1::2])


def _shared_cells(number: int) -> MutableSequence[int]:
    from multiprocessing.sharedctypes import RawArray  # takes as long to import as all of the meter's users

    cells: MutableSequence[int] = RawArray("q", number)
    return cells


class Ticker:
    """Adds to one process's cells of a meter."""

    def __init__(self, cells: MutableSequence[int], process: int) -> None:
        self._cells = cells
        self._first = 2 * process

    def __call__(self, logs: int, n_bytes: int) -> None:
        self._cells[self._first] += logs
        self._cells[self._first + 1] += n_bytes
