from __future__ import annotations

import pytest

from s3_log_roller.rolling.meter import Meter, Ticker


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_every_process_counts_in_cells_of_its_own(processes: int) -> None:
    """Two that wrote the same cell would lose counts; nothing is counted before anything is packed."""
    meter = Meter(processes)
    assert (meter.logs, meter.n_bytes) == (0, 0)
    for number in range(processes):
        for _ in range(2):
            Ticker(meter.cells, number)(number + 1, 100 * (number + 1))
    assert list(meter.cells) == [figure for n in range(processes) for figure in (2 * (n + 1), 200 * (n + 1))]
    assert (meter.logs, meter.n_bytes) == (processes * (processes + 1), 100 * processes * (processes + 1))
