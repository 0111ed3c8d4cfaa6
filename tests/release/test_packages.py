"""The wheel and the sdist say what is true of them, and hold what users need and nothing else."""

from __future__ import annotations

import re
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml
from deploy.repository import ADDRESS
from tests.support.paths import ROOT
from tests.support.releasing import Packages, build_packages

from s3_log_roller import __version__
from s3_log_roller.cli.parser import COMMANDS

PYTHON = "Programming Language :: Python :: "
SYSTEMS = {"Operating System :: POSIX :: Linux": "ubuntu-latest", "Operating System :: MacOS": "macos-latest"}


def test_the_version_stands_in_one_place(packages: Packages) -> None:
    """What the program prints, PyPI shows and the files are named after is `__version__`; nothing else has it."""
    assert packages.metadata["Version"] == __version__
    assert packages.wheel.name == f"s3_log_roller-{__version__}-py3-none-any.whl"
    assert packages.sdist.name == f"s3_log_roller-{__version__}.tar.gz"
    assert __version__ not in re.findall(r'"([^"]+)"', (ROOT / "pyproject.toml").read_text())


def test_classifiers_name_what_is_tested(packages: Packages) -> None:
    """Each Python and each system is in the matrix of the workflow that runs the tests, and the other way round."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text())
    matrix = workflow["jobs"]["test"]["strategy"]["matrix"]
    classifiers = packages.metadata.get_all("Classifier") or []
    pythons = [name.removeprefix(PYTHON) for name in classifiers if re.fullmatch(rf"{PYTHON}\d\.\d+", name)]
    assert pythons == matrix["python"]
    assert packages.metadata["Requires-Python"] == f">={pythons[0]}"
    systems = [name for name in classifiers if name.startswith("Operating System")]
    assert sorted(SYSTEMS[name] for name in systems) == sorted(matrix["system"])


def test_the_page_on_pypi_leads_to_the_project(packages: Packages) -> None:
    """Source, documentation, changes and issues are a click away."""
    urls = dict(url.split(", ") for url in packages.metadata.get_all("Project-URL") or [])
    assert sorted(urls) == ["Changelog", "Documentation", "Issues", "Source"]
    assert urls["Source"] == ADDRESS
    assert all(url.startswith((ADDRESS, "https://s3-log-roller.github.io/")) for url in urls.values())


def test_links_in_the_long_description_work_anywhere(packages: Packages) -> None:
    """Every one is absolute and leads to a file of this very version."""
    text = str(packages.metadata.get_payload())
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    files = [link.removeprefix(f"{ADDRESS}/blob/v{__version__}/") for link in links]
    assert len(files) > 20
    assert [name for name in files if not (ROOT / name.partition("#")[0]).is_file()] == []
    assert packages.metadata["Description-Content-Type"] == "text/markdown"


def test_the_wheel_has_manual_pages_and_completions(packages: Packages) -> None:
    """`man s3-log-roller-grep` and the Tab key work once it is installed into a prefix that the shell looks into."""
    shared = {name.partition(".data/data/share/")[2] for name in packages.files if ".data/" in name}
    pages = {f"man/man1/s3-log-roller{suffix}.1" for suffix in ["", *(f"-{command}" for command in COMMANDS)]}
    completions = {
        "bash-completion/completions/s3-log-roller",
        "zsh/site-functions/_s3-log-roller",
        "fish/vendor_completions.d/s3-log-roller.fish",
    }
    assert shared == pages | completions


def test_the_wheel_holds_the_whole_package_and_nothing_else(packages: Packages) -> None:
    """Every file of the package, its data and `py.typed` among them; no tests, no deployments."""
    source = ROOT / "src" / "s3_log_roller"
    ours = {path.relative_to(source.parent).as_posix() for path in source.rglob("*") if path.is_file()}
    package = {name for name in packages.files if not re.match(r"[^/]+\.(data|dist-info)/", name)}
    assert package == {name for name in ours if "__pycache__" not in name}
    assert "s3_log_roller/py.typed" in package


def test_the_sdist_builds_the_same_wheel_and_has_no_tests(packages: Packages, tmp_path: Path) -> None:
    """The wheel is built from it. The tests need servers, lock files and deployments: they run in a clone."""
    build_packages(tmp_path, "--wheel")
    assert (tmp_path / packages.wheel.name).read_bytes() == packages.wheel.read_bytes()
    with tarfile.open(packages.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml"} <= names
    assert [name for name in names if name.startswith("tests/") or name.endswith("conftest.py")] == []


def test_the_same_sources_give_the_same_packages(packages: Packages, tmp_path: Path) -> None:
    """Whoever builds the sdist again can compare hashes."""
    build_packages(tmp_path, "--sdist")
    assert (tmp_path / packages.sdist.name).read_bytes() == packages.sdist.read_bytes()


@pytest.mark.slow
def test_pypi_renders_the_long_description(packages: Packages, publishing: Path, tmp_path: Path) -> None:
    """With the renderer that PyPI uses: headings, tables and links become HTML; twine finds nothing to warn of."""
    checked = subprocess.run(
        [str(publishing / "twine"), "check", "--strict", str(packages.wheel), str(packages.sdist)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout
    text = tmp_path / "description.md"
    text.write_text(str(packages.metadata.get_payload()))
    script = "import sys; from readme_renderer.markdown import render; print(render(open(sys.argv[1]).read()))"
    page = subprocess.run(
        [str(publishing / "python"), "-c", script, str(text)], capture_output=True, text=True, check=True
    ).stdout
    assert re.search(r"<h1[^>]*>s3-log-roller<", page)
    assert page.count("<tr") > 5
    targets = re.findall(r'<a href="([^#"][^"]*)"', page)
    assert len(targets) > 20
    assert all(target.startswith("https://") for target in targets)
