#!/usr/bin/env python3
"""Build the Lambda function's zip: the program and its pinned wheels, for one architecture and Python version.

    python deploy/build_lambda.py --arch arm64 --output dist/s3-log-roller-lambda-arm64.zip

Nothing is installed and nothing of this machine gets in: the wheels come by version and hash from
requirements/lambda.lock, for the architecture asked for, and are unpacked. The same sources and lock give the same
bytes (with the same zlib: a distribution that has replaced it by another compresses differently).
"""

from __future__ import annotations

import argparse
import re
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
LOCK: Final = ROOT / "requirements" / "lambda.lock"

PLATFORMS: Final = {"arm64": "aarch64", "x86_64": "x86_64"}
ELF_MACHINES: Final = {"arm64": 183, "x86_64": 62}
"""`e_machine` of the ELF header."""
GLIBC_MINOR: Final = range(17, 35)
"""manylinux_2_17 to 2_34: Amazon Linux 2023, the Lambda runtimes from Python 3.12 on, has glibc 2.34."""
EPOCH: Final = (1980, 1, 1, 0, 0, 0)
MAX_UNPACKED_BYTES: Final = 250 << 20

SERVICES: Final = ("s3", "sqs", "sts")
"""The AWS services called; botocore's descriptions of the 400 others stay out."""
_SERVICE_DATA: Final = re.compile(r"(botocore|boto3)/data/([^/]+)/")
_LEFT_OUT: Final = re.compile(r"[^/]+\.data/|boto3/examples/|.*\.dist-info/(RECORD|INSTALLER|WHEEL|REQUESTED)$")


class BuildFailed(Exception):
    """The zip would not be what it says."""


def build(arch: str, python_version: str, output: Path) -> None:
    """Write the zip and print what it weighs. Raises `BuildFailed`."""
    with tempfile.TemporaryDirectory() as directory:
        download_wheels(arch, python_version, Path(directory))
        files = dict(sorted(collect_files(Path(directory))))
    check_libraries(files, arch)
    unpacked_bytes = sum(map(len, files.values()))
    if unpacked_bytes > MAX_UNPACKED_BYTES:
        raise BuildFailed(f"{unpacked_bytes:,} bytes unpacked; Lambda takes {MAX_UNPACKED_BYTES:,}")
    output.parent.mkdir(parents=True, exist_ok=True)
    write_zip(files, output)
    sys.stdout.write(
        f"{output.name}: {output.stat().st_size / 1e6:.1f} MB, {unpacked_bytes / 1e6:.1f} MB unpacked, "
        f"{len(files)} files, Python {python_version}, {arch}\n"
    )


def download_wheels(arch: str, python_version: str, directory: Path) -> None:
    """Have pip fetch the wheels of the lock file, by hash, for that platform."""
    platform = PLATFORMS[arch]
    tags = [f"--platform=manylinux_2_{minor}_{platform}" for minor in GLIBC_MINOR]
    tags += [f"--platform=manylinux2014_{platform}"]
    command = [sys.executable, "-m", "pip", "download", "-qq", "--disable-pip-version-check", "--no-deps"]
    command += ["--require-hashes", "--only-binary=:all:", "--implementation=cp", f"--python-version={python_version}"]
    command += [*tags, "-r", str(LOCK), "-d", str(directory)]
    result = subprocess.run(command, check=False)  # noqa: S603 - fixed arguments
    if result.returncode:
        raise BuildFailed(f"pip found no wheels for {arch} and Python {python_version}, see above")


def collect_files(wheels: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of the zip, by its name there."""
    yield "main.py", (ROOT / "main.py").read_bytes()
    yield "LICENSE", (ROOT / "LICENSE").read_bytes()
    for path in (ROOT / "src" / "s3_log_roller").rglob("*.py"):
        if "demo" not in path.parts:
            yield path.relative_to(ROOT / "src").as_posix(), path.read_bytes()
    for wheel in wheels.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if not name.endswith("/") and is_wanted(name):
                    yield name, archive.read(name)


def is_wanted(name: str) -> bool:
    """Whether the function has any use for that file of a wheel."""
    data = _SERVICE_DATA.match(name)
    return not _LEFT_OUT.match(name) and (data is None or data[2] in SERVICES)


def check_libraries(files: dict[str, bytes], arch: str) -> None:
    """Every shared library is for that architecture, and there are some. Raises `BuildFailed`."""
    libraries = {name: content for name, content in files.items() if content.startswith(b"\x7fELF")}
    for name, content in libraries.items():
        (machine,) = struct.unpack_from("<H", content, 18)
        if machine != ELF_MACHINES[arch]:
            raise BuildFailed(f"{name} is not for {arch}: ELF machine {machine}")
    for package in ("isal", "pycurl", "zlib_ng"):
        if not any(PurePosixPath(name).parts[0] == package for name in libraries):
            raise BuildFailed(f"there is no library of {package} for {arch}")


def write_zip(files: dict[str, bytes], output: Path) -> None:
    """Write the files in the order given, with the same times and permissions each time."""
    unfinished = output.with_suffix(".unfinished")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system = 3  # Unix: Lambda reads the permissions
            entry.external_attr = (0o755 if content.startswith(b"\x7fELF") else 0o644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content, compresslevel=9)
    unfinished.replace(output)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--arch", choices=PLATFORMS, default="arm64")
    parser.add_argument("--python-version", default="3.13", help="of the Lambda runtime (default 3.13)")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    try:
        build(args.arch, args.python_version, args.output)
    except BuildFailed as error:
        sys.stderr.write(f"build_lambda: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
