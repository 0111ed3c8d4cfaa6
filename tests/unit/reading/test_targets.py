"""Logs are restored where they belong and nowhere else, whoever works in the same place, and never over anything."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from tests.support.memory_store import MemoryStore, no_step

from s3_log_roller.errors import DamagedRollup, StorageError
from s3_log_roller.reading import directories
from s3_log_roller.reading.directories import DirectoryPlace
from s3_log_roller.reading.tarball import Member
from s3_log_roller.reading.targets import BucketPlace, Outcome, Place, Target, TargetUnusable
from s3_log_roller.store import Store

MTIME = 1_656_652_543


def put(place: Place, name: str, body: bytes, during: Callable[[], object] = lambda: None) -> bool | Exception:
    """Restore a log; `during` is called when half of it is written. What became of it."""
    half = len(body) // 2

    def content() -> Iterator[bytes]:
        yield body[:half]
        during()
        yield body[half:]

    outcomes: list[Outcome] = list(place.restore("where", name, Member(name, len(body), MTIME), content()))
    outcomes += place.finish()
    ((_, _, outcome),) = outcomes
    return outcome


@pytest.fixture
def place(tmp_path: Path) -> Iterator[DirectoryPlace]:
    place = DirectoryPlace(str(tmp_path / "target"))
    yield place
    place.close()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "target"
    path.mkdir()
    return path


def test_a_log_gets_its_bytes_and_its_time(place: DirectoryPlace, target: Path) -> None:
    """Below folders that are made where there are none; a second time it is there already."""
    assert put(place, "a/b/log", b"content") is True
    assert (target / "a/b/log").read_bytes() == b"content"
    assert (target / "a/b/log").stat().st_mtime == MTIME
    assert put(place, "a/b/log", b"content") is False
    assert put(place, "a/log", b"other") is True


def test_other_bytes_of_the_same_size_are_not_the_same(place: DirectoryPlace, target: Path) -> None:
    """They stay, and the log is not said to be there."""
    (target / "log").write_bytes(b"CONTENT")
    assert isinstance(put(place, "log", b"content"), StorageError)
    assert (target / "log").read_bytes() == b"CONTENT"


def test_what_appears_meanwhile_is_not_overwritten(place: DirectoryPlace, target: Path) -> None:
    """Between the first look and the moment the log gets its name; the same bytes are as good as if they were ours."""
    outcome = put(place, "log", b"content", lambda: (target / "log").write_bytes(b"someone else's"))
    assert isinstance(outcome, StorageError)
    assert (target / "log").read_bytes() == b"someone else's"
    assert put(place, "twin", b"content", lambda: (target / "twin").write_bytes(b"content")) is False
    assert sorted(os.listdir(target)) == ["log", "twin"]


def test_two_runs_into_one_folder_leave_each_other_alone(place: DirectoryPlace, target: Path) -> None:
    """Also two whose processes have the same number, as in containers: each writes a file of its own."""
    other = DirectoryPlace(str(target))
    seen: list[list[str]] = []

    def other_run() -> None:
        assert put(other, "log", b"other", lambda: seen.append(os.listdir(target))) is True

    assert isinstance(put(place, "log", b"content", other_run), StorageError)
    assert len(set(seen[0])) == 2
    assert os.listdir(target) == ["log"]
    assert (target / "log").read_bytes() == b"other"


@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_temporary_name_that_is_taken_is_not_ours(
    place: DirectoryPlace, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """What lies there is neither written to, nor followed, nor removed."""
    monkeypatch.setattr("secrets.token_hex", lambda size: "taken")
    outside = tmp_path / "outside"
    outside.write_bytes(b"theirs")
    theirs = target / ".s3-log-roller-taken.part"
    if kind == "link":
        theirs.symlink_to(outside)
    else:
        theirs.write_bytes(b"theirs")
    with pytest.raises(TargetUnusable):
        put(place, "log", b"content")
    assert theirs.read_bytes() == outside.read_bytes() == b"theirs"
    assert theirs.is_symlink() is (kind == "link")


def test_a_link_in_a_logs_place_is_not_followed(place: DirectoryPlace, target: Path, tmp_path: Path) -> None:
    """Not even to say that the same is there."""
    (tmp_path / "outside").write_bytes(b"content")
    (target / "log").symlink_to(tmp_path / "outside")
    assert isinstance(put(place, "log", b"content"), StorageError)
    (target / "nowhere").symlink_to(tmp_path / "absent")
    assert isinstance(put(place, "nowhere", b"content"), StorageError)
    assert not (tmp_path / "absent").exists()


def test_a_pipe_in_a_logs_place_is_not_waited_for(place: DirectoryPlace, target: Path) -> None:
    """It is something else, and that is said at once."""
    os.mkfifo(target / "log")
    assert isinstance(put(place, "log", b"content"), StorageError)


def test_a_folder_that_becomes_a_link_leads_nowhere(place: DirectoryPlace, target: Path, tmp_path: Path) -> None:
    """Before the first log of a folder, between two, and while one is written: nothing is written outside."""
    outside = tmp_path / "outside"
    (outside / "inner").mkdir(parents=True)

    def swap() -> None:
        (target / "folder").rename(target / f"moved-{len(os.listdir(target))}")
        (target / "folder").symlink_to(outside)

    assert put(place, "folder/one", b"1") is True
    put(place, "folder/two", b"22", swap)
    put(place, "folder/three", b"3")
    assert isinstance(put(place, "folder/inner/four", b"4"), StorageError)
    assert isinstance(put(place, "folder/five", b"5"), StorageError)
    assert [path for path in outside.rglob("*") if path.is_file()] == []


def test_an_interruption_leaves_nothing_half_written(place: DirectoryPlace, target: Path) -> None:
    """Ctrl-C while a log is written, or right when its file was made."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        put(place, "log", b"content", interrupt)
    assert os.listdir(target) == []


def test_an_interruption_when_the_file_was_just_made(
    place: DirectoryPlace, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal may come before the program knows of its file."""
    real = os.open

    def opened(path: str, flags: int, *rest: int, **where: int) -> int:
        handle = real(path, flags, *rest, **where)
        if flags & os.O_EXCL:
            os.close(handle)
            raise KeyboardInterrupt
        return handle

    monkeypatch.setattr(os, "open", opened)
    with pytest.raises(KeyboardInterrupt):
        put(place, "log", b"content")
    assert os.listdir(target) == []


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # as a process leaves it that ends
def test_an_interruption_at_any_line_leaves_nothing_half_written(place: DirectoryPlace, target: Path) -> None:
    """Also while the temporary file is removed: the log is there, or it is not, and nothing else is."""
    before = sys.gettrace()
    put(place, "first", b"content")
    for lines in count():
        left = lines

        def interrupt(frame: FrameType, event: str, _: object) -> Any:
            nonlocal left
            if frame.f_code.co_filename == directories.__file__ and event == "line":
                left -= 1
                if left < 0:
                    raise KeyboardInterrupt
            return interrupt

        sys.settrace(interrupt)
        try:
            put(place, f"log{lines}", b"content")
        except KeyboardInterrupt:
            pass
        else:
            break
        finally:
            sys.settrace(before)
        assert set(os.listdir(target)) <= {"first", *(f"log{number}" for number in range(lines + 1))}
    assert lines > 20


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO])
def test_a_target_that_takes_no_more_is_the_end(
    place: DirectoryPlace, target: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A full disk, a read-only one: no use in trying the next log."""

    def fails(*args: object, **where: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", fails)
    with pytest.raises(TargetUnusable, match=os.strerror(number)):
        put(place, "log", b"content")
    assert os.listdir(target) == []


def test_a_name_too_long_is_that_logs_trouble(place: DirectoryPlace, target: Path) -> None:
    """The others can be restored."""
    assert isinstance(put(place, "x" * 300, b"content"), OSError)
    assert put(place, "log", b"content") is True


def test_without_hard_links_nothing_is_overwritten_either(
    place: DirectoryPlace, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems have none."""

    def refuses(*args: object, **where: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuses)
    assert put(place, "log", b"content") is True
    outcome = put(place, "other", b"content", lambda: (target / "other").write_bytes(b"someone else's"))
    assert isinstance(outcome, StorageError)
    assert (target / "other").read_bytes() == b"someone else's"
    assert sorted(os.listdir(target)) == ["log", "other"]


@pytest.mark.parametrize("name", ["../log", "web/../../log", "..", "web/./log", "a\0b"])
def test_a_name_that_leads_elsewhere_is_refused_here_too(place: DirectoryPlace, target: Path, name: str) -> None:
    """Whoever asks for it: nothing is written in the target or beside it."""
    assert isinstance(put(place, name, b"content"), DamagedRollup)
    assert list(target.parent.rglob("*")) == [target]


def test_a_file_that_cannot_be_read_ends_it(
    place: DirectoryPlace, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the system's reason. Nobody knows whether it is the same."""
    (target / "log").write_bytes(b"content")
    real_open = os.open

    def refuse(path: str, *arguments: Any, **named: Any) -> int:
        if path == "log":
            raise PermissionError(errno.EACCES, "Permission denied")
        return real_open(path, *arguments, **named)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(TargetUnusable, match="Permission denied"):
        put(place, "log", b"content")


def test_many_folders_take_no_more_descriptors_than_one(place: DirectoryPlace, target: Path) -> None:
    """A restore of years goes through thousands, some of which may be links. In the end all are given back."""
    at_first = len(os.listdir("/dev/fd"))
    put(place, "first/log", b"content")
    before = len(os.listdir("/dev/fd"))
    (target / "link").symlink_to("first")
    for number in range(20):
        assert put(place, f"site-{number}/2022/log", b"content") is True
        assert isinstance(put(place, "link/log", b"content"), StorageError)
    put(place, "first/log", b"content")
    assert len(os.listdir("/dev/fd")) == before
    place.close()
    assert len(os.listdir("/dev/fd")) == at_first


def test_a_log_may_be_read_by_whom_the_user_lets_read_files(place: DirectoryPlace, target: Path) -> None:
    """As with any new file, the umask decides alone; nobody may run it."""
    umask = os.umask(0)
    try:
        put(place, "log", b"content")
    finally:
        os.umask(umask)
    assert (target / "log").stat().st_mode & 0o777 == 0o666


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def bucket_place(store: MemoryStore) -> Iterator[BucketPlace]:
    @contextmanager
    def open_buckets() -> Iterator[Callable[[str], Store]]:
        yield lambda bucket: store

    place = BucketPlace(Target("bucket", "to/"), open_buckets)
    yield place
    place.close()


@pytest.mark.parametrize("size", [7, 5_000_000], ids=["small", "large"])
def test_other_objects_of_the_same_size_are_not_the_same(
    bucket_place: BucketPlace, store: MemoryStore, size: int
) -> None:
    """Nor if their ETag is no MD5: then the bytes are compared."""
    body, other = b"c" * size, b"C" * size
    assert put(bucket_place, "log", body) is True
    assert put(bucket_place, "log", body) is False
    store.put("to/other", other)
    assert isinstance(put(bucket_place, "other", body), StorageError)
    store.put("to/parts", body, etag="0123-2")
    assert put(bucket_place, "parts", body) is False
    store.put("to/parts", other, etag="0123-2")
    assert isinstance(put(bucket_place, "parts", body), StorageError)
    assert store.objects["to/other"].body == store.objects["to/parts"].body == other
    assert store.open_uploads == 0


@pytest.mark.parametrize("beside", [{}, {"to/log-2": b"content"}], ids=["nothing", "another key"])
def test_an_object_that_is_gone_when_it_is_compared_is_not_the_same(
    bucket_place: BucketPlace, store: MemoryStore, beside: dict[str, bytes]
) -> None:
    """It was there when the log was to be written; nobody knows what it was."""
    store.put("to/log", b"content")
    for key, body in beside.items():
        store.put(key, body)

    def vanish(step: str, key: str) -> None:
        if step == "list":
            store.objects.pop("to/log", None)

    store.before = vanish
    assert isinstance(put(bucket_place, "log", b"content"), StorageError)


@pytest.mark.parametrize("size", [7, 5_000_000], ids=["small", "large"])
def test_a_bucket_that_refuses_is_the_end(bucket_place: BucketPlace, store: MemoryStore, size: int) -> None:
    """No permission to write: every other log would be refused, too."""

    def refuse(step: str, key: str) -> None:
        if step == "finish":
            raise StorageError("s3:PutObject: AccessDenied", code="AccessDenied")

    store.before = refuse
    with pytest.raises(TargetUnusable, match="AccessDenied"):
        put(bucket_place, "log", b"c" * size)


@pytest.mark.parametrize("size", [7, 5_000_000], ids=["small", "large"])
def test_a_log_that_could_not_be_written_is_not_one_that_is_there(
    bucket_place: BucketPlace, store: MemoryStore, size: int
) -> None:
    """What failed for it alone is what became of it; the next one is written."""

    def fail_once(step: str, key: str) -> None:
        if step == "finish":
            store.before = no_step
            raise StorageError("s3:PutObject: InternalError", code="InternalError")

    store.before = fail_once
    assert str(put(bucket_place, "log", b"c" * size)) == "s3:PutObject: InternalError"
    assert put(bucket_place, "log", b"c" * size) is True


def test_a_large_log_that_is_cut_off_is_not_one_that_is_there(bucket_place: BucketPlace, store: MemoryStore) -> None:
    """It is damaged where it comes from, and nothing is left of it."""

    def break_off() -> None:
        raise DamagedRollup("its content is cut off or wrong: not restored")

    assert isinstance(put(bucket_place, "log", b"c" * 5_000_000, break_off), DamagedRollup)
    assert not store.objects
    assert store.open_uploads == 0


def test_what_was_refused_is_not_asked_for_again(bucket_place: BucketPlace, store: MemoryStore) -> None:
    """By the logs that wait for their turn: there may be thousands."""
    asked: list[str] = []

    def refuse(step: str, key: str) -> None:
        if step == "finish":
            asked.append(key)
            raise StorageError("s3:PutObject: AccessDenied", code="AccessDenied")

    store.before = refuse
    for _ in range(3):
        with pytest.raises(TargetUnusable, match="AccessDenied"):
            put(bucket_place, "log", b"content")
    assert len(asked) == 1
