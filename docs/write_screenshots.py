"""`make screenshots`: show the page of a sample plan in a headless Chromium and keep pictures of it in docs/images."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.support.browser import browsing
from tests.support.sample_plan import sample_plan

from s3_log_roller.planning.page import render_page

IMAGES: Final = Path(__file__).parent / "images"
WIDTHS: Final = (360, 1280)
"""Of the window, in pixels."""


def main() -> int:
    """Write the pictures."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, browsing(Path(folder) / "profile") as browser:
        page = Path(folder) / "plan.html"
        page.write_text(render_page(sample_plan()))
        for width in WIDTHS:
            browser.open(page, width)
            (IMAGES / f"plan-{width}.png").write_bytes(browser.screenshot())
    return 0


if __name__ == "__main__":
    sys.exit(main())
