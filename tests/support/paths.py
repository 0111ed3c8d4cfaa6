"""Where things are in the repository."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
MAIN: Final = ROOT / "main.py"
GOLDEN: Final = ROOT / "tests" / "golden"
