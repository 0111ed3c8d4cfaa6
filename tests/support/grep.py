"""GNU grep, as what `grep` of ours is held to."""

from __future__ import annotations

import shutil
import subprocess

import pytest


def grep(*arguments: str, text: bytes) -> tuple[int, bytes]:
    command = ["grep", "-a", *arguments]
    done = subprocess.run(
        command, input=text, capture_output=True, check=False, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}
    )
    return done.returncode, done.stdout


needs_grep = pytest.mark.skipif(
    shutil.which("grep") is None
    or b"GNU" not in subprocess.run(["grep", "-V"], capture_output=True, check=False).stdout,
    reason="needs GNU grep",
)
