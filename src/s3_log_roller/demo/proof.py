"""Prove rollups with none of the program's own code: Python's `tarfile` reads them."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Mapping
from io import BytesIO

from s3_log_roller.demo.scenario import Place


def prove(originals: Mapping[Place, bytes], rollups: Mapping[Place, bytes]) -> list[str]:
    """What keeps the rollups from holding exactly the originals, byte for byte, each once; nothing when proven."""
    problems = []
    unproven = dict(originals)
    for rollup, tarball in rollups.items():
        try:
            for original, content in _members(rollup, tarball):
                if unproven.pop(original, None) != content:
                    problems.append(f"{rollup} holds something else as {original}, or holds it twice")
        except (tarfile.TarError, OSError, EOFError) as error:
            problems.append(f"{rollup} cannot be read: {error}")
    return problems + [f"{original} is in no rollup" for original in unproven]


def _members(rollup: Place, tarball: bytes) -> Iterator[tuple[Place, bytes]]:
    folder = rollup.key[: rollup.key.rfind("/") + 1]
    with tarfile.open(fileobj=BytesIO(tarball), mode="r:gz") as tar:
        for member in tar:
            body = tar.extractfile(member)
            yield Place(rollup.bucket, folder + member.name), body.read() if body else b""
