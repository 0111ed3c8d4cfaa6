"""What is asked about many days with loose logs is asked for at once; what is read does not change by it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.logs import DAY, PREFIX
from tests.support.memory_day import put_logs, roll, rollups
from tests.support.watched_store import Watched

from s3_log_roller.errors import StorageError
from s3_log_roller.local_files import LocalFiles
from s3_log_roller.reading.asking import MOST_GROUPS, ask_ahead, by_few
from s3_log_roller.reading.groups import Group, find_groups
from s3_log_roller.reading.logs import Reader
from s3_log_roller.reading.parallel import batches
from s3_log_roller.reading.proofs import find_rollups, prove
from s3_log_roller.reading.selection import Selection
from s3_log_roller.reading.shares import find_shares
from s3_log_roller.reading.watching import watched
from s3_log_roller.store import ByteRange, Page, Pager
from s3_log_roller.uris import S3Uri

EVERYTHING = S3Uri.parse("s3://bucket/")


def some_days(count: int, page_size: int = 1000) -> tuple[Watched, dict[str, bytes]]:
    """Days of five logs that are rolled up and still there, each with a late one."""
    store = Watched(page_size)
    bodies: dict[str, bytes] = {}
    for day in (DAY + timedelta(number) for number in range(count)):
        bodies |= put_logs(store, range(5), day=day)
        roll(store, day=day, delete=False)
        bodies |= put_logs(store, [600], day=day)
    store.together, store.alone = [], []
    return store, bodies


def read(store: Watched, failures: list[str]) -> dict[str, bytes]:
    """All logs, and what was complained of."""
    groups = find_groups(lambda bucket: store, [EVERYTHING], Selection(), failures.append)
    shares = find_shares(lambda bucket: store, groups, failures.append, split=False)
    reader = Reader(lambda bucket: store, failures.append)
    found: dict[str, bytes] = {}
    for batch in batches(shares):
        for _, member, data, _ in reader.read(batch):
            found[f"{PREFIX}{member.name}"] = found.get(f"{PREFIX}{member.name}", b"") + data
    return found


def test_a_few_groups_come_first_and_then_more() -> None:
    """None is left out, and the first does not wait for the others."""
    groups = [Group("bucket", "", None, Selection()) for _ in range(100)]
    few = list(by_few(groups))
    assert [len(some) for some in few] == [1, 2, 4, 8, 16, 32, 32, 5]
    assert [group for some in few for group in some] == groups
    assert max(map(len, few)) == MOST_GROUPS


def test_days_with_loose_logs_are_asked_about_at_once() -> None:
    """Their logs, then their rollups, then the indexes of those; and what is read is what was there."""
    store, bodies = some_days(7)
    failures: list[str] = []
    assert read(store, failures) == bodies
    assert not failures
    assert store.together == [kind for days in (2, 4) for kind in (("list", days), ("list", days), ("fetch", days))]
    lists = [request for request in store.alone if request.startswith("list")]
    assert len(lists) == 1 + 2, "one for all, and two for the first day, which goes alone"
    ends = [request for request in store.alone if request.startswith("fetch") and "rollup" in request]
    assert len(ends) == 2, "the first day's index, and the ends of all of them for what they hold"


@pytest.mark.parametrize("page_size", [2, 5, 6, 7])
def test_behind_a_part_of_the_loose_logs_no_rollup_is_listed(monkeypatch: pytest.MonkeyPatch, page_size: int) -> None:
    """A log of a later page might be rolled up and deleted in between: it would be nowhere."""
    store, bodies = some_days(3, page_size)
    listed: list[tuple[str, bool]] = []
    list_page = store.list_page

    def noted(prefix: str, start_after: str = "", **more: int) -> Page:
        page = list_page(prefix, start_after, **more)  # type: ignore[arg-type]
        listed.append((prefix, page.truncated))
        return page

    monkeypatch.setattr(store, "list_page", noted)
    failures: list[str] = []
    assert read(store, failures) == bodies
    assert not failures
    for number in range(3):
        day = DAY + timedelta(number)
        logs = [place for place, (prefix, _) in enumerate(listed) if prefix == f"{PREFIX}{day}-"]
        behind = [place for place, (prefix, _) in enumerate(listed) if prefix == f"{PREFIX}rollup-{day}-"]
        assert logs
        assert min(behind) > max(logs)
        assert not listed[max(logs)][1]


def test_what_cannot_be_asked_for_at_once_is_asked_for_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """If it can be had then, nothing is missing, and nothing is told."""
    store, bodies = some_days(3)

    def refuse(pagers: Sequence[Pager]) -> list[Page | StorageError]:
        raise StorageError("refused")

    monkeypatch.setattr(store, "next_pages", refuse)
    failures: list[str] = []
    assert read(store, failures) == bodies
    assert not failures


def test_a_rollup_that_is_gone_when_it_is_read_is_the_failure_of_its_day() -> None:
    """The ends of the others, which are fetched with it, are theirs."""
    store, bodies = some_days(5)
    failures: list[str] = []
    groups = find_groups(lambda bucket: store, [EVERYTHING], Selection(), failures.append)
    shares = tuple(find_shares(lambda bucket: store, groups, failures.append, split=False))
    del store.objects[rollups(store)[2]]
    reader = Reader(lambda bucket: store, failures.append)
    read = {f"{PREFIX}{member.name}": data for _, member, data, _ in reader.read(shares)}
    gone = str(DAY + timedelta(2))
    assert read == {key: body for key, body in bodies.items() if gone not in key}
    assert len(failures) == 1
    assert "is gone" in failures[0]


def test_days_without_loose_logs_need_no_question() -> None:
    """And neither does a single day: nobody waits for it."""
    store, _ = some_days(2)
    groups = list(find_groups(lambda bucket: store, [EVERYTHING], Selection(), pytest.fail))
    stores = lambda bucket: store  # noqa: E731
    assert ask_ahead(stores, groups[:1]) is stores
    for group in groups:
        group.has_loose = False
    assert ask_ahead(stores, groups) is stores
    assert store.together == []


def test_originals_of_many_days_are_listed_at_once_to_be_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rollup is held against those of its day."""
    monkeypatch.setattr("s3_log_roller.reading.proofs.MOST_GROUPS", 3)
    store, _ = some_days(7)
    groups = list(find_groups(lambda bucket: store, [EVERYTHING], Selection(), pytest.fail))
    shares = tuple(find_rollups(groups))
    store.alone = []
    proofs = list(prove(lambda bucket: store, shares))
    assert [(proof.verdict, proof.members, proof.originals) for proof in proofs] == [("ok", 5, 5)] * 7
    assert store.together == [("list", 3), ("list", 3), ("list", 1)]
    assert [request for request in store.alone if request.startswith("list")] == []


def test_files_on_this_machine_answer_together_as_they_do_alone(tmp_path: Path) -> None:
    """One that is gone stands in its place, and nothing lies beside a file."""
    files = LocalFiles()
    (tmp_path / "one").write_bytes(b"1")
    (tmp_path / "two").write_bytes(b"22")
    one, two = (files.find(str(tmp_path / name)) for name in ("one", "two"))
    wanted = [ByteRange(str(tmp_path / "gone"), "x", 0, 1, whole=True)]
    wanted += [ByteRange(found.key, found.etag, 0, found.size, whole=True) for found in (one, two)]
    gone, *bodies = files.fetch_each(wanted)
    assert isinstance(gone, StorageError)
    assert bodies == [(b"1", b""), (b"22", b"")]
    assert files.next_pages([Pager("", "x")]) == [Page([], truncated=False)]


def test_what_was_found_is_shown_before_answers_are_waited_for_together() -> None:
    """As it is before each that is waited for alone."""
    waits: list[int] = []
    store, _ = some_days(1)
    watched_store = watched(lambda bucket: store, lambda: waits.append(len(store.together)))("bucket")
    (page,) = watched_store.next_pages([Pager("bucket", f"{PREFIX}rollup-")])
    assert isinstance(page, Page)
    (rollup,) = page.objects
    with closing(watched_store.fetch_each([ByteRange(rollup.key, rollup.etag, 0, rollup.size, whole=True)])) as bodies:
        assert [len(body[0]) for body in bodies if not isinstance(body, StorageError)] == [rollup.size]
    assert waits[:2] == [0, 1]
