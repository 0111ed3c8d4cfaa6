from __future__ import annotations

from datetime import UTC, datetime, time
from hashlib import md5
from random import Random

import pytest
from tests.support.logs import DAY

from s3_log_roller.demo.sample_logs import sample_log
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.planning.sizes import Measured, model_bytes, sum_measured
from s3_log_roller.rollup.compression import DEFAULT_LEVEL
from s3_log_roller.rollup.originals import Originals
from s3_log_roller.rollup.writer import RollupWriter


@pytest.mark.parametrize(
    ("logs", "records"), [(1, 1), (1, 20), (3, 7), (10, 3), (50, 1), (200, 2), (200, 7), (1_000, 1), (40, 100)]
)
def test_the_model_foresees_the_size_of_rollups(logs: int, records: int) -> None:
    """Within a quarter, for few and many logs, small and large ones."""
    rng = Random(logs)
    originals = Originals(DayGroup("logs", "web/", DAY))
    bodies = []
    midnight = datetime.combine(DAY, time(), UTC)
    for number in range(logs):
        bodies.append(sample_log(rng, midnight, "web", records))
        second = number * 80_000 // logs
        suffix = f"{DAY}-{second // 3600:02}-{second // 60 % 60:02}-{second % 60:02}-{rng.getrandbits(40):016X}"
        delivered = int(midnight.timestamp()) + second + 2
        originals.append(suffix, md5(bodies[-1]).hexdigest(), len(bodies[-1]), delivered)
    writer = RollupWriter(originals.group, DEFAULT_LEVEL)
    for original, body in zip(originals, bodies, strict=True):
        writer.add(original, body, original.md5 or b"")
    for _ in writer.finish():
        pass
    assert model_bytes(logs, originals.total_bytes) == pytest.approx(writer.bytes_out, rel=0.25)


def test_nothing_has_no_size() -> None:
    """A day with nothing to pack gets no rollup."""
    assert model_bytes(0, 0) == 0


def test_measuring_corrects_the_model() -> None:
    """By the sum over everything measured; by nothing where nothing was."""
    assert Measured().factor == 1.0
    assert sum_measured([Measured(1, 50, 100.0), Measured(1, 250, 100.0)]).factor == 1.5
