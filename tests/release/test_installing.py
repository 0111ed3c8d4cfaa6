"""The built wheel, installed in an empty folder by pip, pipx and uv: every command is there, and the demo runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.releasing import Packages

from s3_log_roller import __version__

pytestmark = pytest.mark.slow


def run(program: Path, *arguments: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program in that folder, which is its home as well; nothing of the clone can be imported."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    environment = kept | {"HOME": str(folder)} | variables
    command = [str(program), *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def installed_by_pip(wheel: Path, folder: Path, extras: str = "") -> Path:
    """The program in a fresh environment."""
    done = run(Path(sys.executable), "-m", "venv", "environment", folder=folder)
    assert done.returncode == 0, done.stderr
    programs = folder / "environment" / "bin"
    done = run(programs / "python", "-m", "pip", "install", "--quiet", f"{wheel}{extras}", folder=folder)
    assert done.returncode == 0, done.stderr
    return programs / "s3-log-roller"


def works(program: Path, folder: Path) -> None:
    """It says its version, helps, and refuses a place that is not there in one line."""
    assert run(program, "--version", folder=folder).stdout == f"s3-log-roller {__version__}\n"
    assert "--delete" in run(program, "roll", "--help", folder=folder).stdout
    refused = run(program, "ls", "nowhere", folder=folder)
    assert refused.returncode != 0
    assert len(refused.stderr.splitlines()) == 1


def test_pip_installs_it_without_extras(packages: Packages, tmp_path: Path) -> None:
    """Whoever only rolls up gets neither servers nor DuckDB; a command that needs them says what to install."""
    program = installed_by_pip(packages.wheel, tmp_path)
    works(program, tmp_path)
    for command, extra in ((["demo"], "demo"), (["query", "SELECT 1", "."], "query")):
        refused = run(program, *command, folder=tmp_path)
        assert refused.returncode != 0
        assert f"<path or URL you installed from>[{extra}]" in refused.stderr.replace("\n", " ")
    assert (tmp_path / "environment" / "share" / "man" / "man1" / "s3-log-roller-grep.1").is_file()


def test_the_demo_runs_from_the_wheel(packages: Packages, tmp_path: Path) -> None:
    """With its extra, the whole job is shown outside of any clone, and every log is proven to be in the rollups."""
    program = installed_by_pip(packages.wheel, tmp_path, "[demo]")
    told = run(program, "demo", folder=tmp_path)
    assert told.returncode == 0, told.stdout + told.stderr


def test_the_other_extras_install(packages: Packages, tmp_path: Path) -> None:
    """SQL and the report's page work from the wheel."""
    program = installed_by_pip(packages.wheel, tmp_path, "[query,report]")
    listed = run(program, "query", "--list", folder=tmp_path)
    assert listed.returncode == 0, listed.stderr


def test_pipx_installs_it(packages: Packages, tmp_path: Path, publishing: Path) -> None:
    """The program and its manual pages are where pipx puts them."""
    done = run(publishing / "pipx", "install", str(packages.wheel), folder=tmp_path, PIPX_HOME=str(tmp_path / "pipx"))
    assert done.returncode == 0, done.stderr
    works(tmp_path / ".local" / "bin" / "s3-log-roller", tmp_path)
    assert (tmp_path / ".local" / "share" / "man" / "man1" / "s3-log-roller.1").exists()


def test_uv_installs_it(packages: Packages, tmp_path: Path) -> None:
    """`uv tool install`, with an extra."""
    uv = Path(sys.executable).with_name("uv")
    wanted = f"s3-log-roller[query] @ {packages.wheel.as_uri()}"
    done = run(uv, "tool", "install", "--python", sys.executable, wanted, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    program = tmp_path / ".local" / "bin" / "s3-log-roller"
    works(program, tmp_path)
    assert run(program, "query", "--list", folder=tmp_path).returncode == 0
