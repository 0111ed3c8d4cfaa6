"""The site that `make docs` makes: whole, with links that lead somewhere, and fit for a telephone."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.support.browser import Browser, needs_browser
from tests.support.paths import ROOT

pytestmark = pytest.mark.slow

NARROW, WIDE = 360, 1280
"""Of windows, in pixels."""


def make_site(clone: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """`make docs` in that clone."""
    return subprocess.run(["make", "docs", f"SITE={site}"], cwd=clone, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    made = make_site(ROOT, folder)
    assert made.returncode == 0, made.stderr
    return folder


def test_every_page_is_on_the_site(site: Path) -> None:
    """Each page of docs/ is there, in the side bar, and the front page is where browsers look for it."""
    pages = [path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")]
    assert len(pages) > 20
    assert [page for page in pages if not (site / page).is_file()] == []
    front = (site / "index.html").read_text()
    assert [page for page in pages if page.name != "README.html" and f'href="{page}"' not in front] == []


def test_broken_links_fail_the_build(tmp_path: Path) -> None:
    """A page, a heading of another page, a heading of the page itself and a file that are not there are all told of."""
    for name in ("docs", "src", "deploy", "requirements", "Makefile", "pyproject.toml"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, tmp_path / name)
    for environment in (".venv", ".venv-publish"):
        (tmp_path / environment).symlink_to(ROOT / environment)
    broken = ["nowhere.md", "../design.md#nothing-here", "#nothing-here", "nowhere.txt"]
    with (tmp_path / "docs" / "guide" / "start.md").open("a") as page:
        page.write("".join(f"\n[a link]({link})\n" for link in broken))
    made = make_site(tmp_path, tmp_path / "site")
    assert made.returncode != 0
    warnings = [line for line in made.stderr.splitlines() if "[myst.xref_missing]" in line]
    assert len(warnings) == len(broken)
    assert all("guide/start.md" in warning for warning in warnings)


def test_options_are_shown_as_they_are_typed(site: Path) -> None:
    """No dash is made of the two hyphens of an option."""
    assert "with --delete" in (site / "reference" / "commands.html").read_text()
    assert [page.name for page in site.rglob("*.html") if "\N{EN DASH}delete" in page.read_text()] == []


@needs_browser
@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_no_page_scrolls_sideways(width: int, site: Path, browser: Browser) -> None:
    """On a telephone and on a desk; wide tables and code scroll by themselves. Nothing is asked of other servers."""
    for page in sorted(site.rglob("*.html")):
        browser.open(page, width)
        assert browser.run("return document.documentElement.scrollWidth") <= width, page.relative_to(site)
        assert [url for url in browser.requested() if not url.startswith("file:")] == []
