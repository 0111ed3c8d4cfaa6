"""Lines with their numbers, with the lines around them, or of each line the matches alone, as grep shows them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from s3_log_roller.log_output import printable
from s3_log_roller.reading.patterns import Pattern

_COLOR_START: Final = b"\x1b[01;31m\x1b[K"
_COLOR_END: Final = b"\x1b[m\x1b[K"


@dataclass(frozen=True, slots=True)
class Excerpt:
    """What is shown of a matching line, and around it."""

    numbers: bool = False
    """Each line has its number in its log in front."""
    matches_only: bool = False
    before: int = 0
    """Lines shown before a matching one."""
    after: int = 0
    color: bool = False
    """Matches are marked for a terminal."""

    @property
    def is_plain(self) -> bool:
        """Nothing but the matching lines is shown."""
        return self == PLAIN


PLAIN: Final = Excerpt()


class ExcerptWriter:
    """Goes through logs line by line. `pattern` is what is marked, None if nothing is."""

    def __init__(self, excerpt: Excerpt, pattern: Pattern | None, *, on_terminal: bool) -> None:
        self._excerpt = excerpt
        self._pattern = pattern
        self._on_terminal = on_terminal
        self._number = self._after_left = self._last_shown = 0
        self._before: deque[bytes] = deque(maxlen=excerpt.before)
        self._has_shown = False

    def start_log(self) -> None:
        """What comes next is another log."""
        self._number = self._after_left = self._last_shown = 0
        self._before.clear()

    def write(self, lines: list[bytes], is_wanted: Callable[[bytes], bool], name: str, most: int | None) -> bytes:
        """What is to be shown of the next lines of a log; of up to `most` matching ones, if there is a limit."""
        out = bytearray()
        for line in lines:
            self._number += 1
            if most != 0 and is_wanted(line):
                most = None if most is None else most - 1
                self._open_group(out, name)
                self._show(out, name, line, self._number, is_match=True)
                self._after_left = self._excerpt.after
            elif self._after_left and not self._excerpt.matches_only:
                self._after_left -= 1
                self._show(out, name, line, self._number, is_match=False)
            else:
                self._before.append(line)
        return bytes(out)

    def _open_group(self, out: bytearray, name: str) -> None:
        """Show the lines before a match, and what parts them from what was shown earlier."""
        excerpt = self._excerpt
        if excerpt.matches_only or not (excerpt.before or excerpt.after):
            return
        first = self._number - len(self._before)
        if self._has_shown and (not self._last_shown or first > self._last_shown + 1):
            out += b"--\n"
        for offset, line in enumerate(self._before):
            self._show(out, name, line, first + offset, is_match=False)
        self._before.clear()

    def _show(self, out: bytearray, name: str, line: bytes, number: int, *, is_match: bool) -> None:
        sign = ":" if is_match else "-"
        start = f"{name}{sign}" if name else ""
        if self._excerpt.numbers:
            start += f"{number}{sign}"
        front = start.encode("utf-8", "surrogateescape")
        spans = self._pattern.spans(line) if is_match and self._pattern is not None else []
        if self._excerpt.matches_only and self._pattern is not None:
            for begin, end in spans:
                out += front + self._marked(line[begin:end], [(0, end - begin)]) + b"\n"
        else:
            out += front + self._marked(line, spans) + b"\n"
        self._last_shown = number
        self._has_shown = True

    def _marked(self, line: bytes, spans: list[tuple[int, int]]) -> bytes:
        if not self._excerpt.color:
            return self._harmless(line)
        parts = []
        last = 0
        for begin, end in spans:
            parts += [self._harmless(line[last:begin]), _COLOR_START, self._harmless(line[begin:end]), _COLOR_END]
            last = end
        return b"".join((*parts, self._harmless(line[last:])))

    def _harmless(self, text: bytes) -> bytes:
        return printable(text.decode("utf-8", "backslashreplace")).encode() if self._on_terminal else text
