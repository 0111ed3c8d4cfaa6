"""Building what is released, as the Makefile does."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from pathlib import Path

from tests.support.paths import ROOT


@dataclass(frozen=True)
class Packages:
    """What `make dist` builds for PyPI."""

    wheel: Path
    sdist: Path

    @property
    def files(self) -> dict[str, bytes]:
        """The wheel's files by name."""
        with zipfile.ZipFile(self.wheel) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    @property
    def metadata(self) -> Message:
        """What PyPI shows, the long description as its payload."""
        (name,) = (name for name in self.files if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(self.files[name].decode())


def build_packages(folder: Path, *options: str) -> None:
    """Build sdist and wheel into that folder, the wheel from the sdist; with `--wheel` the wheel alone."""
    uv = Path(sys.executable).with_name("uv")
    command = [str(uv), "build", "--quiet", "--no-build-isolation", "--python", sys.executable, *options]
    subprocess.run([*command, "--out-dir", str(folder)], cwd=ROOT, check=True)
