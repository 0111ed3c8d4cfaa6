"""`python -m s3_log_roller`: the command line."""

from __future__ import annotations

import sys

from s3_log_roller.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
