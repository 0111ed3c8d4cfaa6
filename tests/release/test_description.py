"""What `make dist` writes beside the released files: what is in the function's zips, and the sums of them all."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.support.paths import ROOT

from s3_log_roller import __version__

pytestmark = pytest.mark.slow


def described(publishing: Path, folder: Path) -> Any:
    """The SBOM in that folder, after describing what is there."""
    subprocess.run([str(publishing / "python"), "-m", "deploy.describe_release", str(folder)], cwd=ROOT, check=True)
    return json.loads((folder / "s3-log-roller-lambda.cdx.json").read_text())


def locked() -> dict[str, tuple[str, set[str]]]:
    """Version and hashes of each package in requirements/lambda.lock."""
    text = (ROOT / "requirements" / "lambda.lock").read_text().replace("\\\n", " ")
    return {
        line.split("==")[0]: (line.split("==")[1].split()[0], set(re.findall(r"sha256:([0-9a-f]{64})", line)))
        for line in text.splitlines()
    }


def test_the_sbom_names_what_the_lock_file_names(publishing: Path, tmp_path: Path) -> None:
    """Each package of the function with its version and the hashes of its files, no other, and the program itself."""
    sbom = described(publishing, tmp_path)
    listed = {
        component["name"]: (
            component["version"],
            {entry["content"] for reference in component["externalReferences"] for entry in reference["hashes"]},
        )
        for component in sbom["components"]
    }
    assert listed == locked()
    program = sbom["metadata"]["component"]
    assert (program["name"], program["version"]) == ("s3-log-roller", __version__)
    assert all(component["purl"].startswith("pkg:pypi/") for component in sbom["components"])
    (whole,) = (one for one in sbom["dependencies"] if one["ref"] == program["bom-ref"])
    assert sorted(whole["dependsOn"]) == sorted(component["bom-ref"] for component in sbom["components"])


def test_the_sums_are_those_of_all_released_files(publishing: Path, tmp_path: Path) -> None:
    """`sha256sum -c SHA256SUMS` proves a download; the same sources describe themselves in the same bytes."""
    for name in ("a.whl", "b.tar.gz", "c.zip", "not released"):
        (tmp_path / name).write_text(name)
    described(publishing, tmp_path)
    first = (tmp_path / "SHA256SUMS").read_text()
    sums = {name: digest for digest, name in (line.split("  ") for line in first.splitlines())}
    assert sorted(sums) == ["a.whl", "b.tar.gz", "c.zip", "s3-log-roller-lambda.cdx.json"]
    assert all(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest for name, digest in sums.items())
    described(publishing, tmp_path)
    assert (tmp_path / "SHA256SUMS").read_text() == first
