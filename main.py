#!/usr/bin/env python3
"""The command line from a clone, after `make install`: `./main.py --help`. On AWS Lambda: `main.lambda_handler`."""

import os
import sys
from pathlib import Path
from typing import Any


def run_from_clone() -> int:
    """Run the command line with the Python in use or, where that lacks something, with the clone's own `.venv`."""
    clone = Path(__file__).resolve().parent
    try:
        from s3_log_roller.cli.main import main
    except ModuleNotFoundError as error:
        python = clone / ".venv" / "bin" / "python"
        if python.exists() and Path(sys.prefix) != clone / ".venv":
            os.execv(python, [str(python), __file__, *sys.argv[1:]])  # noqa: S606
        print(f"{error}: run `make install` in {clone} first", file=sys.stderr)  # noqa: T201
        return 1
    return main()


def __getattr__(name: str) -> Any:
    """`main.lambda_handler` for AWS Lambda, which asks for it when it starts; the command line has no need of it."""
    if name == "lambda_handler":
        from s3_log_roller.aws_lambda.handler import lambda_handler

        return lambda_handler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


if __name__ == "__main__":
    sys.exit(run_from_clone())
