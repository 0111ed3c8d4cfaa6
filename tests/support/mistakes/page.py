"""docs/reference/mistakes.md: what the program says to each mistake."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tests.support.mistakes.scene import Said, Scene
from tests.support.mistakes.table import MISTAKES, Mistake

AT_A_TIME: Final = 6
_LINES: Final = 2
"""Lines of an answer that are shown."""
_VARYING: Final = (
    (re.compile(r"today is \d{4}-\d\d-\d\d"), "today is 2022-07-10"),
    (re.compile(r" \(_ssl\.c:\d+\)"), ""),
    (re.compile(r"message [0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "message 12345678-1234-1234-1234-123456789abc"),
)
"""What is another thing on another day, or with another Python."""
_HEAD: Final = """\
# Mistakes, and what the program says

<!-- Written by `make mistakes`; tests/support/mistakes/table.py has the lines that are typed. -->

Each line was typed into a shell, against real servers where there is one to talk to. The table has what came on
standard error (the first {lines} lines where there are more), the exit code, and the seconds within which it is there
on a machine that does nothing else. A test types all {count} lines again and compares.

`my-logs` has logs and rollups, `tasks` is a queue, and `--profile no-get` may do anything but `s3:GetObject`, and so
on. Of the servers, `$DEAD` is a port where nobody listens, `$SILENT` takes connections and never answers, `$WEBSITE`
answers with a page, `$LOGIN` sends everybody to another page, `$BUSY` says 503, `$EXPIRED` says that the credentials
have expired, and `$SKEWED` that the clock is wrong.
"""


def type_all(scene: Scene, mistakes: Iterable[Mistake]) -> dict[str, Said]:
    """What came of each line, by the line."""
    lines = {mistake.line: mistake.typed for mistake in mistakes}
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        return dict(zip(lines, pool.map(scene.run, lines.values()), strict=True))


def row(mistake: Mistake, said: Said) -> str:
    """The line of the table."""
    cells = (mistake.what, f"`{mistake.typed}`", answer(said), str(said.code), str(mistake.seconds))
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def answer(said: Said) -> str:
    """What is shown of an answer."""
    text = said.errors.strip()
    for pattern, instead in _VARYING:
        text = pattern.sub(instead, text)
    lines = text.split("\n")
    shown = [f"`{line}`" for line in lines[:_LINES] if line]
    more = [f"and {len(lines) - _LINES} more"] if len(lines) > _LINES else []
    return "<br>".join(shown + more) or "nothing"


def page(answers: Mapping[str, Said]) -> str:
    """The whole page."""
    count = sum(map(len, MISTAKES.values()))
    parts = [_HEAD.format(lines="two", count=count)]
    for section, mistakes in MISTAKES.items():
        rows = "\n".join(row(mistake, answers[mistake.line]) for mistake in mistakes)
        parts.append(
            f"## {section}\n\n| what is wrong | typed | said | exit code | seconds |\n|---|---|---|---|---|\n{rows}\n"
        )
    return "\n".join(parts)
