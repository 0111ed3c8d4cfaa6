"""A queue that gives a message out at least once, sometimes to two at the same time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.support.simulation.faults import Odds
from tests.support.simulation.schedule import Actor, Schedule

from s3_log_roller.errors import QueueError
from s3_log_roller.rolling.tasks import Task, encode_task

MAX_RECEIVES = 6
"""Then a message is set aside, as a dead-letter queue does."""
POLLS = 3
"""So often a worker looks at an empty queue before it gives up."""


@dataclass(eq=False)
class Message:
    body: str
    number: int
    holder: Actor | None = None
    receives: int = 0
    gone: bool = False


class SimulatedQueue:
    """`TaskQueue` for all actors of a schedule."""

    def __init__(self, schedule: Schedule, odds: Odds) -> None:
        self.messages: list[Message] = []
        self.senders: list[Actor] = []
        """Those whose messages are worth waiting for."""
        self._schedule = schedule
        self._odds = odds
        self._sent = 0

    def send(self, tasks: Iterable[Task]) -> int:
        count = 0
        for task in tasks:
            self._call()
            self._sent += 1
            count += 1
            self.messages.append(Message(encode_task(task), self._sent))
        return count

    def backlog(self) -> int | None:
        return None

    def receive(self, wait_seconds: int) -> SimulatedDelivery | None:
        rng = self._schedule.rng
        polls = 0
        while polls < POLLS or any(sender.alive for sender in self.senders):
            polls += 1
            self._call()
            free = [message for message in self.messages if self._is_free(message)]
            if free:
                message = free[int(rng.random() * len(free))]
                message.receives += 1
                message.holder = self._schedule.current
                if message.receives > MAX_RECEIVES:
                    self._remove(message)
                    continue
                self._schedule.note(f"receives message {message.number}")
                return SimulatedDelivery(self, message)
        return None

    def _is_free(self, message: Message) -> bool:
        holder = message.holder
        if holder is None or not holder.alive:
            return True
        chance = self._odds.given_twice
        return holder is not self._schedule.current and chance > 0 and self._schedule.rng.random() < chance

    def acknowledge(self, message: Message) -> None:
        self._call()
        self._remove(message)

    def give_back(self, message: Message) -> None:
        if message.holder is not None and message.holder.alive and message.holder is self._schedule.current:
            message.holder = None

    def _remove(self, message: Message) -> None:
        if not message.gone:
            message.gone = True
            self.messages.remove(message)

    def _call(self) -> None:
        self._schedule.pause()
        if self._odds.killed and self._schedule.rng.random() < self._odds.killed:
            self._schedule.kill(self._schedule.current)
            self._schedule.pause()
        if self._odds.lost_request and self._schedule.rng.random() < self._odds.lost_request:
            raise QueueError("the queue did not answer")


class SimulatedDelivery:
    """A message in somebody's hands."""

    def __init__(self, queue: SimulatedQueue, message: Message) -> None:
        self.body = message.body
        self.message_id = str(message.number)
        self.receives = message.receives
        self._queue = queue
        self._message = message

    def acknowledge(self) -> None:
        self._queue.acknowledge(self._message)

    def release(self) -> None:
        self._queue.give_back(self._message)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._queue.give_back(self._message)
