"""How often what goes wrong."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True)
class Odds:
    """Chances of one call, or of one schedule where it says so."""

    lost_request: float = 0.01
    """The call fails; the server never saw it."""
    lost_answer: float = 0.01
    """The call fails though it was done."""
    late_request: float = 0.01
    """The call of a writer fails, and is done later."""
    retried: float = 0.01
    """A write was done, its answer got lost, and it was tried again: the caller learns that the key is taken."""
    refused_delete: float = 0.01
    """One key of a delete is refused, this time."""
    flipped_read: float = 0.003
    """A rollup is read with one bit flipped."""
    stale_listing: float = 0.0
    """A listing shows what was there some changes ago."""
    killed: float = 0.003
    """The process that makes the call dies."""
    given_twice: float = 0.05
    """The queue gives out a message that somebody else still works on."""
    short_of_time: float = 0.2
    """A task can take on only some of the logs."""

    @classmethod
    def drawn(cls, rng: Random) -> Odds:
        """Some schedules are calm, some rough, and one in four is on a server that lists what was there before."""
        weight = rng.choice((0.0, 0.5, 1.0, 3.0))
        base = cls()
        return cls(
            lost_request=weight * base.lost_request,
            lost_answer=weight * base.lost_answer,
            late_request=weight * base.late_request,
            retried=weight * base.retried,
            refused_delete=weight * base.refused_delete,
            flipped_read=weight * base.flipped_read,
            stale_listing=0.05 if rng.random() < 0.25 else 0.0,
            killed=weight * base.killed,
            given_twice=rng.choice((0.0, 0.2, 0.7)),
            short_of_time=rng.choice((0.0, 0.2, 0.6)),
        )
