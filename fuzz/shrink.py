#!/usr/bin/env python3
"""Keep, of every target's corpus, the seeds and the smallest of what was found: few enough for the repository."""

from __future__ import annotations

from pathlib import Path

KEEP_FILES = 22
KEEP_BYTES = 40_000
CORPUS = Path(__file__).parent / "corpus"


def main() -> None:
    """Delete the rest."""
    for directory in sorted(path for path in CORPUS.iterdir() if path.is_dir()):
        found = sorted(directory.iterdir(), key=lambda path: (not path.name.startswith("seed-"), path.stat().st_size))
        step = max(1, len(found) // KEEP_FILES)
        chosen = set([path for path in found if path.name.startswith("seed-")] + found[::step][:KEEP_FILES])
        total = 0
        for path in found:
            total += path.stat().st_size if path in chosen else 0
            if path not in chosen or total > KEEP_BYTES:
                path.unlink()
        kept = list(directory.iterdir())
        print(f"{directory.name}: {len(kept)} of {len(found)}, {sum(path.stat().st_size for path in kept)} bytes")


if __name__ == "__main__":
    main()
