"""What became of a day group, told to people in one sentence."""

from __future__ import annotations

from s3_log_roller.rolling.outcome import RollOutcome
from s3_log_roller.rolling.summary import count, size


def describe(outcome: RollOutcome) -> str:
    """`s3://logs/web/2022-07-01: 9 logs rolled up into rollup-2022-07-01-1d07e68f.tgz, 33.0 kB packed into 8.0 kB`."""
    figures = outcome.figures
    parts = []
    if figures.packed:
        names = ", ".join(key.rpartition("/")[2] for key in outcome.rollups)
        sizes = f"{size(figures.bytes_in)} packed into {size(figures.bytes_out)}"
        parts.append(f"{count(figures.packed, 'log')} rolled up into {names}, {sizes}")
    else:
        parts.append("nothing new")
    if figures.leftovers:
        proof = "proven by this run" if figures.leftovers_proven == figures.leftovers else "not read back by this run"
        were = "was" if figures.leftovers == 1 else "were"
        parts.append(f"{count(figures.leftovers, 'original')} {were} in rollups already, {proof}")
    if figures.deleted:
        parts.append(f"{count(figures.deleted, 'original')} deleted")
    if figures.archived:
        parts.append(f"{count(figures.archived, 'archived original')} skipped")
    if outcome.remaining:
        parts.append("the rest follows in another step")
    return f"{outcome.group}: {'; '.join(parts)}"
