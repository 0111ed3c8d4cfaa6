from __future__ import annotations

import json
from datetime import date

import pytest

from s3_log_roller.errors import UsageError
from s3_log_roller.rollup.manifest import ManifestEntry, is_cut_short, parse_line

LINE = {"bucket": "logs", "key": "web/rollup-2022-07-01-1d07e68f.tgz", "day": "2022-07-01", "sha256": "0a" * 32}


def test_a_line_says_where_a_rollup_is_and_what_its_bytes_are() -> None:
    """Whoever wrote it: capital digits, bytes or text, and other fields do not matter."""
    entry = ManifestEntry("logs", "web/rollup-2022-07-01-1d07e68f.tgz", date(2022, 7, 1), "0a" * 32)
    assert parse_line(json.dumps(LINE)) == entry
    assert parse_line(json.dumps(LINE | {"sha256": "0A" * 32, "members": 9}).encode() + b"\n") == entry


@pytest.mark.parametrize("text", ["", " \t\n", b"\n"])
def test_a_blank_line_says_nothing(text: str | bytes) -> None:
    """It is not an error."""
    assert parse_line(text) is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"bucket": "lo', "it is not JSON"),
        ("[]", "it is not a JSON object"),
        (json.dumps(LINE | {"bucket": None}), "it has no text called 'bucket'"),
        (json.dumps({name: LINE[name] for name in ("bucket", "day", "sha256")}), "it has no text called 'key'"),
        (json.dumps(LINE | {"sha256": "0a" * 31}), "its sha256 is not 64 hexadecimal digits"),
        (json.dumps(LINE | {"sha256": "0a" * 33}), "its sha256 is not 64 hexadecimal digits"),
        (json.dumps(LINE | {"sha256": "0g" * 32}), "its sha256 is not 64 hexadecimal digits"),
        (json.dumps(LINE | {"day": "2022-07-32"}), "its day is not YYYY-MM-DD"),
    ],
)
def test_a_line_that_says_nothing_certain_is_refused(text: str, says: str) -> None:
    """Left out, its rollup could be gone without anybody missing it."""
    with pytest.raises(UsageError, match=says):
        parse_line(text)


@pytest.mark.parametrize(
    ("line", "cut"),
    [(b"", True), (b'{"buc', True), (b'{"bucket": "lo', True), (b'{"bucket": "lo\n', False), (b"[", False)],
)
def test_only_what_this_program_began_to_write_is_a_line_cut_short(line: bytes, cut: bool) -> None:
    """Anything else is somebody's mistake, which is told of."""
    assert is_cut_short(line) is cut
