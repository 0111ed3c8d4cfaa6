"""Tarballs as other programs write them."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterable

from tests.support.packing import DELIVERED


def tar_of(members: Iterable[tuple[str, bytes]], tar_format: int = tarfile.GNU_FORMAT) -> bytes:
    """A tar of those (name, body)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tar_format) as tar:
        for name, body in members:
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(body), DELIVERED
            tar.addfile(info, io.BytesIO(body))
    return out.getvalue()


def a_tarball(members: Iterable[tuple[str, bytes]]) -> bytes:
    """The same, compressed."""
    return gzip.compress(tar_of(members))
