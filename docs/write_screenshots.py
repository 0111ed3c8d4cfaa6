"""`make screenshots`: show sample pages in a headless Chromium and keep pictures of them in docs/images."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.support.browser import browsing
from tests.support.sample_plan import sample_plan
from tests.support.sample_report import sample_report

from s3_log_roller.planning import page as plan_page
from s3_log_roller.querying import page as report_page

IMAGES: Final = Path(__file__).parent / "images"
WIDTHS: Final = (360, 1280)
"""Of the window, in pixels."""
MAX_HEIGHT: Final = 4_000
"""Pixels; a page may go on below."""


def main() -> int:
    """Write the pictures."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, browsing(Path(folder) / "profile") as browser:
        pages = {"plan": plan_page.render_page(sample_plan()), "report": report_page.render_page(sample_report())}
        for name, text in pages.items():
            page = Path(folder) / f"{name}.html"
            page.write_text(text)
            for width in WIDTHS:
                browser.open(page, width)
                (IMAGES / f"{name}-{width}.png").write_bytes(browser.screenshot(MAX_HEIGHT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
