"""Rollups in archive tiers hold up nothing: what they can't hold is packed, the rest is left and told of."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable
from dataclasses import replace

import pytest
from tests.support.logs import DAY, PREFIX, TODAY, log_key
from tests.support.memory_day import a_day, assert_exactly_once, assert_nothing_lost, put_logs, rollups, run
from tests.support.memory_store import MemoryStore

from s3_log_roller.errors import ObjectGone, StorageError
from s3_log_roller.log_keys import DayGroup, parse_rollup_key
from s3_log_roller.rolling import wave
from s3_log_roller.rolling.figures import Figures
from s3_log_roller.rolling.options import RollOptions
from s3_log_roller.rolling.outcome import PassOutcome, RollOutcome
from s3_log_roller.rolling.reconcile import reconcile
from s3_log_roller.rolling.roll import roll
from s3_log_roller.rolling.summary import Summary, render_text
from s3_log_roller.rolling.tasks import RangeTask
from s3_log_roller.rolling.window import Window
from s3_log_roller.rollup.outline import CONTENT_SHA256, NAMES
from s3_log_roller.store import NO_METADATA, ByteRange, ListedObject, Metadata, Page

RANGE = RangeTask("bucket", "", Window(TODAY))

Run = Callable[..., RollOutcome]


def run_in_pass(store: MemoryStore, *, delete: bool = False) -> RollOutcome:
    """A pass over the bucket, and alone what it leaves; the outcome of `DAY`."""
    options = RollOptions(delete, 1)
    passed = roll(store, RANGE, options, today=TODAY)
    assert isinstance(passed, PassOutcome)
    (outcome,) = (one for one in passed.outcomes if one.group.day == DAY)
    return reconcile(store, RANGE.for_group(outcome.group), options, today=TODAY) if outcome.remaining else outcome


EACH_WAY = pytest.mark.parametrize("roll_up", [run, run_in_pass])
EACH_UPLOAD = pytest.mark.parametrize("in_parts", [False, True])


def archived_day(*, delete: bool, in_parts: bool = False, roll_up: Run = run) -> tuple[MemoryStore, dict[str, bytes]]:
    """A day of nine logs whose rollup was archived, and the bodies of the logs."""
    store, bodies = a_day()
    store.in_parts = in_parts
    roll_up(store, delete=delete)
    (key,) = rollups(store)
    store.archive(key)
    return store, bodies


@EACH_WAY
@EACH_UPLOAD
@pytest.mark.parametrize("number", [86_000, 500, 0x5EED])
def test_a_late_log_that_the_archived_rollup_cannot_hold_is_packed(roll_up: Run, in_parts: bool, number: int) -> None:
    """Behind its last member and between its members: a rollup of its own, proven, and deleted from."""
    store, bodies = archived_day(delete=True, in_parts=in_parts, roll_up=roll_up)
    late = put_logs(store, [number])
    outcome = roll_up(store, delete=True)
    assert (outcome.figures.packed, outcome.figures.deleted, outcome.figures.uncertain) == (1, 1, 0)
    assert len(rollups(store)) == 2
    assert_exactly_once(store, bodies | late)


@EACH_WAY
@pytest.mark.parametrize("delete", [False, True])
def test_what_the_archived_rollup_may_hold_is_left_and_told_of(roll_up: Run, delete: bool) -> None:
    """A daily run over logs that were not deleted is no error, packs nothing again and deletes nothing unproven."""
    store, bodies = archived_day(delete=False)
    before = dict(store.objects)
    outcome = roll_up(store, delete=delete)
    assert outcome.figures == Figures(uncertain=9)
    assert outcome.remaining == 0
    assert store.objects == before
    assert_nothing_lost(store, bodies)


@EACH_WAY
def test_without_metadata_nothing_is_certain(roll_up: Run) -> None:
    """A rollup by an older version, or copied without it: late logs stay until somebody restores the rollup."""
    store, bodies = archived_day(delete=True)
    (key,) = rollups(store)
    store.objects[key] = store.objects[key]._replace(metadata=NO_METADATA)
    late = put_logs(store, [86_000])
    assert roll_up(store, delete=True).figures == Figures(uncertain=1)
    store.objects[key] = store.objects[key]._replace(archived=False)  # restored
    assert roll_up(store, delete=True).figures.packed == 1
    assert_exactly_once(store, bodies | late)


@EACH_WAY
def test_beside_rollups_that_can_be_read_only_the_rest_is_uncertain(roll_up: Run) -> None:
    """Leftovers of a readable rollup are proven and deleted as ever, whatever the archived one may hold."""
    store, bodies = archived_day(delete=False)
    late = put_logs(store, [500, 86_000])
    roll_up(store)
    assert len(rollups(store)) == 2
    later = put_logs(store, [700])
    outcome = roll_up(store, delete=True)
    figures = outcome.figures
    assert (figures.packed, figures.leftovers, figures.leftovers_proven, figures.deleted) == (1, 2, 2, 3)
    assert figures.uncertain == 9
    assert set(bodies) < set(store.objects)
    assert not (late | later).keys() & store.objects.keys()
    assert_exactly_once(store, bodies | late | later)


def test_of_two_archived_rollups_either_may_hold_a_log() -> None:
    """Both must be certain not to hold it; each is asked once."""
    store, _ = archived_day(delete=True)
    put_logs(store, [500, 86_000])
    run(store, delete=True)
    for key in rollups(store):
        store.archive(key)
    put_logs(store, [500, 600])
    asked: list[str] = []
    store.before = lambda step, key: asked.append(key) if step == "metadata" else None
    assert run(store).figures.uncertain == 1
    assert sorted(asked) == sorted(set(asked))
    assert len(asked) == 2


def test_metadata_that_cannot_be_read_is_an_error() -> None:
    """No access, for example: nothing is packed on the account of what nobody saw."""
    store, _ = archived_day(delete=True)
    put_logs(store, [86_000])

    def refuse(step: str, key: str) -> None:
        if step == "metadata":
            raise StorageError("refused")

    store.before = refuse
    before = dict(store.objects)
    with pytest.raises(StorageError, match="refused"):
        run(store, delete=True)
    assert store.objects == before


def test_a_rollup_that_was_replaced_since_is_looked_at_again() -> None:
    """The metadata is of the very object that was listed, or of none."""
    store, bodies = archived_day(delete=False)
    replaced: list[str] = []

    def replace(step: str, key: str) -> None:
        if step == "metadata" and not replaced:
            replaced.append(key)
            stored = store.objects[key]
            store.put(key, stored.body, etag="0" * 32, metadata=stored.metadata)
            raise ObjectGone("replaced")

    store.before = replace
    assert run(store, delete=True).figures.deleted == 9
    assert replaced
    assert_exactly_once(store, bodies)


@EACH_UPLOAD
def test_metadata_has_the_content_digest_where_it_is_known(in_parts: bool) -> None:
    """Metadata of an upload in parts is sent before any log was read."""
    store, _ = archived_day(delete=True, in_parts=in_parts)
    (key,) = rollups(store)
    metadata = store.objects[key].metadata
    assert (CONTENT_SHA256 in metadata) is not in_parts
    assert metadata["rollup-first-member"] == log_key(0).removeprefix(PREFIX)
    assert metadata["rollup-last-member"] == log_key(8 * 97).removeprefix(PREFIX)
    assert metadata["rollup-members"] == "9"
    assert len(metadata[NAMES]) == 24


def test_a_pass_and_reconcile_send_the_same_metadata() -> None:
    """So whichever of them rolled a day up, the same is certain later."""
    alone, _ = a_day()
    passed, _ = a_day()
    run(alone)
    run_in_pass(passed)
    assert alone.objects == passed.objects
    assert all(alone.objects[key].metadata for key in rollups(alone))


def test_many_days_are_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """One warning in the summary, with the first days by name; exit code 0; no warning for each day in the log."""
    summary = Summary()
    with caplog.at_level(logging.WARNING):
        for number in range(7):
            summary.rolled(RollOutcome(DayGroup("logs", f"{number}/", DAY), Figures(uncertain=3)))
    assert not caplog.records
    warning = [line for line in render_text(summary).splitlines() if line.startswith("Warning")]
    assert warning == [
        "Warning: 21 originals left alone, because rollups in an archive tier may hold them already: "
        "s3://logs/0/2022-07-01, s3://logs/1/2022-07-01, s3://logs/2/2022-07-01, s3://logs/3/2022-07-01, "
        "s3://logs/4/2022-07-01 and 2 more days. Restore those rollups (aws s3api restore-object) and run again to "
        "compare them."
    ]
    assert summary.exit_code == 0


def four_days() -> MemoryStore:
    """A day in each of four target prefixes, four logs each, whose rollups were archived."""
    store = MemoryStore()
    for prefix in "abcd":
        put_logs(store, range(4), f"{prefix}/")
    roll(store, RANGE, RollOptions(level=1), today=TODAY)
    for key in rollups(store):
        store.archive(key)
    return store


def pass_over(store: MemoryStore, *, delete: bool = False) -> PassOutcome:
    """A pass over all of the bucket."""
    passed = roll(store, RANGE, RollOptions(delete, 1), today=TODAY)
    assert isinstance(passed, PassOutcome)
    return passed


def count_metadata(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of how many objects metadata is asked for at once, call by call, from now on."""
    asked: list[int] = []
    read_metadata = store.read_metadata

    def count(objects: Iterable[ListedObject]) -> list[Metadata | StorageError]:
        wanted = list(objects)
        asked.append(len(wanted))
        return read_metadata(wanted)

    monkeypatch.setattr(store, "read_metadata", count)
    return asked


def list_as(store: MemoryStore, monkeypatch: pytest.MonkeyPatch, *, archived: bool) -> None:
    """Let all rollups list as archived, or as not."""
    list_page = store.list_page

    def listed(prefix: str, start_after: str = "", **more: int) -> Page:
        page = list_page(prefix, start_after, **more)  # type: ignore[arg-type]
        objects = [one._replace(archived=archived) if parse_rollup_key(one.key) else one for one in page.objects]
        return replace(page, objects=objects)

    monkeypatch.setattr(store, "list_page", listed)


@pytest.mark.parametrize("like_others", [False, True])
def test_days_with_archived_rollups_go_in_a_pass_and_ask_at_once(
    monkeypatch: pytest.MonkeyPatch, like_others: bool
) -> None:
    """Also those that list like any other, as in the archive tiers of Intelligent-Tiering: the metadata of all their
    rollups, and the late logs of all of them, are asked for beside each other."""
    store = four_days()
    if like_others:
        list_as(store, monkeypatch, archived=False)
    asked = count_metadata(store, monkeypatch)
    late = put_logs(store, [86_000], "b/")
    passed = pass_over(store, delete=True)
    assert [(one.figures.uncertain, one.figures.packed, one.remaining) for one in passed.outcomes] == [
        (4, 0, 0),
        (4, 1, 0),
        (4, 0, 0),
        (4, 0, 0),
    ]
    assert asked == [4]
    assert not late.keys() & store.objects.keys()


def test_a_day_whose_metadata_cannot_be_read_goes_alone() -> None:
    """The others go on; nothing is packed on the account of what nobody saw."""
    store = four_days()
    put_logs(store, [86_000], "b/")

    def refuse(step: str, key: str) -> None:
        if step == "metadata" and key.startswith("b/"):
            raise StorageError("refused")

    store.before = refuse
    before = dict(store.objects)
    assert [one.remaining for one in pass_over(store, delete=True).outcomes] == [0, 1, 0, 0]
    assert store.objects == before


def test_a_restored_rollup_that_lists_as_archived_sends_its_day_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """There all of it is read; in the pass only one byte of such a rollup is asked for, however large it is."""
    store = four_days()
    (key,) = (key for key in rollups(store) if key.startswith("b/"))
    store.objects[key] = store.objects[key]._replace(archived=False)
    list_as(store, monkeypatch, archived=True)
    monkeypatch.setattr(wave, "READ_BYTES", 1)
    fetched: list[int] = []
    fetch_each = store.fetch_each

    def count(ranges: Iterable[ByteRange]) -> Generator[tuple[bytes, bytes] | StorageError, None, None]:
        wanted = list(ranges)
        fetched.extend(one.length for one in wanted)
        return fetch_each(wanted)

    monkeypatch.setattr(store, "fetch_each", count)
    assert [one.remaining for one in pass_over(store).outcomes] == [0, 1, 0, 0]
    assert fetched == [1, 1, 1, 1]


def test_the_metadata_of_all_rollups_of_a_day_is_asked_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A day to which logs came late again and again may have many."""
    store, _ = archived_day(delete=True)
    for number in (500, 600, 700):
        put_logs(store, [number])
        run(store, delete=True)
    for key in rollups(store):
        store.archive(key)
    asked = count_metadata(store, monkeypatch)
    put_logs(store, [800])
    assert run(store).figures.packed == 1
    assert asked == [4]
