"""`make dist`: write down what is in the release, beside it: an SBOM of the Lambda function's zips, and SHA256SUMS.

    .venv-publish/bin/python -m deploy.describe_release dist

The SBOM (CycloneDX, JSON) names the program, and every package in requirements/lambda.lock with its version and the
hashes of its files. It has no lines of their own for libraries that the wheels bundle (libcurl and OpenSSL in pycurl,
ISA-L in isal, …). The same sources give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Final

from deploy.repository import ROOT, version

LOCK: Final = ROOT / "requirements" / "lambda.lock"
SBOM: Final = "s3-log-roller-lambda.cdx.json"
SUMS: Final = "SHA256SUMS"
RELEASED: Final = ("*.whl", "*.tar.gz", "*.zip", "*.cdx.json")


def main() -> int:
    """Describe the files of the folder that the command line names."""
    folder = Path(sys.argv[1])
    (folder / SBOM).write_text(make_sbom())
    files = sorted(path for pattern in RELEASED for path in folder.glob(pattern))
    sums = (f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)
    (folder / SUMS).write_text("".join(sums))
    return 0


def make_sbom() -> str:
    """What the lock file of the function amounts to. `cyclonedx-py` holds it against CycloneDX's schema."""
    command = [sys.executable, "-W", "ignore::UserWarning", "-m", "cyclonedx_py", "requirements"]
    command += ["--output-reproducible", "--pyproject", str(ROOT / "pyproject.toml"), str(LOCK)]
    made = subprocess.run(command, stdout=subprocess.PIPE, check=True)  # noqa: S603 - fixed arguments
    sbom = json.loads(made.stdout)
    sbom["metadata"]["component"]["version"] = version()
    for component in sbom["components"]:
        del component["description"]  # the line of the lock file again
    (root,) = (one for one in sbom["dependencies"] if one["ref"] == sbom["metadata"]["component"]["bom-ref"])
    root["dependsOn"] = sorted(component["bom-ref"] for component in sbom["components"])
    return json.dumps(sbom, indent=1) + "\n"


if __name__ == "__main__":
    sys.exit(main())
