"""The built function, AWS's runtime emulator, and the servers it is tried against."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.paths import ROOT

from s3_log_roller.demo.servers import Ministack, SeaweedFS, _free_ports, isolated_environment

ARCH = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "")
PYTHON_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


def build(arch: str, python_version: str, output: Path) -> str:
    """Build a zip as `make lambda` does; returns what it printed."""
    command = [sys.executable, str(ROOT / "deploy" / "build_lambda.py"), "--arch", arch]
    command += ["--python-version", python_version, "--output", str(output)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """The S3 server (and STS)."""
    with SeaweedFS(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ministack]:
    """All the other services."""
    with Ministack(tmp_path_factory.mktemp("ministack")) as server:
        yield server


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


class Emulator:
    """The function in AWS's runtime emulator, one invocation at a time."""

    def __init__(self, port: int, log: Path) -> None:
        self._url = f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
        self._log = log

    def invoke(self, event: Any) -> Any:
        """The function's answer; errors come as an object with `errorType`."""
        request = urllib.request.Request(self._url, json.dumps(event).encode())
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=120) as answer:
            return json.load(answer)

    def log(self) -> str:
        """Everything the function and the emulator wrote."""
        return self._log.read_text()


@contextmanager
def emulated(
    runtime: Path, unpacked: Path, directory: Path, environment: dict[str, str], timeout_seconds: int = 30
) -> Iterator[Emulator]:
    """Run the function with nothing of this Python's own packages, and no /tmp to write to."""
    port, api_port = _free_ports(2)
    environment = environment | {
        "AWS_LAMBDA_FUNCTION_NAME": "roller",
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(timeout_seconds),
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "PYTHONPATH": os.pathsep.join([str(unpacked), str(runtime)]),
        "TMPDIR": "/nonexistent",
    }
    command = [str(runtime / "rie"), "--runtime-interface-emulator-address", f"127.0.0.1:{port}"]
    command += ["--runtime-api-address", f"127.0.0.1:{api_port}"]
    command += [sys.executable, "-S", "-m", "awslambdaric", "main.lambda_handler"]
    log = directory / "emulator.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, cwd=unpacked)
    try:
        time.sleep(0.5)
        yield Emulator(port, log)
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def function_environment(seaweedfs: SeaweedFS, ministack: Ministack) -> dict[str, str]:
    """The function's environment, leading to the servers."""
    environment = isolated_environment(seaweedfs, ministack)
    return {name: value for name, value in environment.items() if not name.startswith(("PYTHON", "ROLLUP_"))}
