"""The function's zip: for the processor it says, the same every time, and without anything of this machine."""

from __future__ import annotations

import hashlib
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.support.emulator import build
from tests.support.paths import ROOT

ELF_MACHINES = {"arm64": 183, "x86_64": 62}


@pytest.mark.parametrize("arch", ["arm64", "x86_64"])
def test_the_zip_holds_libraries_of_its_processor_only(arch: str, tmp_path: Path) -> None:
    """Every ELF file in it is for that processor; libcurl, zlib-ng and ISA-L are among them; it fits Lambda."""
    printed = build(arch, "3.13", tmp_path / "function.zip")
    assert f"Python 3.13, {arch}" in printed
    with zipfile.ZipFile(tmp_path / "function.zip") as archive:
        files = {entry.filename: archive.read(entry) for entry in archive.infolist()}
        modes = {entry.filename: entry.external_attr >> 16 & 0o777 for entry in archive.infolist()}
    libraries = {name: content for name, content in files.items() if content.startswith(b"\x7fELF")}
    assert {struct.unpack_from("<H", content, 18)[0] for content in libraries.values()} == {ELF_MACHINES[arch]}
    assert {"isal", "pycurl", "pycurl.libs", "zlib_ng"} <= {name.partition("/")[0] for name in libraries}
    assert {"main.py", "s3_log_roller/aws_lambda/handler.py"} <= set(files)
    assert all(mode & 0o444 == 0o444 for mode in modes.values())
    assert sum(map(len, files.values())) < 50_000_000
    assert not any(str(ROOT).encode() in content for content in files.values())


@pytest.mark.slow
def test_the_same_sources_give_the_same_bytes(tmp_path: Path) -> None:
    """Whoever builds it again can compare hashes; an update without a change deploys nothing."""
    digests = set()
    for number in (1, 2):
        build("arm64", "3.13", tmp_path / f"{number}.zip")
        digests.add(hashlib.sha256((tmp_path / f"{number}.zip").read_bytes()).hexdigest())
    assert len(digests) == 1


def test_a_failed_build_leaves_no_zip(tmp_path: Path) -> None:
    """Where a wheel is missing (there is no such Python) it says so and writes nothing that might get deployed."""
    command = [sys.executable, str(ROOT / "deploy" / "build_lambda.py"), "--python-version", "3.5"]
    command += ["--output", str(tmp_path / "function.zip")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "build_lambda: pip found no wheels for arm64 and Python 3.5" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_pinned_versions_are_those_that_the_tests_run_with() -> None:
    """The function's lock is a part of the lock everything else is tested with."""
    tested = set((ROOT / "requirements" / "dev.lock").read_text().splitlines())
    shipped = (ROOT / "requirements" / "lambda.lock").read_text().splitlines()
    versions = [line for line in shipped if "==" in line]
    assert len(versions) == 10
    assert set(versions) <= tested
