from __future__ import annotations

import pytest

from s3_log_roller.cli.output import wrapped

LINE = "4 rollups written and verified: 160 logs, 610.3 kB packed into 151.7 kB."


@pytest.mark.parametrize("columns", [40, 80])
def test_a_result_is_wrapped_between_words_on_a_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """No word is broken; in a file or a pipe, lines stay as they are."""
    text = f"1 prefix scanned.\n{LINE}\n"
    assert wrapped(text) == text
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = wrapped(text).splitlines()
    assert all(len(line) <= columns for line in lines)
    assert " ".join(" ".join(lines).split()) == f"1 prefix scanned. {LINE}"
    assert len(lines) == (2 if columns == 80 else 3)
