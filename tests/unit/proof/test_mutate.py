"""What proof/mutate.py breaks, and which tests it asks."""

from __future__ import annotations

import ast

import pytest
from proof import mutate
from proof.changes import changes
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
    """Tests that exist; without any, every change would survive."""
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
