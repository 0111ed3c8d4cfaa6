"""`make mistakes`: make every mistake there is a line for, and write what the program says to docs/reference."""

from __future__ import annotations

import sys
import tempfile
from itertools import chain
from pathlib import Path

from docs.write_reference import REFERENCE
from tests.support.mistakes.page import page, type_all
from tests.support.mistakes.scene import set_scene
from tests.support.mistakes.table import MISTAKES

from s3_log_roller.demo.servers import Ministack, SeaweedFS


def main() -> int:
    """Write the page. Return 1 if an answer took longer than the table says."""
    mistakes = list(chain.from_iterable(MISTAKES.values()))
    with (
        tempfile.TemporaryDirectory() as folder,
        SeaweedFS() as s3,
        Ministack() as sqs,
        set_scene(Path(folder), s3, sqs) as scene,
    ):
        answers = type_all(scene, mistakes)
    (REFERENCE / "mistakes.md").write_text(page(answers))
    slow = [mistake for mistake in mistakes if answers[mistake.line].seconds > mistake.seconds]
    for mistake in slow:
        sys.stderr.write(f"{answers[mistake.line].seconds:.1f} s, not {mistake.seconds}: {mistake.typed}\n")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
