"""Terraform, where it is installed.

Its AWS provider is taken from the directory in TF_PLUGIN_DIR (as `terraform providers mirror DIR` makes one) or from
the usual places. Tests are skipped, and say so, where one of the two is missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PROVIDER = Path("registry.terraform.io", "hashicorp", "aws")
PLUGIN_DIRECTORIES = [
    *([Path(os.environ["TF_PLUGIN_DIR"])] if "TF_PLUGIN_DIR" in os.environ else []),
    Path.home() / ".terraform.d" / "plugins",
    Path("/usr/local/share/terraform/plugins"),
    Path("/usr/share/terraform/plugins"),
    *sorted(Path("/opt").glob("*")),
]


class Terraform:
    """Terraform in a copy of the modules."""

    def __init__(self, directory: Path) -> None:
        program = shutil.which("terraform")
        if program is None:
            pytest.skip("terraform is not installed")
        self._program = program
        self.directory = directory
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "AWS_"))}
        self._environment |= {"TF_CLI_CONFIG_FILE": os.devnull, "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}

    def run(self, *arguments: str, expected: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[str]:
        command = [self._program, *arguments]
        result = subprocess.run(
            command, cwd=self.directory, env=self._environment, capture_output=True, text=True, check=False
        )
        assert result.returncode in expected, result.stdout + result.stderr
        return result

    def init(self) -> None:
        """Make the provider available. Skips the test where there is none."""
        found = next((path for path in PLUGIN_DIRECTORIES if (path / PROVIDER).is_dir()), None)
        if found is None:
            pytest.skip("no AWS provider of Terraform on this disk: terraform providers mirror DIR, TF_PLUGIN_DIR=DIR")
        self.run("init", "-input=false", "-backend=false", f"-plugin-dir={found}")
