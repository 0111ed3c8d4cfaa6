#!/usr/bin/env python3
"""The command line from a clone, after `make install`: `./main.py --help`."""

import os
import sys
from pathlib import Path


def run_from_clone() -> int:
    """Run the command line with the Python in use or, where that lacks something, with the clone's own `.venv`."""
    clone = Path(__file__).resolve().parent
    try:
        from s3_log_roller.cli import main
    except ModuleNotFoundError as error:
        python = clone / ".venv" / "bin" / "python"
        if python.exists() and Path(sys.prefix) != clone / ".venv":
            os.execv(python, [str(python), __file__, *sys.argv[1:]])  # noqa: S606
        print(f"{error}: run `make install` in {clone} first", file=sys.stderr)  # noqa: T201
        return 1
    return main()


if __name__ == "__main__":
    sys.exit(run_from_clone())
