"""What is missing is found by days and by a manifest, whatever else stands in it."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from s3_log_roller.errors import UsageError
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.reading.completeness import Calendar, Gap, read_manifest
from s3_log_roller.reading.groups import Group
from s3_log_roller.reading.selection import Selection
from s3_log_roller.store import ListedObject


def a_line(day: str, sha256: str = "0a" * 32) -> str:
    return json.dumps({"bucket": "logs", "key": f"web/rollup-{day}-1b33e1e0.tgz", "day": day, "sha256": sha256})


@pytest.mark.parametrize("between", ["", "   ", "\n\n"])
def test_a_manifest_is_read_to_its_end(between: str, tmp_path: Path) -> None:
    """Behind a blank line go on others, and a rollup that only they name would not be missed."""
    path = tmp_path / "manifest"
    lines = [a_line("2022-07-01"), between, a_line("2022-07-02"), a_line("2022-07-02", "0b" * 32), between]
    path.write_text("\n".join(lines))
    assert read_manifest(str(path), ["s3://logs/web/"], Selection()) == {
        "s3://logs/web/rollup-2022-07-01-1b33e1e0.tgz": "0a" * 32,
        "s3://logs/web/rollup-2022-07-02-1b33e1e0.tgz": "0b" * 32,
    }
    with pytest.raises(UsageError, match=r"names no rollup in s3://logs/other/$"):
        read_manifest(str(path), ["s3://logs/other/"], Selection())
    with pytest.raises(UsageError, match=r"names no rollup in s3://logs/web/, or none of this time$"):
        read_manifest(str(path), ["s3://logs/web/"], Selection.parse("2022-08-01", None, None))


@pytest.mark.parametrize(
    ("place", "days"),
    [
        ("s3://logs/web/", "01 02 11"),
        ("s3://logs/we", "01 02 11"),
        ("s3://logs/web/2022-07-0", "01 02"),
        ("s3://logs/web/2022-0", "01 02 11"),
        ("s3://logs/web/2", "01 02 11"),
        ("s3://logs/web/2022", "01 02 11"),
        ("s3://logs/web/2021", ""),
        ("s3://logs/web/7", ""),
        ("s3://logs/web/2022-07-02", "02"),
        ("s3://logs/web/2022-07-02-05", "02"),
        ("s3://logs/web/2022-07-02-05-15-43-42117B9A70B0F1BA", "02"),
        ("s3://logs/web/rollup-2022-07-1", "11"),
        ("s3://logs/web/rollup-2022-07-11-1b33e1e0.tgz", "11"),
        ("s3://logs/2022-07-0", ""),
        ("s3://logs/web/a-2022-07-0", ""),
        ("s3://logs/web/2022-07-03", ""),
    ],
)
def test_places_that_end_inside_a_day_or_month_mean_their_rollups(place: str, days: str, tmp_path: Path) -> None:
    """Those that verify reads there: else they would count as unlisted, and one that is gone would not be missed."""
    path = tmp_path / "manifest"
    path.write_text("\n".join(a_line(f"2022-07-{day}") for day in ("01", "02", "11")))
    if not days:
        with pytest.raises(UsageError, match="names no rollup"):
            read_manifest(str(path), [place], Selection())
        return
    listed = read_manifest(str(path), ["s3://logs/other/", place], Selection())
    assert [where[-15:-13] for where in listed] == days.split()


def test_a_manifest_that_cannot_be_read_is_told_as_that(tmp_path: Path) -> None:
    """Not as one without lines; a line that is wrong is named by its number."""
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read_manifest(str(tmp_path / "absent"), ["s3://logs/web/"], Selection())
    path = tmp_path / "manifest"
    path.write_text(f"{a_line('2022-07-01')}\n{a_line('2022-07-02')[:-9]}\n")
    with pytest.raises(UsageError, match="line 2 is not a line of a manifest"):
        read_manifest(str(path), ["s3://logs/web/"], Selection())


def test_days_and_rollups_that_pass_by_are_counted() -> None:
    """All groups are handed on; those with nothing in them are no day, and a named file counts as a rollup."""
    rollup = ListedObject("a.tgz", "e", 1, 0, archived=False)
    groups = [
        Group("b", "", DayGroup("b", "x/2022/07/01/", date(2022, 7, 1)), Selection(), rollups=[rollup, rollup]),
        Group("b", "", DayGroup("b", "x/2022/07/04/", date(2022, 7, 4)), Selection(), has_loose=True),
        Group("b", "", DayGroup("b", "x/2022/07/09/", date(2022, 7, 9)), Selection()),
        Group("b", "", None, Selection(), rollups=[rollup]),
    ]
    calendar = Calendar()
    assert list(calendar.watch(groups)) == groups
    assert calendar.rollups == 3
    assert calendar.days() == [("s3://b/x/", [date(2022, 7, 1), date(2022, 7, 4)])]
    assert list(calendar.gaps(None, None)) == [Gap("s3://b/x/", date(2022, 7, 2), date(2022, 7, 3))]
    assert [gap.days for gap in calendar.gaps(date(2022, 6, 29), date(2022, 7, 5))] == [2, 2, 1]
    assert not list(calendar.gaps(date(2022, 7, 1), date(2022, 7, 1)))
