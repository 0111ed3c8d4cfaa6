"""What the commands share that write a page: its import, and the file."""

from __future__ import annotations

import errno
import importlib
import os
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


def check_page(option: str, path: str | None) -> None:
    """Look before hours of work whether a file that the option names can be written. Raises `UsageError`."""
    if not path:
        return
    file = Path(path)
    if file.is_dir():
        why = errno.EISDIR
    elif file.exists():
        why = 0 if os.access(file, os.W_OK) else errno.EACCES
    elif not file.parent.is_dir():
        why = errno.ENOENT
    else:
        why = 0 if os.access(file.parent, os.W_OK | os.X_OK) else errno.EACCES
    if why:
        raise UsageError(f"{option} {path} cannot be written: {os.strerror(why)}")


def write_page(option: str, path: str, text: str) -> None:
    """Write a file that the option names. Raises `UsageError`."""
    try:
        Path(path).write_text(text, encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise UsageError(f"{option} {path} cannot be written: {error.strerror}") from error
