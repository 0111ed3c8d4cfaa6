"""What became of a day group, told to people in one sentence."""

from __future__ import annotations

import logging

from s3_log_roller.amounts import count, size
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rolling.outcome import RollOutcome

logger = logging.getLogger(__name__)


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
    if figures.uncertain:
        parts.append(f"{count(figures.uncertain, 'original')} left alone: archived rollups may hold them")
    if figures.archived:
        parts.append(f"{count(figures.archived, 'archived original')} skipped")
    if outcome.remaining:
        parts.append("the rest follows in another step")
    return f"{outcome.group}: {'; '.join(parts)}"


def warn_of_archived(group: DayGroup, archived: int, first: str) -> None:
    """Say that so many originals of a day group were left out; `first` is the first of them."""
    skipped = f"{count(archived, 'archived original')} skipped, which can't be read without a restore"
    sentence = f"{group}: {skipped} (the first is {first})"
    extra = {"day_group": str(group), "archived": archived, "first": first, "sentence": sentence}
    logger.warning("archived_originals_skipped", extra=extra)


def log_outcome(outcome: RollOutcome) -> None:
    """One event for what became of the day group: the sentence for people, the figures for programs."""
    figures = outcome.figures
    fields: dict[str, object] = {
        "bucket": outcome.group.bucket,
        "target_prefix": outcome.group.target_prefix,
        "day": outcome.group.day.isoformat(),
        "members": figures.packed,
        "bytes_in": figures.bytes_in,
        "bytes_out": figures.bytes_out,
    }
    optional = {
        "leftovers": figures.leftovers,
        "deleted": figures.deleted,
        "uncertain": figures.uncertain,
        "archived": figures.archived,
        "remaining": outcome.remaining,
    }
    fields |= {name: number for name, number in optional.items() if number}
    if outcome.rollups:
        fields["rollups"] = " ".join(outcome.rollups)
    fields["sentence"] = describe(outcome)
    event = "rolled" if figures.packed else "nothing_new"
    logger.log(logging.WARNING if figures.archived else logging.INFO, event, extra=fields)
