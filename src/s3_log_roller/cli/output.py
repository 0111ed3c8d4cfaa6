"""Writing a command's result to standard output, and remarks to standard error."""

from __future__ import annotations

import sys
from typing import Final

from s3_log_roller.log_output import printable

OUTPUT_BYTES: Final = 1 << 18
"""Output is collected up to this size before it is written."""


class Output:
    """Standard output, for bytes. On a terminal, control characters are shown instead of obeyed."""

    def __init__(self) -> None:
        self._stream = sys.stdout.buffer
        self._is_terminal = sys.stdout.isatty()
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0

    def __enter__(self) -> Output:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if not isinstance(error, BrokenPipeError):
            self.flush()

    def write(self, data: bytes) -> None:
        """Write log contents."""
        if self._is_terminal:
            lines = data.decode("utf-8", "backslashreplace").split("\n")
            data = "\n".join(map(printable, lines)).encode()
        self._take(data)

    def name(self, text: str) -> str:
        """The name as it should be written: with control characters escaped on a terminal, unchanged elsewhere."""
        return printable(text) if self._is_terminal else text

    def line(self, text: str) -> None:
        """Write a line unchanged."""
        self._take(f"{text}\n".encode("utf-8", "surrogateescape"))

    def flush(self) -> None:
        """Hand everything written so far to the operating system."""
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        self._stream.write(b"".join(waiting))
        self._stream.flush()

    def _take(self, data: bytes) -> None:
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes >= OUTPUT_BYTES:
            self.flush()


def note(message: str) -> None:
    """Say something on standard error, in one line."""
    sys.stderr.write(f"s3-log-roller: {printable(message)}\n")
