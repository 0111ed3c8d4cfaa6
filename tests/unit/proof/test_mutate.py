"""What proof/mutate.py breaks, and which tests it asks."""

from __future__ import annotations

import ast
import gc
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from proof import mutate
from proof.changes import changes
from proof.grafting import graft, living
from tests.support.paths import ROOT

SOURCE = """
LIMIT: int = 16

def takes(size):
    if size > LIMIT:
        return False
    return True
"""


@pytest.mark.parametrize("file", mutate.files(mutate.BROKEN))
def test_every_file_that_is_broken_has_guards(file: str) -> None:
    """Tests that exist; without any, every change that none of them is seen to reach would survive."""
    tests = mutate.guards(file)
    assert tests
    assert all((ROOT / test).exists() for test in tests)


def test_every_line_is_broken_and_figures_that_only_tune_are_not() -> None:
    """The condition, both results; each change is another program."""
    found = list(changes(SOURCE))
    assert {line for line, _, _ in found} == {5, 6, 7}
    assert {what.partition(":")[0] for _, what, _ in found} == {
        "negated", "compared otherwise", "left out", "other constant",
    }  # fmt: skip
    texts = {ast.unparse(module) for _, _, module in found}
    assert len(texts) == len(found)
    assert ast.unparse(ast.parse(SOURCE)) not in texts


def test_arguments_that_only_guard_against_programming_errors_are_not_changed() -> None:
    """No test can see that a dataclass is no longer frozen, and each change would cost all tests of its file."""
    source = "@dataclass(frozen=True, eq=True)\nclass A:\n    sizes = dict(zip((), (), strict=True))\n"
    assert [what for _, what, _ in changes(source) if "constant" in what] == ["other constant: True"]


def test_the_filter_of_a_comprehension_is_one_of_the_ways() -> None:
    """It counts for its line, though the syntax tree gives it none."""
    found = [
        (line, ast.unparse(module)) for line, what, module in changes("x(a\n  for a in b if c)") if "unfiltered" in what
    ]
    assert found == [(2, "x((a for a in b))")]


CLASS = """
class A:
    size = 1
    def f(self):
        return [x + 1 for x in (1, 2)]
    def g(self):
        return 1

def bound(most):
    def parse(text):
        return int(text) < most
    return parse

below_2 = bound(2)
"""


def test_a_change_is_put_into_the_functions_that_are_alive() -> None:
    """Of classes and nested functions, too, and the others are as before; what runs on import only is refused."""
    namespace: dict[str, Any] = {}
    exec(compile(CLASS, "/package/a.py", "exec"), namespace)
    gc.freeze()  # as conftest.py does before the first test
    functions = living(Path("/package"))["/package/a.py"]
    before = ast.parse(CLASS)
    assert graft(functions, before, ast.parse(CLASS.replace("x + 1", "x - 1")))
    instance = namespace["A"]()
    assert (instance.f(), instance.g(), instance.size) == ([0, 1], 1, 1)
    assert graft(functions, before, ast.parse(CLASS.replace("<", "<=")))
    assert namespace["below_2"]("2"), "which was made on import"
    assert namespace["bound"](3)("3")
    assert not graft(functions, before, ast.parse(CLASS.replace("size = 1", "size = 2")))
    assert not graft(functions, before, before)
    assert (instance.f(), instance.g(), instance.size) == ([0, 1], 1, 1)


THREE_TESTS = """
from s3_log_roller.amounts import count, size

def test_count():
    assert (count(1, "log"), count(2, "log"), count(2, "day", "days")) == ("1 log", "2 logs", "2 days")

def test_nothing_of_sizes():
    size(5)

def test_wrong():
    assert count(1, "log") == "1 logs"
"""


@pytest.mark.heavy
def test_what_is_noticed_what_survives_and_what_fails_without_any_change(tmp_path: Path) -> None:
    """The tool on three tests. One fails always and is not asked; it would notice everything."""
    tests = tmp_path / "test_amounts.py"
    tests.write_text(THREE_TESTS)
    command = [sys.executable, "-m", "proof.mutate", "amounts.py", "--verbose", "--tests", str(tests)]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    lines = told.stdout.splitlines()
    assert told.returncode == 1, told.stderr
    assert lines[0].endswith("test_wrong is not asked, for it fails without any change")
    assert any(line.startswith("noticed amounts.py:8 left out: return") and "test_count" in line for line in lines)
    assert any(line.startswith("SURVIVED amounts.py:14 left out: return") for line in lines)
    assert not any("test_wrong" in line for line in lines[1:])
