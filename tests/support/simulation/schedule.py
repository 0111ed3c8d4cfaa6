"""Actors that take turns where a seed says so."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from greenlet import getcurrent, greenlet

MAX_TURNS = 20_000
"""Far more than any schedule takes: one that has not ended by then goes in a circle."""


class Killed(BaseException):
    """The process of an actor is gone. Its code still unwinds, but nothing it does reaches the servers any more."""


class Stuck(AssertionError):
    """The actors do not come to an end."""


class Actor:
    """One process, or something outside that happens in steps of its own."""

    def __init__(self, schedule: Schedule, name: str, play: Callable[[], None]) -> None:
        self.name = name
        self.alive = True
        self.coroutine = greenlet(self._run, schedule.hub)
        self._play = play
        self._schedule = schedule

    def _run(self) -> None:
        try:
            self._play()
        except Killed:
            pass
        finally:
            self.alive = False


class Schedule:
    """Lets one of its actors go on at a time."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.hub = getcurrent()
        self.turns = 0
        self.trace: list[str] | None = None
        """What happened, in order, if somebody wants to know."""
        self._ready: list[Actor] = []
        self._current: Actor | None = None

    def add(self, name: str, play: Callable[[], None]) -> Actor:
        """An actor that begins at one of the next turns."""
        actor = Actor(self, name, play)
        self._ready.append(actor)
        return actor

    @property
    def current(self) -> Actor:
        """Whose turn it is."""
        assert self._current is not None
        return self._current

    def pause(self) -> None:
        """Let others go on. Raises `Killed` if this actor's process died meanwhile."""
        actor = self._current
        if actor is None:
            return  # the quiet run at the end: nobody else is there
        if actor.alive:
            self.hub.switch()
        if not actor.alive:
            raise Killed

    def kill(self, actor: Actor) -> None:
        """End an actor's process where it is."""
        if not actor.alive:
            return
        actor.alive = False
        self.note(f"{actor.name} is killed")
        if actor is not self._current and actor.coroutine:
            before, self._current = self._current, actor
            actor.coroutine.parent = getcurrent()
            actor.coroutine.switch()
            self._current = before

    def run(self) -> None:
        """Until all actors have ended."""
        rng = self.rng
        while self._ready:
            self.turns += 1
            if self.turns > MAX_TURNS:
                raise Stuck(f"{[actor.name for actor in self._ready]} go on for ever")
            place = int(rng.random() * len(self._ready))
            actor = self._current = self._ready[place]
            if actor.alive:
                actor.coroutine.switch()
            if actor.coroutine.dead or not actor.alive:
                self._ready[place] = self._ready[-1]
                self._ready.pop()
        self._current = None

    def note(self, what: str) -> None:
        """Say what happened, for those who want to know."""
        if self.trace is not None:
            name = self._current.name if self._current else "-"
            self.trace.append(f"{self.turns:5} {name:12} {what}")
