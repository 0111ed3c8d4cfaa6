"""What runs tasks for a worker, in this process or in others, and what comes of a task."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from s3_log_roller.errors import RollerError
from s3_log_roller.rolling.outcome import PassOutcome, RollOutcome, done_before
from s3_log_roller.rolling.tasks import RollTask, WorkTask


@dataclass(frozen=True, slots=True)
class Failed:
    """Why a task failed, in plain text that can cross processes."""

    why: str
    traceback: str = ""
    """Only of errors nobody thought of: those are bugs."""
    done: tuple[RollOutcome, ...] = ()
    """What was done before, and holds."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Time ran short and the rollup that was being packed was dropped. This smaller step must run instead."""

    smaller: RollTask
    done: tuple[RollOutcome, ...] = ()
    """What was done before, and holds."""


Outcome = RollOutcome | PassOutcome
Result = Outcome | Failed | Unfinished
Roll = Callable[[WorkTask], Outcome]


def attempt(roll: Roll, task: WorkTask) -> Result:
    """Run a task; whatever goes wrong with it stays its own affair."""
    try:
        return roll(task)
    except Exception as error:
        return failure_of(error)


def failure_of(error: Exception) -> Failed:
    """The failure of a task that raised; anything but a `RollerError` is a bug and keeps its traceback."""
    if isinstance(error, RollerError):
        return Failed(str(error), done=done_before(error))
    why = f"a bug in the roller, please report it: {type(error).__name__}: {error}"
    return Failed(" ".join(why.split()), "".join(traceback.format_exception(error)), done_before(error))


class Runner(Protocol):
    """Runs tasks, up to `capacity` at a time."""

    capacity: int

    def submit(self, task: WorkTask) -> Future[Result]:
        """Start a task, or run it."""

    def interrupt(self) -> None:
        """Stop what is running, let it clean up after itself, and wait for that."""


class InlineRunner:
    """Runs each task at once, in this process."""

    capacity = 1

    def __init__(self, roll: Roll) -> None:
        self._roll = roll

    def submit(self, task: WorkTask) -> Future[Result]:
        """See `Runner.submit`: the task is over when this returns."""
        future: Future[Result] = Future()
        future.set_result(attempt(self._roll, task))
        return future

    def interrupt(self) -> None:
        """See `Runner.interrupt`: what interrupts this process interrupts the task."""
