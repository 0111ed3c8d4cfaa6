"""A target tells by the names of its files which rollups are there."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from s3_log_roller.errors import UsageError
from s3_log_roller.querying.exported import Exported, FileName, columns_tag, list_directory

DAY = date(2022, 7, 1)
WHOLE = FileName("0a" * 32, DAY)
WITHOUT = FileName("0a" * 32, DAY, left_out=frozenset({"one", "two"}))
OTHER = FileName("0b" * 32, DAY)


def test_a_rollup_is_there_when_all_its_files_are() -> None:
    """Whatever else lies in the target, before them or behind."""
    parts = [WHOLE.path("site", number, 3) for number in (1, 2, 3)]
    assert len(set(parts)) == 3
    alone = f"bucket=site/day=2022-07-01/{'0a' * 32}-{columns_tag(())}.parquet"
    assert WHOLE.path("site", 1, 1) == alone
    assert parts[1] == alone.replace(".parquet", "-2of3.parquet")
    assert Exported(["notes.parquet", *parts, OTHER.path(None, 1, 1)], ()).state(WHOLE) == "there"
    found = Exported(["notes.parquet", *parts[1:], OTHER.path(None, 1, 1), *parts[:1]][:3], ())
    assert (found.state(WHOLE), found.state(OTHER)) == ("missing", "missing")
    assert Exported([OTHER.path(None, 1, 1)], ()).state(OTHER) == "there"


def test_a_rollup_without_other_members_differs() -> None:
    """What an earlier rollup had then is part of the name; once it is expected it is there."""
    exported = Exported([WITHOUT.path("site", 1, 1)], ())
    assert (exported.state(WITHOUT), exported.state(WHOLE), exported.state(OTHER)) == ("there", "differs", "missing")
    exported.expect(OTHER)
    assert exported.state(OTHER) == "there"
    assert WITHOUT.left_out_tag != FileName("0a" * 32, DAY, left_out=frozenset({"one"})).left_out_tag
    assert not WHOLE.left_out_tag


def test_files_with_other_columns_are_no_part_of_the_table() -> None:
    """The same columns must be dropped each time."""
    with pytest.raises(UsageError, match="with other columns"):
        Exported([FileName("0a" * 32, DAY, ("key",)).path("site", 1, 1)], ())
    assert Exported([], ("key",)).state(WHOLE) == "missing"


def test_a_directory_is_listed_as_a_bucket_is(tmp_path: Path) -> None:
    """By paths below it; what is not Parquet, such as a file that is being written, is left out."""
    path = WHOLE.path("site", 1, 1)
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_bytes(b"")
    (tmp_path / f"{path}.part").write_bytes(b"")
    assert list(list_directory(str(tmp_path))) == [path]
    assert not list(list_directory(str(tmp_path / "absent")))
