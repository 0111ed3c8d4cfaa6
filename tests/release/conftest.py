"""What a release is made of, built once: the wheel and the sdist; and the tools that publishing needs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.support.paths import ROOT
from tests.support.releasing import Packages, build_packages


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    """The wheel, built from the sdist."""
    folder = tmp_path_factory.mktemp("packages")
    build_packages(folder)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return Packages(wheel, sdist)


@pytest.fixture(scope="session")
def publishing() -> Path:
    """The programs of the environment that `make dist` and `make docs` use."""
    subprocess.run(["make", ".venv-publish/.installed"], cwd=ROOT, check=True, capture_output=True)
    return ROOT / ".venv-publish" / "bin"
