"""What a run tells of itself: figures of what happened, and progress while it happens."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import pytest
from tests.support.logs import DAY, PREFIX, TODAY, log_key
from tests.support.memory_day import TASK, a_day, put_logs, rollups
from tests.support.memory_store import MemoryStore

from s3_log_roller.errors import StorageError
from s3_log_roller.rolling import passes
from s3_log_roller.rolling.figures import Figures
from s3_log_roller.rolling.options import RollOptions
from s3_log_roller.rolling.outcome import PassOutcome
from s3_log_roller.rolling.queue import InProcessQueue
from s3_log_roller.rolling.reconcile import reconcile
from s3_log_roller.rolling.roll import roll
from s3_log_roller.rolling.runner import InlineRunner
from s3_log_roller.rolling.summary import Summary
from s3_log_roller.rolling.tasks import RangeTask, Task, WorkTask
from s3_log_roller.rolling.window import Window
from s3_log_roller.rolling.worker import Worker
from s3_log_roller.store import DeleteFailure, DeleteReport


def test_the_figures_of_a_run_are_those_of_what_happened() -> None:
    """Bytes in and out, deleted, markers, leftovers, over several looks."""
    store, bodies = a_day()
    markers = 0
    real = store.delete

    def delete(
        objects: Iterable[tuple[str, str]], report: DeleteReport | None = None, *, versions: bool = False
    ) -> DeleteReport:
        nonlocal markers
        report = real(objects, report)
        markers += 1
        report.markers = 2
        return report

    store.delete = delete  # type: ignore[method-assign]
    ticks: list[tuple[int, int]] = []
    outcome = reconcile(
        store, TASK, RollOptions(True, 1), today=TODAY, on_progress=lambda logs, size: ticks.append((logs, size))
    )
    (key,) = rollups(store)
    assert outcome.figures.bytes_in == sum(map(len, bodies.values())) == sum(size for _, size in ticks)
    assert outcome.figures.bytes_out == len(store.objects[key].body)
    assert (outcome.figures.packed, outcome.figures.deleted, outcome.figures.delete_markers) == (9, 9, 2)
    assert sum(logs for logs, _ in ticks) == 9
    assert (outcome.figures.leftovers, outcome.figures.archived, outcome.remaining) == (0, 0, 0)


def test_progress_is_told_every_hundred_logs_and_every_sixteen_megabytes() -> None:
    """So that a bar moves, and so that time running short is noticed soon."""
    store = MemoryStore()
    for number in range(250):
        store.put(log_key(number), b"x")
    ticks: list[int] = []
    reconcile(store, TASK, RollOptions(False, 1), today=TODAY, on_progress=lambda logs, size: ticks.append(logs))
    assert ticks == [100, 100, 50]
    store = MemoryStore()
    for number in range(5):
        store.put(log_key(number), bytes(8 << 20))
    ticks.clear()
    reconcile(store, TASK, RollOptions(False, 1), today=TODAY, on_progress=lambda logs, size: ticks.append(logs))
    assert ticks == [2, 2, 1]


A_PASS = RangeTask("bucket", "", Window(TODAY))


def three_days() -> MemoryStore:
    """Four logs each."""
    store = MemoryStore()
    for number in range(3):
        put_logs(store, range(4), PREFIX, DAY - timedelta(number))
    return store


def work(store: MemoryStore, *tasks: Task) -> Summary:
    """Run the tasks with deletes, until something interrupts that."""
    summary = Summary(deleting=True)
    runner = InlineRunner(lambda task: roll(store, task, RollOptions(True, 1), today=TODAY))
    worker = Worker(InProcessQueue(tasks), runner, None, lambda: TODAY, summary)  # type: ignore[arg-type]
    try:
        worker.work()
    except KeyboardInterrupt:
        summary.interrupted = True
    return summary


def fail_at(store: MemoryStore, step: str, number: int, error: BaseException) -> None:
    """Let that step fail when it comes for the nth time, and from then on."""
    times = 0

    def before(what: str, key: str) -> None:
        nonlocal times
        times += what == step
        if what == step and times >= number:
            raise error

    store.before = before


@pytest.mark.parametrize("error", [KeyboardInterrupt(), StorageError("the network is gone", code="Network")], ids=repr)
@pytest.mark.parametrize("task", [A_PASS, TASK], ids=["pass", "alone"])
def test_what_was_done_before_the_end_is_counted(task: Task, error: BaseException) -> None:
    """Of a run that Ctrl-C or an error ends among the deletes: rollups, logs and each single delete."""
    store = three_days()
    fail_at(store, "delete", 4, error)
    figures = work(store, task).figures
    written = 3 if task == A_PASS else 1
    assert len(rollups(store)) == figures.rollups == written
    assert figures.packed == 4 * written
    assert len(store.objects) == 12 + written - 3
    assert figures.deleted == 3


def test_refused_deletes_do_not_hide_the_others() -> None:
    """The task fails, and what was deleted is counted all the same."""
    store, bodies = a_day()
    store.undeletable = set(sorted(bodies)[:2])
    summary = work(store, TASK)
    assert (summary.figures.packed, summary.figures.deleted, summary.failed_count) == (9, 7, 1)


class VersionedStore(MemoryStore):
    """A versioned bucket, in which one version can't be deleted and another one has an older one below it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[bool] = set()

    def delete(
        self, objects: Iterable[tuple[str, str]], report: DeleteReport | None = None, *, versions: bool = False
    ) -> DeleteReport:
        self.asked.add(versions)
        report = super().delete(pairs := list(objects), report)
        report.markers = 1 if versions else len(pairs)
        if versions:
            report.versions, report.other_versions = len(pairs) - 1, 1
            report.version_failures.append(DeleteFailure(pairs[0][0], "AccessDenied: locked"))
        return report


@pytest.mark.parametrize("task", [TASK, A_PASS], ids=["alone", "in a pass"])
@pytest.mark.parametrize("versions", [False, True])
def test_versions_are_deleted_where_asked_for_and_each_is_accounted_for(
    task: WorkTask, versions: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """One that stays is a failure that nothing takes back, and its key is in the log; older ones are counted."""
    store = VersionedStore()
    put_logs(store, range(9))
    outcome = roll(store, task, RollOptions(True, 1, delete_versions=versions), today=TODAY)
    summary = Summary(deleting=True)
    for one in outcome.outcomes if isinstance(outcome, PassOutcome) else [outcome]:
        summary.rolled(one)
    figures = summary.figures
    assert store.asked == {versions}
    found = (figures.deleted, figures.delete_markers, figures.versions_deleted, figures.other_versions)
    assert found == ((9, 1, 8, 1) if versions else (9, 9, 0, 0))
    assert (figures.versions_kept, summary.day_groups_done) == (int(versions), 1)
    assert [why.partition(";")[0] for why in summary.failures.values()] == (
        ["1 original got a delete marker, but S3 refused to delete the version below it"] if versions else []
    )
    told = [vars(record)["why"] for record in caplog.records if record.message == "version_not_deleted"]
    assert told == (["AccessDenied: locked"] if versions else [])


def test_what_was_done_of_a_wave_that_failed_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The range goes on with it; then all is done, and each figure is what happened."""
    monkeypatch.setattr(passes, "WAVE_DAYS", 2)
    store = three_days()
    fail_at(store, "delete", 11, StorageError("the network is gone", code="Network"))
    first = roll(store, A_PASS, RollOptions(True, 1), today=TODAY)
    assert isinstance(first, PassOutcome)
    assert first.start_after is not None
    assert sum((one.figures for one in (*first.outcomes, *first.partly)), start=Figures()).deleted == 10
    store = three_days()
    failed = False

    def once(step: str, key: str) -> None:
        nonlocal failed
        if step == "delete" and len(store.objects) == 3 + 2 and not failed:
            failed = True
            raise StorageError("the network is gone", code="Network")

    store.before = once
    summary = work(store, A_PASS)
    assert failed
    assert (summary.figures.rollups, summary.figures.packed, summary.figures.deleted) == (3, 12, 12)
    assert (summary.day_groups_done, summary.failed_count) == (3, 0)
