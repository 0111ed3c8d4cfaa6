"""A page: one HTML file without anything outside it, readable without its script, in print, and aloud."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

_SHARED: Final = "s3_log_roller.pages"


def render(package: str, template: str, **content: object) -> str:
    """The page that a template of a package makes of its content. Every text in it is escaped.

    The template extends `base.html`, which needs a `title`, and finds tables, bars and the like in `parts.html`.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader(_SHARED)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = environment.get_template("sort.js").render()
    return environment.get_template(template).render(
        **content,
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        style=environment.get_template("page.css").render(),
    )
