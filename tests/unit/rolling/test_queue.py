"""The queue inside the process: tasks are drawn one at a time, and what was sent comes first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest

from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rolling.queue import InProcessQueue, warn_of_backlog
from s3_log_roller.rolling.tasks import RollTask, Task, decode_task
from s3_log_roller.rolling.window import Window


def task(number: int) -> RollTask:
    return RollTask(DayGroup("logs", f"{number}/", date(2022, 7, 1)), Window(date(2022, 7, 3)))


def test_in_process_tasks_are_drawn_one_at_a_time() -> None:
    """Scanning goes on only when the next task is wanted; what was sent meanwhile comes first."""
    drawn = []

    def source() -> Iterator[RollTask]:
        for number in range(3):
            drawn.append(number)
            yield task(number)

    queue = InProcessQueue(source())
    assert drawn == []
    received: list[Task] = []
    ids = set()
    while (delivery := queue.receive(20)) is not None:
        with delivery as held:
            received.append(decode_task(held.body))
            ids.add(held.message_id)
            assert held.receives == 1
            assert len(drawn) <= len(received)
            if received == [task(0)]:
                assert queue.send([task(7), task(8)]) == 2
                assert queue.send([]) == 0
                assert queue.backlog() == 2
            held.acknowledge()
    assert received == [task(0), task(7), task(8), task(1), task(2)]
    assert len(ids) == 5


@pytest.mark.parametrize(
    ("backlog", "said"), [(None, ""), (0, ""), (1, "still holds 1 task of"), (1234, "still holds about 1,234 tasks of")]
)
def test_tasks_of_earlier_runs_are_told_of(
    backlog: int | None, said: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is said where there are none, or where that cannot be told."""
    queue = InProcessQueue()
    monkeypatch.setattr(queue, "backlog", lambda: backlog)
    warn_of_backlog(queue, "work")
    sentences = [record.__dict__["sentence"] for record in caplog.records]
    assert [said in sentence for sentence in sentences] == ([True] if said else [])
