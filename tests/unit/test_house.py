"""The house stays as it is meant to be: small modules, small classes, and a map that leads where it says."""

from __future__ import annotations

import ast
import re

import pytest
from tests.support.paths import ROOT

SOURCES = sorted((ROOT / "src").rglob("*.py"))
MAX_MODULE_LINES = 300
MAX_CLASS_LINES = 200


def test_modules_and_classes_are_short() -> None:
    """A module has up to 300 lines, a class up to 200; what grows beyond that is split by idea."""
    too_long: dict[str, int] = {}
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        name = path.relative_to(ROOT / "src" / "s3_log_roller").as_posix()
        if (lines := len(text.splitlines())) > MAX_MODULE_LINES:
            too_long[name] = lines
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.ClassDef):
                continue
            if (lines := (node.end_lineno or 0) - node.lineno + 1) > MAX_CLASS_LINES:
                too_long[f"{name}: {node.name}"] = lines
    assert too_long == {}


def test_no_suite_imports_another() -> None:
    """What several suites use lives in tests/support; importing tests from tests runs them twice."""
    imports = re.compile(r"^\s*(?:from|import) +tests\.(?!support\b).*", re.MULTILINE)
    folders = (ROOT / folder for folder in ("tests", "proof", "bench", "fuzz"))
    found = {path: imports.findall(path.read_text("utf-8")) for folder in folders for path in folder.rglob("*.py")}
    assert {str(path): lines for path, lines in found.items() if lines} == {}


def places() -> list[str]:
    """Every file and folder that CONTRIBUTING's table "to add X, go to Y" names."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text[text.index("| to add |") :].split("\n\n")[0]
    return re.findall(r"`([\w./]+/[\w./]*)`", table)


@pytest.mark.parametrize("place", places())
def test_the_map_for_contributors_is_true(place: str) -> None:
    """Each place where something is to be added exists."""
    assert (ROOT / place).exists() or (ROOT / "src" / "s3_log_roller" / place).exists()


def test_workflows_call_make_and_nothing_else() -> None:
    """What runs on GitHub runs on any machine in the same way."""
    for workflow in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        commands = re.findall(r"^ *(?:- )?run: *(.*)$", workflow.read_text(encoding="utf-8"), re.MULTILINE)
        targets = [re.fullmatch(r"make ([a-z-]+)(?: PYTHON=python)?", command) for command in commands]
        assert commands
        assert all(targets), commands
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        assert all(re.search(rf"^{target[1]}:", makefile, re.MULTILINE) for target in targets if target)
