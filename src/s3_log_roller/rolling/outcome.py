"""What became of a task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rolling.figures import Figures
from s3_log_roller.rolling.tasks import ScanTask

_DONE: Final = "done_before"


@dataclass(frozen=True, slots=True)
class RollOutcome:
    """What one reconcile of a day group did."""

    group: DayGroup
    figures: Figures = field(default_factory=Figures)
    """What this run of reconcile did and saw."""
    rollups: tuple[str, ...] = ()
    """The rollups written: their keys, or where they went elsewhere their URIs."""
    remaining: int = 0
    """How many originals at least are left for another pass. The task must run again."""
    nested: frozenset[DayGroup] = field(default=frozenset())
    """Day groups of other target prefixes whose keys lie among this day's, where a scan skips over them."""


@dataclass(frozen=True, slots=True)
class PassOutcome:
    """What one pass over many day groups did."""

    outcomes: tuple[RollOutcome, ...]
    """The outcome of every day group it came to. A day group with something remaining must run alone."""
    start_after: str | None = None
    """Where the range goes on if the pass did not come to its end."""
    partly: tuple[RollOutcome, ...] = ()
    """What was done of day groups that going on comes to again."""
    absent: int = 0
    """Day groups that a scan found and of which nothing is there any more, as far as that can be told."""


@dataclass(frozen=True, slots=True)
class ScanOutcome:
    """What a scan found, and the scans that go on if it ended early."""

    day_groups: int
    requests: int
    rest: tuple[ScanTask, ...] = ()
    excluded: Mapping[str, int] = field(default_factory=dict)
    """How many day groups each prefix of `Window.exclude` left out. They are not among the others."""


@contextmanager
def keeping(so_far: Callable[[], Iterable[RollOutcome]]) -> Iterator[None]:
    """Whatever is raised inside, an interruption too, takes along what was done until then: see `done_before`."""
    try:
        yield
    except BaseException as error:
        error.__dict__[_DONE] = tuple(outcome for outcome in so_far() if outcome.figures != Figures())
        raise


def done_before(error: BaseException) -> tuple[RollOutcome, ...]:
    """What a task had done when it ended with that error. It crosses processes with the error."""
    done: tuple[RollOutcome, ...] = error.__dict__.get(_DONE, ())
    return done
