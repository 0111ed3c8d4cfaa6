"""Where the sources are published, under which version, and how texts that are read elsewhere lead there."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
ADDRESS: Final = "https://github.com/s3-log-roller/s3-log-roller"
"""pyproject.toml has it, too."""

_LINK: Final = re.compile(r"(\]\()(?![a-z]+:|#)([^)\s]+)(\))")


def version() -> str:
    """The program's version, from the one place that has it; the program need not be installed."""
    source = (ROOT / "src" / "s3_log_roller" / "__init__.py").read_text()
    found = re.search(r'^__version__ = "(.+)"$', source, re.MULTILINE)
    if found is None:
        raise SystemExit("src/s3_log_roller/__init__.py names no version")
    return found[1]


def with_absolute_links(text: str, folder: str, kept: str) -> str:
    """A Markdown page of that folder, whose links out of the folder `kept` lead to the files of this version."""

    def absolute(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, link[2]))
        return link[0] if path.startswith(f"{kept}/") else f"{link[1]}{ADDRESS}/blob/v{version()}/{path}{link[3]}"

    return _LINK.sub(absolute, text)
