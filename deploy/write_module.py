"""`make terraform-module`: write deploy/terraform as the Terraform registry wants a module, into a folder of its own.

    python -m deploy.write_module dist/terraform-aws-s3-log-roller

The registry takes a public repository on GitHub that is called terraform-aws-s3-log-roller, with the module at its
root, `modules/`, `examples/`, a README with the inputs and outputs, a licence, and tags like v1.2.3. What the folder
holds can be committed there as it is: it refers to nothing outside of itself, and links lead to this repository's files
of the same version.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Final

from deploy.repository import ROOT, version, with_absolute_links

from deploy import repository

MODULE: Final = ROOT / "deploy" / "terraform"
ADDRESS: Final = "s3-log-roller/s3-log-roller/aws"
"""Of the module in the registry."""
ZIP: Final = "s3-log-roller-lambda-arm64.zip"

_ON_VERSIONS: Final = f"""\
## The function's zip

The module deploys a zip that it does not contain. Take it from the release of the same version, and prove that it is
what was released:

    curl -LO {repository.ADDRESS}/releases/download/v{{version}}/{ZIP}
    curl -LO {repository.ADDRESS}/releases/download/v{{version}}/SHA256SUMS
    sha256sum --check --ignore-missing SHA256SUMS

## Versions

The module has the versions of the program and follows [Semantic Versioning](https://semver.org/spec/v2.0.0.html):
within 1.x no input or output goes away. What is here is written by `make terraform-module` in
[the program's repository]({repository.ADDRESS}); changes are made there.

"""


def main() -> int:
    """Write the module into the folder that the command line names, which is emptied before."""
    target = Path(sys.argv[1])
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(MODULE, target, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
    shutil.copy2(ROOT / "LICENSE", target)
    for page in target.rglob("*.md"):
        folder = Path("deploy/terraform") / page.parent.relative_to(target)
        page.write_text(with_absolute_links(page.read_text(), folder.as_posix(), "deploy/terraform"))
    for example in (target / "examples").rglob("*.tf"):
        example.write_text(_replaced(example.read_text(), f"../../../../dist/{ZIP}", ZIP))
    readme = target / "README.md"
    text = _replaced(readme.read_text(), '"./deploy/terraform"', f'"{ADDRESS}"\n      version  = "{version()}"')
    text = _replaced(text, f'"dist/{ZIP}"', f'"{ZIP}"')
    readme.write_text(_replaced(text, "<!-- Written", _ON_VERSIONS.format(version=version()) + "<!-- Written"))
    return 0


def _replaced(text: str, old: str, new: str) -> str:
    if old not in text:
        raise SystemExit(f"there is no {old!r} to replace any more")
    return text.replace(old, new)


if __name__ == "__main__":
    sys.exit(main())
