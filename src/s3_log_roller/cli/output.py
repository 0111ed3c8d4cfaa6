"""Writing a command's result to standard output, and remarks to standard error."""

from __future__ import annotations

import os
import select
import shutil
import stat
import sys
import textwrap
import time
from typing import Final

from s3_log_roller.cli.signs import signs
from s3_log_roller.log_output import printable

OUTPUT_BYTES: Final = 1 << 18
"""Output is collected up to this size before it is written."""
SHOW_EVERY_S: Final = 0.1


class Unwritable(Exception):
    """Standard output cannot be written. Not a `RollerError`: what reads logs tells of those and goes on."""


class Output:
    """Standard output, for bytes. On a terminal, control characters are shown instead of obeyed."""

    def __init__(self) -> None:
        self.is_terminal = sys.stdout is not None and sys.stdout.isatty()
        self._kind = _kind_of_stdout()
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._shown_at = 0.0

    def __enter__(self) -> Output:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if not isinstance(error, BrokenPipeError):
            self.flush()

    @property
    def pipe(self) -> int | None:
        """The descriptor, if it is a pipe: `parallel.run_all` stops when nobody reads it any more."""
        return sys.stdout.fileno() if stat.S_ISFIFO(self._kind) else None

    def write(self, data: bytes) -> None:
        """Write log contents."""
        if self.is_terminal:
            lines = data.decode("utf-8", "backslashreplace").split("\n")
            data = "\n".join(map(printable, lines)).encode()
        self.write_unchanged(data)

    def write_unchanged(self, data: bytes) -> None:
        """Write what holds nothing that a terminal might act on, unless it is meant to."""
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes >= OUTPUT_BYTES:
            self.flush()

    def name(self, text: str) -> str:
        """The name as it should be written: with control characters escaped on a terminal, unchanged elsewhere."""
        return printable(text) if self.is_terminal else text

    def line(self, text: str) -> None:
        """Write a line unchanged."""
        self.write_unchanged(f"{text}\n".encode("utf-8", "surrogateescape"))

    def show(self) -> None:
        """Let whoever reads see what was written so far. Raises `BrokenPipeError` if nobody does any more."""
        if self._waiting and not stat.S_ISREG(self._kind):
            self.flush()
        elif self.pipe is not None:
            poll = select.poll()
            poll.register(self.pipe, 0)
            if poll.poll(0):
                raise BrokenPipeError

    def show_soon(self) -> None:
        """As `show`, for what comes by the hundred: only if the last time was a moment ago."""
        now = time.monotonic()
        if now - self._shown_at >= SHOW_EVERY_S:
            self._shown_at = now
            self.show()

    def flush(self) -> None:
        """Hand everything written so far to the operating system. Raises `Unwritable` if it cannot be written."""
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if not waiting:
            return
        signs.show()
        if sys.stdout is None:
            raise Unwritable("standard output is closed: nothing was written to it")
        try:
            _write_all(b"".join(waiting))
        except BrokenPipeError:
            raise
        except OSError as error:
            raise _unwritable(error) from error


def _write_all(data: bytes) -> None:
    """Write all of it to standard output, or raise an error.

    With PYTHONUNBUFFERED, which many images of containers set, one write is one call of the system. That may take a
    part only: when a signal comes meanwhile, as with Ctrl-Z and `fg`, or when the disk is about to be full.
    """
    left = memoryview(data)
    while left:
        left = left[sys.stdout.buffer.write(left) :]
    sys.stdout.buffer.flush()


def flush_stdout() -> None:
    """Hand what was printed to the operating system. Raises `Unwritable` if it cannot be written."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _unwritable(error) from error


def discard_stdout() -> None:
    """Write no more: what waits in the interpreter's buffer would fail once more when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _unwritable(error: OSError) -> Unwritable:
    discard_stdout()
    return Unwritable(f"standard output cannot be written ({error.strerror}): what was written of it is incomplete")


def _kind_of_stdout() -> int:
    """The file's type and mode; 0 if there is none."""
    try:
        return os.fstat(sys.stdout.fileno()).st_mode
    except (AttributeError, OSError, ValueError):  # closed, or not a file at all
        return 0


def note(message: str) -> None:
    """Say something on standard error, in one line."""
    signs.show()
    sys.stderr.write(f"s3-log-roller: {printable(message)}\n")


def print_result(text: str) -> None:
    """Print a command's result. If its reader has gone away, that is not a failure of the work that was done.

    Raises `Unwritable`.
    """
    try:
        sys.stdout.flush()
        _write_all(text.encode(sys.stdout.encoding, sys.stdout.errors or "strict"))
    except BrokenPipeError:
        discard_stdout()
    except OSError as error:
        raise _unwritable(error) from error


def wrapped(text: str) -> str:
    """The text with its lines broken between words where the terminal ends; unchanged if it does not go to one."""
    if not sys.stdout.isatty():
        return text
    columns = shutil.get_terminal_size().columns
    lines = (
        textwrap.fill(line, columns, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
        for line in text.splitlines()
    )
    return "".join(f"{line}\n" for line in lines)
