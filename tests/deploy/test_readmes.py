"""The modules' READMEs name every input and output."""

from __future__ import annotations

from pathlib import Path

import pytest
from deploy.write_readmes import MODULES, with_tables


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_the_readme_has_the_inputs_and_outputs_that_the_module_has(module: Path) -> None:
    """A variable that is added, removed or described anew changes the README, too."""
    readme = (module / "README.md").read_text()
    assert with_tables(readme, module) == readme, "run: make docs-reference"
