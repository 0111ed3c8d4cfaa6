"""The program's own log: one event a line on standard error, as text or as JSON.

An event is `logger.info("rolled", extra={"bucket": …, "day": …})`: the message names it, everything in `extra` is a
field. Whatever a field holds, an event stays on one line and sends no control sequences to a terminal.

The field `sentence` tells the event to people. The text format shows it instead of the name and the
fields, JSON leaves it out.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO

LogFormat = Literal["text", "json"]
FORMATS: Final[tuple[LogFormat, ...]] = ("text", "json")

SENTENCE: Final = "sentence"
_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}
_ANSWERS: Final = "s3_log_roller.aws.s3.failures"
"""Tells S3's request ids. They cost a person's attention and a program nothing, so JSON always has them."""
_NOISY: Final = ("boto3", "botocore", "urllib3", "concurrent")
"""Libraries that are not heard: their warnings repeat with a traceback what the program says in one line, and their
debug lines hold signatures."""


def printable(text: str) -> str:
    """The text on one line, with everything a terminal might act on escaped."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """The fields that the event was given as `extra`."""
    return {name: value for name, value in record.__dict__.items() if name not in _STANDARD}


class TextFormatter(logging.Formatter):
    """The event's sentence, or `rolled bucket=logs members=9`, with the level in front from warnings on."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line. If there is a traceback, it follows on lines of its own."""
        fields = fields_of(record)
        sentence = fields.pop(SENTENCE, None)
        if sentence is None:
            sentence = " ".join(
                [record.getMessage(), *(f"{name}={_text_value(value)}" for name, value in fields.items())]
            )
        level = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        line = level + printable(sentence)
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, event, and the event's fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line that includes the traceback, if there is one."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line |= fields_of(record)
        line.pop(SENTENCE, None)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is at that moment, because progress lines replace it while they are on the screen."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, stream: TextIO) -> None:
        raise AttributeError("the stream is always sys.stderr")


def configure_logging(log_format: LogFormat = "text", level: int = logging.INFO) -> None:
    """Send this program's events from `level` on, and other libraries' errors, to standard error."""
    handler = _StderrHandler()
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("s3_log_roller").setLevel(level)
    if log_format == "json":
        logging.getLogger(_ANSWERS).setLevel(logging.DEBUG)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _text_value(value: object) -> str:
    text = str(value)
    if text and text.isprintable() and not set(text) & {" ", '"', "="}:
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())
