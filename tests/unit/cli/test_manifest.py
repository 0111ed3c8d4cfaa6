"""A manifest has a line for every rollup before anything is deleted on its account, whatever stands in the way."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from tests.support.logs import DAY, TODAY, log_key
from tests.support.memory_day import Killed, a_day, assert_exactly_once, put_logs, rollups
from tests.support.memory_store import MemoryStore, no_step

from s3_log_roller.cli.manifest import ManifestFile
from s3_log_roller.errors import DamagedRollup, ManifestError, UsageError
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.mirrored import MirroredStore, place_in
from s3_log_roller.rolling.destination import Destination
from s3_log_roller.rolling.manifest import Manifest
from s3_log_roller.rolling.options import RollOptions
from s3_log_roller.rolling.outcome import PassOutcome
from s3_log_roller.rolling.roll import roll
from s3_log_roller.rolling.tasks import RangeTask, RollTask, WorkTask
from s3_log_roller.rolling.window import Window
from s3_log_roller.rollup import Originals, read_footer
from s3_log_roller.rollup.verify import Verified
from s3_log_roller.store import ListedObject
from s3_log_roller.uris import S3Uri

NOW = datetime(2022, 7, 3, 12, 30, tzinfo=UTC)
WINDOW = Window(TODAY)
ALONE = RollTask(DayGroup("bucket", "example.com/", DAY), WINDOW)
TOGETHER = RangeTask("bucket", "", WINDOW)
BOTH_WAYS = pytest.mark.parametrize("task", [ALONE, TOGETHER], ids=["alone", "in a pass"])
LATER = TODAY + timedelta(30)
"""No rollup is young any more."""


@contextmanager
def opened(path: Path) -> Iterator[ManifestFile]:
    with closing(ManifestFile(str(path), lambda: NOW)) as manifest:
        yield manifest


def run(store: MemoryStore, manifest: Manifest, task: WorkTask = ALONE, *, delete: bool = False) -> None:
    roll(store, task, RollOptions(delete, 1), today=TODAY, manifest=manifest)


@contextmanager
def refusing(monkeypatch: pytest.MonkeyPatch, call: str, number: int) -> Iterator[None]:
    """The system refuses that call with that error."""

    def refuse(*arguments: object) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as refused:
        refused.setattr(os, call, refuse)
        yield


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def listed(path: Path) -> list[object]:
    return [line["key"] for line in lines(path)]


@BOTH_WAYS
def test_a_line_says_where_the_rollup_is_and_what_its_bytes_are(tmp_path: Path, task: WorkTask) -> None:
    """Every field is that of the object in the store, whether the day group goes alone or in a pass."""
    store, bodies = a_day()
    with opened(tmp_path / "manifest") as manifest:
        run(store, manifest, task)
    (key,) = rollups(store)
    stored = store.objects[key]
    footer = read_footer(stored.body, len(stored.body))
    assert lines(tmp_path / "manifest") == [
        {
            "bucket": "bucket",
            "key": key,
            "day": str(DAY),
            "members": len(bodies),
            "bytes": len(stored.body),
            "content_digest": footer.content_digest.hex(),
            "sha256": sha256(stored.body).hexdigest(),
            "etag": stored.etag,
            "time": "2022-07-03T12:30:00+00:00",
        }
    ]


@BOTH_WAYS
def test_nothing_is_deleted_before_the_line_is_safe(
    tmp_path: Path, task: WorkTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file was synchronized with the line in it when the first delete is asked for."""
    path = tmp_path / "manifest"
    store, _ = a_day()
    safe = ""
    real = os.fsync

    def fsync(descriptor: int) -> None:
        nonlocal safe
        real(descriptor)
        safe = path.read_text()

    seen = []

    def before(step: str, key: str) -> None:
        if step == "delete":
            seen.append(safe.count("\n"))

    with opened(path) as manifest:
        monkeypatch.setattr(os, "fsync", fsync)
        store.before = before
        run(store, manifest, task, delete=True)
    assert set(seen) == {1}


@BOTH_WAYS
@pytest.mark.parametrize("call", ["write", "fsync"])
def test_what_cannot_be_listed_is_not_deleted_and_a_later_run_lists_it(
    tmp_path: Path, task: WorkTask, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk ends the run at once. The next one sees leftovers only, and deletes them once they are listed."""
    path = tmp_path / "manifest"
    store, bodies = a_day()

    with opened(path) as manifest, refusing(monkeypatch, call, errno.ENOSPC):
        with pytest.raises(ManifestError, match="manifest cannot be written: No space left on device"):
            run(store, manifest, task, delete=True)
        before = dict(store.objects)
        with pytest.raises(ManifestError):
            run(store, manifest, task, delete=True)
        assert store.objects == before
    assert bodies.keys() <= store.objects.keys()
    with opened(path) as manifest:
        run(store, manifest, task, delete=True)
    assert listed(path) == rollups(store) == list(store.objects)
    assert_exactly_once(store, bodies)


def test_a_line_that_could_not_be_written_is_written_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same run goes on by itself."""
    store, _ = a_day()

    with opened(tmp_path / "manifest") as manifest:
        with refusing(monkeypatch, "write", errno.ENOSPC), pytest.raises(ManifestError):
            run(store, manifest)
        run(store, manifest)
    assert listed(tmp_path / "manifest") == rollups(store)


def test_after_a_failed_synchronization_nothing_is_believed_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system forgets what it could not write: another try that succeeds would prove nothing."""
    store, bodies = a_day()

    with opened(tmp_path / "manifest") as manifest:
        with refusing(monkeypatch, "fsync", errno.EIO), pytest.raises(ManifestError):
            run(store, manifest, delete=True)
        with pytest.raises(ManifestError, match="Input/output error"):
            run(store, manifest, delete=True)
    assert bodies.keys() <= store.objects.keys()


def test_half_a_line_never_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full in the middle of a line: the file ends with the last whole one."""
    path = tmp_path / "manifest"
    store, _ = a_day()
    with opened(path) as manifest:
        run(store, manifest)
        whole = path.read_bytes()
        put_logs(store, range(1, 5), "other/")
        real, left = os.write, [100]

        def write(descriptor: int, data: bytes) -> int:
            if not left[0]:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            written = real(descriptor, data[: left[0]])
            left[0] -= written
            return written

        with monkeypatch.context() as full:
            full.setattr(os, "write", write)
            with pytest.raises(ManifestError):
                run(store, manifest, TOGETHER)
        assert left == [0]
        assert path.read_bytes() == whole
        run(store, manifest, TOGETHER)
    assert sorted(listed(path), key=str) == sorted(rollups(store))


@BOTH_WAYS
def test_an_old_rollup_that_is_not_listed_is_proven_and_listed_once(tmp_path: Path, task: WorkTask) -> None:
    """A crash between publishing and listing leaves no gap, however late the next run comes."""
    store, _ = a_day()
    run_of_before = RollOptions(delete=False, level=1)
    roll(store, task, run_of_before, today=TODAY)
    with opened(tmp_path / "manifest") as manifest:
        roll(store, task, run_of_before, today=LATER, manifest=manifest)
        roll(store, task, run_of_before, today=LATER, manifest=manifest)
    assert listed(tmp_path / "manifest") == rollups(store)
    with opened(tmp_path / "manifest") as manifest:
        fetched: list[str] = []
        store.before = lambda step, key: fetched.append(key) if step == "fetch" else None
        roll(store, task, run_of_before, today=LATER, manifest=manifest)
    assert len(fetched) == 1  # its index
    assert listed(tmp_path / "manifest") == rollups(store)


@BOTH_WAYS
def test_a_rollup_that_was_replaced_is_not_listed_again(tmp_path: Path, task: WorkTask) -> None:
    """Another sound rollup under a listed key: nothing is deleted on its account, and its old line stays the last."""
    path = tmp_path / "manifest"
    store, bodies = a_day()
    with opened(path) as manifest:
        run(store, manifest, task)
    (key,) = rollups(store)
    del store.objects[key]
    roll(store, task, RollOptions(delete=False, level=9), today=TODAY)
    assert rollups(store) == [key]
    with opened(path) as manifest:
        if task is TOGETHER:
            run(store, manifest, task, delete=True)  # it is left to go alone
        with pytest.raises(DamagedRollup, match=rf"{key} is not the rollup that .*manifest lists: its SHA-256 is"):
            run(store, manifest, ALONE, delete=True)
    assert bodies.keys() <= store.objects.keys()
    assert len(lines(path)) == 1


def test_a_listed_rollup_that_is_gone_is_told_of_when_its_day_is_packed_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its originals are still there, but whoever deleted it should be asked."""
    path = tmp_path / "manifest"
    store, _ = a_day()
    with opened(path) as manifest:
        run(store, manifest)
        (key,) = rollups(store)
        del store.objects[key]
        put_logs(store, [60_000])
        run(store, manifest)
    assert listed(path) == [key, key]
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == ["listed_rollup_was_gone"]


def append_many(path: str, process: int) -> None:
    with closing(ManifestFile(path, lambda: NOW)) as manifest:
        for number in range(100):
            rollup = ListedObject(f"{process}/{number}" + "x" * 3000, "", 1, 0, archived=False)
            manifest.add(Verified(rollup, Originals(ALONE.group), "bucket", sha256=bytes(32)))
        manifest.sync()


def test_many_processes_append_to_one_file(tmp_path: Path) -> None:
    """No line is lost, and none is written into another."""
    path = tmp_path / "manifest"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=append_many, args=(str(path), number)) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert len(set(listed(path))) == len(lines(path)) == 300


def test_a_line_that_a_crash_cut_short_is_removed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The rollup has to be proven again; a last line that only lacks its end counts."""
    path = tmp_path / "manifest"
    store, _ = a_day()
    with opened(path) as manifest:
        run(store, manifest)
    whole = path.read_bytes()
    for left in range(1, len(whole)):
        path.write_bytes(whole + whole[:left])
        with opened(path):
            pass
        assert path.read_bytes() == (whole * 2 if left == len(whole) - 1 else whole)
    assert "was cut short and is removed" in caplog.records[0].__dict__["sentence"]
    path.write_bytes(whole[:-1])
    with opened(path) as manifest:
        assert not manifest.lacks("bucket", ListedObject(rollups(store)[0], "", 1, 0, archived=False))
    assert path.read_bytes() == whole


@pytest.mark.parametrize("text", ["hello", "hello\n", '{"bucket": "b"}\n', "[]\n", '{"bucket": "b", "key"\n{}', "\0"])
def test_a_file_of_somebody_else_is_not_touched(tmp_path: Path, text: str) -> None:
    """Neither appended to nor cut: the option may name the wrong file."""
    (tmp_path / "notes").write_text(text)
    with pytest.raises(UsageError, match=r"--manifest .*notes: line 1 is not a line of a manifest: "):
        ManifestFile(str(tmp_path / "notes"), lambda: NOW)
    assert (tmp_path / "notes").read_text() == text


@pytest.mark.parametrize(
    ("path", "why"),
    [("/dev/full", "is not a regular file"), ("/", "Is a directory"), ("/no/such/folder", "No such file or directory")],
)
def test_a_place_where_no_line_would_be_safe_is_refused(path: str, why: str) -> None:
    """Before anything is rolled up."""
    with pytest.raises(UsageError, match=f"--manifest {path} .*{why}"):
        ManifestFile(path, lambda: NOW)


def test_logs_that_arrive_late_make_a_line_of_their_own(tmp_path: Path) -> None:
    """A line for each rollup of a day."""
    store, _ = a_day()
    with opened(tmp_path / "manifest") as manifest:
        run(store, manifest, delete=True)
        store.put(log_key(86_000), b"late\n")
        run(store, manifest, delete=True)
    assert sorted(listed(tmp_path / "manifest"), key=str) == sorted(rollups(store))
    assert [line["members"] for line in lines(tmp_path / "manifest")] == [9, 1]


@BOTH_WAYS
def test_a_rollup_in_another_bucket_is_listed_where_it_is(tmp_path: Path, task: WorkTask) -> None:
    """Under its own bucket and key, once, whether it was written or found there."""
    store, _ = a_day()
    archive = MemoryStore("archive")
    destination = Destination(S3Uri("archive", "kept/"))
    place = MirroredStore(archive, place_in(destination.uri, store.bucket))
    options = RollOptions(delete=False, level=1, destination=destination)
    with opened(tmp_path / "manifest") as manifest:
        for today in (TODAY, TODAY, LATER):
            outcome = roll(store, task, options, today=today, manifest=manifest, rollups=place)
    done = outcome.outcomes if isinstance(outcome, PassOutcome) else (outcome,)
    assert [one.figures.leftovers_proven for one in done] == [0], "it is old and listed"
    (line,) = lines(tmp_path / "manifest")
    (key,) = archive.objects
    assert (line["bucket"], line["key"]) == ("archive", key)
    assert line["sha256"] == sha256(archive.objects[key].body).hexdigest()


@BOTH_WAYS
def test_whenever_it_is_killed_what_is_deleted_is_listed_and_running_again_lists_all(
    tmp_path: Path, task: WorkTask
) -> None:
    """Before and behind every step that the store sees; the second run comes when no rollup is young any more."""
    steps = 0
    while True:
        path = tmp_path / f"manifest-{steps}"
        store, bodies = a_day(4)
        left = [steps]

        def step(name: str, key: str, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Killed

        store.before = store.after = step
        try:
            with opened(path) as manifest:
                run(store, manifest, task, delete=True)
        except Killed:
            pass
        else:
            break
        store.before = store.after = no_step
        if not bodies.keys() <= store.objects.keys():
            assert listed(path) == rollups(store)
        with opened(path) as manifest:
            roll(store, task, RollOptions(delete=True, level=1), today=LATER, manifest=manifest)
        assert_exactly_once(store, bodies)
        assert listed(path) == rollups(store)
        steps += 1
    assert steps > 20
