"""`make docs-reference`: write the inputs and outputs of the Terraform modules into their READMEs.

A test holds the READMEs to what this makes, so a variable cannot be added or removed without its line.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import hcl2

ROOT: Final = Path(__file__).parent / "terraform"
MODULES: Final = (ROOT, ROOT / "modules" / "bucket-access", ROOT / "modules" / "bucket-policy")
BEGIN: Final = "<!-- Written by `make docs-reference`; change the descriptions of variables and outputs instead. -->\n"
END: Final = "<!-- End of what is written. -->\n"


def main() -> int:
    """Write the READMEs."""
    for module in MODULES:
        readme = module / "README.md"
        readme.write_text(with_tables(readme.read_text(), module))
    return 0


def with_tables(readme: str, module: Path) -> str:
    """The README with the tables as they have to be."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n" + tables(module) + "\n" + END + after


def tables(module: Path) -> str:
    """The module's inputs and outputs as two tables."""
    lines = ["## Inputs", "", "| name | type | default | |", "|---|---|---|---|"]
    for name, variable in _blocks(module / "variables.tf", "variable"):
        default = "needed" if "default" not in variable else f"`{_default(variable['default'])}`"
        kind = re.match(r"\w+", str(variable["type"]).removeprefix("${"))
        lines.append(f"| `{name}` | {kind[0] if kind else ''} | {default} | {_text(variable['description'])} |")
    lines += ["", "## Outputs", "", "| name | |", "|---|---|"]
    lines += [
        f"| `{name}` | {_text(output['description'])} |" for name, output in _blocks(module / "outputs.tf", "output")
    ]
    return "\n".join(lines) + "\n"


def _blocks(path: Path, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open() as file:
        blocks = hcl2.load(file)[kind]
    return ((_text(name), body) for block in blocks for name, body in block.items())


def _default(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text.removeprefix("${").removesuffix("}") if text.startswith("${") else text


def _text(quoted: str) -> str:
    return str(json.loads(quoted)).replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
