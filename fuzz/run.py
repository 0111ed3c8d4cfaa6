#!/usr/bin/env python3
"""Coverage-guided fuzzing of one target, with atheris (its own environment: it is no dependency of the project).

    make fuzz TARGET=listing SECONDS=300

or, step by step (two installs: the lock file's hashes would have to hold for atheris, too):

    python3 -m venv .venv-fuzz
    .venv-fuzz/bin/pip install --require-hashes -r requirements/query.lock
    .venv-fuzz/bin/pip install atheris
    PYTHONPATH=src:. .venv-fuzz/bin/python fuzz/run.py listing -max_total_time=300

What it finds goes to fuzz/corpus/<target>/; `fuzz/shrink.py` keeps the corpus small. More options are libFuzzer's.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["s3_log_roller"]):
    from fuzz.targets import TARGETS, seeds

CORPUS = Path(__file__).parent / "corpus"


def main() -> None:
    """Run libFuzzer on the target named first; does not return."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: run.py {{{','.join(TARGETS)}}} [libFuzzer options]")
    name = sys.argv.pop(1)
    corpus = CORPUS / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(name)):
        (corpus / f"seed-{number}").write_bytes(seed)
    atheris.Setup([sys.argv[0], "-max_len=16384", "-timeout=120", *sys.argv[1:], str(corpus)], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
