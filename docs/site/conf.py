"""How Sphinx makes the site of docs/ (`make docs`). Every warning is an error: a link that leads nowhere is one.

The pages are written for GitHub. What they say of files outside of docs/ leads there, to the files of the same version.
"""

from __future__ import annotations

import posixpath
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from deploy.repository import ADDRESS, with_absolute_links
from deploy.repository import version as version_of_program

CONTENTS = {
    "Guide": "guide/*",
    "Reference": "reference/*",
    "Evidence": "evidence/*",
    "Design": "design\ndecisions/README",
}
"""The parts of the side bar. The order in the guide is that of docs/README.md."""

project = "s3-log-roller"
release = version = version_of_program()
root_doc = "README"
extensions = ["myst_parser"]
myst_heading_anchors = 6
exclude_patterns = ["completions", "man", "site"]
highlight_language = "none"
smartquotes = False  # `--delete` stays as it is typed
html_theme = "furo"
html_title = f"s3-log-roller {release}"
html_show_copyright = False
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "source_repository": f"{ADDRESS}/",
    "source_branch": "main",
    "source_directory": "docs/",
}


def prepare(_: Sphinx, name: str, source: list[str]) -> None:
    """Let links out of docs/ lead to the repository, and give the front page and the decisions their contents."""
    source[0] = with_absolute_links(source[0], posixpath.join("docs", posixpath.dirname(name)), "docs")
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
