from __future__ import annotations

from datetime import date

import pytest

from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rolling.window import Window

DAY = date(2022, 7, 1)


@pytest.mark.parametrize(
    ("exclude", "target_prefix", "excluded"),
    [
        ("old/", "old/a/", True),
        ("old", "older/", True),
        ("", "web/", True),
        ("web/2022-07-01", "web/", True),
        ("web/2022-06", "web/", False),
        ("web/2022-07-01-05", "web/", False),
        ("web/", "web", False),
    ],
)
def test_a_day_group_is_left_out_whole_or_not_at_all(exclude: str, target_prefix: str, excluded: bool) -> None:
    """An exclusion that begins inside a day leaves nothing out: a day is rolled up whole."""
    window = Window(date(2022, 7, 2), exclude=(exclude,))
    assert (DayGroup("logs", target_prefix, DAY) not in window) is excluded
    assert window.has_day(DAY)
