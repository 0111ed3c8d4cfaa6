from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from tests.support.paths import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
README_LINES = 120

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.*?) *#*$", re.MULTILINE)
FENCED = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)


@cache
def prose(page: Path) -> str:
    """The page without its code blocks."""
    return FENCED.sub("", page.read_text())


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors that GitHub gives to a page's headings."""
    seen: Counter[str] = Counter()
    names = set()
    for heading in HEADING.findall(prose(page)):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        names.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return frozenset(names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    """The file is there, and so is the heading that the link names."""
    broken = []
    for target in LINK.findall(prose(page)):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(target)
    assert broken == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    """Nobody has to guess that a page is there."""
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        targets = [page.parent / link.partition("#")[0] for link in LINK.findall(prose(page)) if "://" not in link]
        waiting += [target.resolve() for target in targets if target.suffix == ".md" and target.exists()]
    assert [str(page.relative_to(ROOT)) for page in PAGES if page not in reached] == []


def test_the_readme_stays_short() -> None:
    """It says what the program does, when not to use it, and where to go on; the rest is in docs/."""
    assert len((ROOT / "README.md").read_text().splitlines()) <= README_LINES


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/design.md"])
def test_modules_that_are_named_exist(name: str) -> None:
    """The tables that say where things are lead somewhere."""
    code = re.findall(r"`([\w./-]+)`", prose(ROOT / name))
    files = [text for text in code if Path(text).suffix in {".py", ".md", ".yaml", ".tf", ".toml"}]
    paths = [*files, *(text for text in code if text.endswith("/") and "." not in text)]
    assert paths
    places = (ROOT, ROOT / "src" / "s3_log_roller")
    assert [path for path in paths if not any((place / path).exists() for place in places)] == []


def test_constants_that_contributing_names_exist() -> None:
    """`FIELDS` in `reading/records.py` is really there."""
    text = prose(ROOT / "CONTRIBUTING.md")
    named = [(path, name) for path, name in re.findall(r"`([\w/]+\.py)` \(`(\w+)`\)", text)]
    named += [(path, name) for name, path in re.findall(r"`([A-Z_]+)` (?:in|of) `([\w/]+\.py)`", text)]
    assert named
    source = ROOT / "src" / "s3_log_roller"
    assert [
        name for path, name in named if not re.search(rf"^{name}\b", (source / path).read_text(), re.MULTILINE)
    ] == []
