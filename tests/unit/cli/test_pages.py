"""Files that commands write at their end: whether they can is known at the beginning."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from s3_log_roller.cli.main import main
from s3_log_roller.cli.pages import check_page
from s3_log_roller.errors import UsageError

NOWHERE = "--endpoint-url=http://127.0.0.1:1"


@pytest.mark.parametrize(
    "line",
    [
        "report s3://logs/ --html",
        "plan s3://logs/ --html",
        "plan s3://logs/ --save",
        "roll s3://logs/ --dry-run --save",
    ],
)
def test_nothing_is_asked_for_where_the_file_cannot_be_written(
    line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was found out when all had been read, which may take hours."""
    file = tmp_path / "no" / "file"
    assert main([*line.split(), str(file), NOWHERE]) == 2
    option = line.split()[-1]
    assert capsys.readouterr().err == f"s3-log-roller: {option} {file} cannot be written: No such file or directory\n"


def test_files_that_can_be_written_are_not_touched(tmp_path: Path) -> None:
    """Neither made nor emptied: the command may fail yet."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("a page")
    check_page("--html", str(old))
    check_page("--html", str(new))
    check_page("--html", os.devnull)
    check_page("--html", None)
    assert old.read_text() == "a page"
    assert not new.exists()


@pytest.mark.parametrize("name", ["old", "new"])
def test_what_the_system_does_not_allow_is_told(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the file, or of the folder where it would be made; and a folder is not a file."""
    (tmp_path / "old").write_text("a page")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(UsageError, match=f"--html .*/{name} cannot be written: Permission denied"):
        check_page("--html", str(tmp_path / name))
    with pytest.raises(UsageError, match=r"--html .* cannot be written: Is a directory"):
        check_page("--html", str(tmp_path))
