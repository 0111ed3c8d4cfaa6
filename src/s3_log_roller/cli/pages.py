"""What the commands share that write a page: its import, and the file."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

from s3_log_roller.errors import UsageError


def import_page(module: str) -> ModuleType:
    """A module that makes a page, which needs a library that not everybody has. Raises `UsageError`."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != "jinja2":
            raise
        raise UsageError(
            "--html needs jinja2, which is not installed: pip install '<path or URL you installed from>[report]'"
        ) from error


def write_page(option: str, path: str, text: str) -> None:
    """Write a file that the option names. Raises `UsageError`."""
    try:
        Path(path).write_text(text, encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise UsageError(f"{option} {path} cannot be written: {error.strerror}") from error
