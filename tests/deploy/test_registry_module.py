"""The Terraform module as its registry wants it: whole, on its own, and valid where it lies."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from deploy.repository import ADDRESS
from tests.support.paths import ROOT
from tests.support.terraform import Terraform

from s3_log_roller import __version__

EXAMPLES = ["examples/many-accounts", "examples/single-account", "examples/vpc"]


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make terraform-module` writes; the name of the folder is what the registry asks for."""
    folder = tmp_path_factory.mktemp("dist") / "terraform-aws-s3-log-roller"
    subprocess.run([sys.executable, "-m", "deploy.write_module", str(folder)], cwd=ROOT, check=True)
    return folder


def test_it_has_the_files_that_the_registry_asks_for(module: Path) -> None:
    """The root module in its usual three files, a README for each module, examples, and the licence."""
    root = {"main.tf", "variables.tf", "outputs.tf", "versions.tf", "README.md", "LICENSE"}
    assert root <= {path.name for path in module.iterdir()}
    nested = sorted((module / "modules").iterdir())
    assert [path.name for path in nested] == ["bucket-access", "bucket-policy"]
    assert all((folder / name).is_file() for folder in nested for name in root - {"LICENSE"})
    assert sorted(path.parent.relative_to(module).as_posix() for path in module.glob("examples/*/main.tf")) == EXAMPLES
    readme = (module / "README.md").read_text()
    assert "## Inputs" in readme
    assert "## Outputs" in readme


def test_it_refers_to_nothing_outside_of_itself(module: Path) -> None:
    """Sources of modules lie inside, links lead to its own files or to this version in the program's repository."""
    sources = [
        (path.parent / source).resolve()
        for path in module.rglob("*.tf")
        for source in re.findall(r'^ *source *= *"(\.[^"]*)"', path.read_text(), re.MULTILINE)
    ]
    assert len(sources) >= 6
    assert all(source.is_dir() and source.is_relative_to(module.resolve()) for source in sources)
    for page in module.rglob("*.md"):
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            if not link.startswith("https://"):
                assert (page.parent / link).is_file(), link
            elif link.startswith(f"{ADDRESS}/blob/"):
                file = link.removeprefix(f"{ADDRESS}/blob/v{__version__}/").partition("#")[0]
                assert (ROOT / file).is_file(), link
    texts = [path.read_text() for path in module.rglob("*") if path.suffix in {".tf", ".md", ".hcl"}]
    assert [text for text in texts if "deploy/terraform" in text or "../../../../" in text] == []


def test_the_readme_says_how_to_call_this_version(module: Path) -> None:
    """The address in the registry, the version, and where the zip of that version is."""
    readme = (module / "README.md").read_text()
    assert f'source   = "s3-log-roller/s3-log-roller/aws"\n      version  = "{__version__}"' in readme
    assert f"{ADDRESS}/releases/download/v{__version__}/s3-log-roller-lambda-arm64.zip" in readme


def test_it_is_formatted(module: Path) -> None:
    """`terraform fmt` would change nothing."""
    Terraform(module).run("fmt", "-check", "-recursive", "-diff")


@pytest.mark.slow
@pytest.mark.parametrize("part", [".", "modules/bucket-access", "modules/bucket-policy", *EXAMPLES])
def test_it_is_valid_on_its_own(part: str, module: Path) -> None:
    """Module, nested modules and examples can be planned where nothing of this repository is."""
    terraform = Terraform(module / part)
    terraform.init()
    assert "The configuration is valid" in terraform.run("validate", "-no-color").stdout
