"""How Sphinx makes the site of docs/ (`make docs`). Every warning is an error: a link that leads nowhere is one.

The pages are written for GitHub. What they say of files outside of docs/ leads there, to the files of the same version.
"""

from __future__ import annotations

import posixpath
import re
import shutil
from pathlib import Path
from typing import Any

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]
VERSION = re.findall(r'^__version__ = "(.+)"$', (ROOT / "src/s3_log_roller/__init__.py").read_text(), re.MULTILINE)[0]
FILES = f"https://github.com/s3-log-roller/s3-log-roller/blob/v{VERSION}"
CONTENTS = {
    "Guide": "guide/*",
    "Reference": "reference/*",
    "Evidence": "evidence/*",
    "Design": "design\ndecisions/README",
}
"""The parts of the side bar. The order in the guide is that of docs/README.md."""

project = "s3-log-roller"
release = version = VERSION
root_doc = "README"
extensions = ["myst_parser"]
myst_heading_anchors = 6
exclude_patterns = ["completions", "man", "site"]
highlight_language = "none"
smartquotes = False  # `--delete` stays as it is typed
html_theme = "furo"
html_title = f"s3-log-roller {VERSION}"
html_show_copyright = False
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "source_repository": FILES.partition("/blob/")[0],
    "source_branch": "main",
    "source_directory": "docs/",
}
_LINK = re.compile(r"(\]\()(?![a-z]+:|#)([^)\s]+)(\))")


def prepare(_: Sphinx, name: str, source: list[str]) -> None:
    """Let links out of docs/ lead to the repository, and give the front page and the decisions their contents."""
    folder = posixpath.dirname(name)

    def absolute(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("docs", folder, link[2]))
        return link[0] if path.startswith("docs/") else f"{link[1]}{FILES}/{path}{link[3]}"

    source[0] = _LINK.sub(absolute, source[0])
    if name == root_doc:
        guide = dict.fromkeys(re.findall(r"\((guide/[\w-]+)\.md\)", source[0]))
        for caption, pages in (CONTENTS | {"Guide": "\n".join(guide)}).items():
            source[0] += f"\n```{{toctree}}\n:hidden:\n:glob:\n:caption: {caption}\n\n{pages}\n```\n"
    if name == "decisions/README":
        source[0] += "\n```{toctree}\n:hidden:\n:glob:\n\n0*\n```\n"


def finish(app: Sphinx, error: Exception | None) -> None:
    """The front page is where browsers look for it."""
    if error is None:
        shutil.copy(Path(app.outdir) / f"{root_doc}.html", Path(app.outdir) / "index.html")


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("source-read", prepare)
    app.connect("build-finished", finish)
    for language in ("screen", "hex"):
        app.add_lexer(language, TextLexer)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
