"""The built function, AWS's runtime emulator, and the servers it is tried against."""

from __future__ import annotations

import platform
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.support.emulator import ARCH, PYTHON_VERSION, build
from tests.support.paths import ROOT

from s3_log_roller.demo.servers import Ministack, SeaweedFS, isolated_environment


@pytest.fixture(scope="session")
def function_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The function's zip for this machine and this Python, which is what can run here."""
    if not ARCH or sys.platform != "linux":
        pytest.skip(f"the function runs on Linux, on x86_64 or arm64; this is {sys.platform}, {platform.machine()}")
    output = tmp_path_factory.mktemp("zip") / "function.zip"
    build(ARCH, PYTHON_VERSION, output)
    return output


@pytest.fixture(scope="session")
def unpacked(function_zip: Path) -> Path:
    """What Lambda makes of the zip: /var/task."""
    directory = function_zip.parent / "task"
    with zipfile.ZipFile(function_zip) as archive:
        archive.extractall(directory)
    return directory


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the emulator `rie` and the runtime's Python packages."""
    if ARCH != "x86_64":
        pytest.skip("the emulator in aws-sam-cli's wheel is for x86_64")
    directory = tmp_path_factory.mktemp("runtime")
    command = [sys.executable, "-m", "pip", "download", "-qq", "--disable-pip-version-check", "--no-deps"]
    command += ["--require-hashes", "--only-binary=:all:", "-d", str(directory)]
    result = subprocess.run(
        [*command, "-r", str(ROOT / "requirements" / "emulator.lock")], capture_output=True, text=True, check=False
    )
    if result.returncode:
        pytest.skip(f"the Lambda runtime emulator could not be fetched: {result.stderr.strip()[-300:]}")
    for wheel in directory.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            if wheel.name.startswith("aws_sam_cli"):
                emulator = directory / "rie"
                emulator.write_bytes(archive.read("samcli/local/rapid/aws-lambda-rie-x86_64"))
                emulator.chmod(0o755)
            else:
                archive.extractall(directory)
    return directory


@pytest.fixture
def function_environment(seaweedfs: SeaweedFS, ministack: Ministack) -> dict[str, str]:
    """The function's environment, leading to the servers."""
    environment = isolated_environment(seaweedfs, ministack)
    return {name: value for name, value in environment.items() if not name.startswith(("PYTHON", "ROLLUP_"))}
