from __future__ import annotations

import json
import logging

import pytest

from s3_log_roller.log_output import JsonFormatter, LogFormat, TextFormatter, configure_logging, printable


def record(level: int, event: str, **fields: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"name": "s3_log_roller.x", "levelno": level, "msg": event, "created": 1656633600.0})
    made.levelname = logging.getLevelName(level)
    made.__dict__.update(fields)
    return made


def test_text_is_the_event_and_its_fields() -> None:
    """What people read and grep: `rolled bucket=… day=…`, the level only where it matters."""
    line = TextFormatter().format(record(logging.INFO, "rolled", bucket="logs", day="2022-07-01", members=9))
    assert line == "rolled bucket=logs day=2022-07-01 members=9"
    assert TextFormatter().format(record(logging.ERROR, "failed", why="no access")) == 'error: failed why="no access"'


def test_text_is_a_sentence_where_there_is_one() -> None:
    """Names in it are escaped like fields."""
    gone = record(logging.WARNING, "gone", key="a\n", sentence="a\n is gone")
    assert TextFormatter().format(gone) == r"warning: a\n is gone"
    assert "sentence" not in json.loads(JsonFormatter().format(gone))


def test_no_field_breaks_a_line_or_reaches_the_terminal() -> None:
    """A key may hold line breaks and escape sequences; the log shows them, and does not act on them."""
    line = TextFormatter().format(record(logging.INFO, "rolled", key="a\n\x1b[31m\x9b", empty="", quote='"='))
    assert line == r'rolled key="a\n\u001b[31m\u009b" empty="" quote="\"="'
    assert printable("a\n\x1b[0m\u202eé") == "a\\n\\x1b[0m\\u202eé"


def test_json_is_one_object_a_line() -> None:
    """What programs read: time in UTC, level, event, fields."""
    line = JsonFormatter().format(record(logging.WARNING, "rolled", bucket="b", key="a\nb"))
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2022-07-01T00:00:00.000+00:00",
        "level": "warning",
        "event": "rolled",
        "bucket": "b",
        "key": "a\nb",
    }


def test_other_libraries_debug_lines_stay_out(capsys: pytest.CaptureFixture[str]) -> None:
    """botocore's debug log holds signatures and tokens: no verbosity shows it."""
    try:
        configure_logging("text", logging.DEBUG)
        logging.getLogger("botocore.auth").debug("Signature secret")
        logging.getLogger("botocore.credentials").warning("Refreshing failed", exc_info=ValueError("secret"))
        logging.getLogger("s3_log_roller.x").debug("shown")
    finally:
        logging.basicConfig(force=True)
    assert capsys.readouterr().err == "shown\n"


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_an_error_that_nobody_expected_is_told_with_its_traceback(
    log_format: LogFormat, capsys: pytest.CaptureFixture[str]
) -> None:
    """In JSON it is a field of the line's object."""
    configure_logging(log_format)
    try:
        raise ValueError("odd")
    except ValueError:
        logging.getLogger("s3_log_roller.x").exception("failed")
    first, *more = capsys.readouterr().err.splitlines()
    if log_format == "text":
        assert first == "error: failed"
        assert more[-1] == "ValueError: odd"
    else:
        assert not more
        assert json.loads(first)["traceback"].splitlines()[-1] == "ValueError: odd"


@pytest.mark.parametrize(("log_format", "shown"), [("text", 0), ("json", 1)])
def test_json_always_has_the_ids_of_requests(
    log_format: LogFormat, shown: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are told at the debug level, and cost only people's attention."""
    configure_logging(log_format)
    logging.getLogger("s3_log_roller.aws.s3.failures").debug("refused")
    logging.getLogger("s3_log_roller.aws.s3.transport").debug("tried again")
    assert len(capsys.readouterr().err.splitlines()) == shown
