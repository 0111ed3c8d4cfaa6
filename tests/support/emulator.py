"""The function's zip, built as `make lambda` does, in AWS's own runtime emulator."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT
from tests.support.waiting import has_socket, wait_for

from s3_log_roller.demo.local_server import free_ports

ARCH = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "")
PYTHON_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


def build(arch: str, python_version: str, output: Path) -> str:
    """Build a zip as `make lambda` does; returns what it printed."""
    command = [sys.executable, str(ROOT / "deploy" / "build_lambda.py"), "--arch", arch]
    command += ["--python-version", python_version, "--output", str(output)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


class Emulator:
    """The function in AWS's runtime emulator, one invocation at a time."""

    def __init__(self, port: int, log: Path) -> None:
        self._url = f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
        self._log = log

    def invoke(self, event: Any) -> Any:
        """The function's answer; errors come as an object with `errorType`."""
        request = urllib.request.Request(self._url, json.dumps(event).encode())
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=250) as answer:
            return json.load(answer)

    def log(self) -> str:
        """Everything the function and the emulator wrote."""
        return self._log.read_text()


@contextmanager
def emulated(
    runtime: Path, unpacked: Path, directory: Path, environment: dict[str, str], timeout_seconds: int = 250
) -> Iterator[Emulator]:
    """Run the function with nothing of this Python's own packages, and no /tmp to write to."""
    environment = environment | {
        "AWS_LAMBDA_FUNCTION_NAME": "roller",
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(timeout_seconds),
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "PYTHONPATH": os.pathsep.join([str(unpacked), str(runtime)]),
        "TMPDIR": "/nonexistent",
    }
    log = directory / "emulator.log"
    with log.open("wb") as output:
        process, port = _start(runtime, env=environment, stdout=output, stderr=output, cwd=unpacked)
    try:
        yield Emulator(port, log)
    finally:
        process.kill()
        process.wait()


def _start(runtime: Path, **how: Any) -> tuple[subprocess.Popen[bytes], int]:
    """The emulator, and the port where it listens. If somebody else takes one of its ports first, it gets others."""
    for _ in range(3):
        port, api_port = free_ports(2)
        command = [str(runtime / "rie"), "--runtime-interface-emulator-address", f"127.0.0.1:{port}"]
        command += ["--runtime-api-address", f"127.0.0.1:{api_port}"]
        process = subprocess.Popen([*command, sys.executable, "-S", "-m", "awslambdaric", "main.lambda_handler"], **how)
        wait_for(partial(_has_settled, process, (port, api_port)), every=0.02)
        if process.poll() is None:
            return process, port
    raise AssertionError(f"the emulator does not start, it ends with {process.returncode}")


def _has_settled(process: subprocess.Popen[bytes], ports: tuple[int, int]) -> bool:
    """Whether it listens on both ports, or has ended."""
    with suppress(OSError):  # it has just ended
        return process.poll() is not None or all(has_socket(process.pid, port) for port in ports)
    return False
