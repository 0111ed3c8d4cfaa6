"""What the pages show was really printed: `make transcripts` runs their commands."""

from __future__ import annotations

import re

from docs.write_transcripts import PAGES
from tests.support.paths import ROOT


def test_every_page_with_transcripts_is_written_by_the_script() -> None:
    """A page with a ```console or ```screen block that nobody runs would show what was true once."""
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    shown = {page for page in pages if re.search(r"^```(console|screen)$", page.read_text(), re.MULTILINE)}
    assert sorted(page.relative_to(ROOT).as_posix() for page in shown) == sorted(PAGES)
