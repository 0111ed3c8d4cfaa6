"""Deletes of many rollups in common calls: whose originals are gone, and whose are not."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import date

import pytest
from tests.support.logs import PREFIX, log_key
from tests.support.memory_store import MemoryStore

from s3_log_roller.errors import DeleteRefused, ManifestError
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rolling.deleting import delete_verified
from s3_log_roller.rolling.figures import Figures
from s3_log_roller.rolling.manifest import NO_MANIFEST
from s3_log_roller.rollup.originals import Originals
from s3_log_roller.rollup.verify import Verified
from s3_log_roller.store import DeleteFailure, DeleteReport, ListedObject


def key(number: int, day: int) -> str:
    return log_key(number, day=date(2022, 7, day))


def proven(day: int, count: int) -> Verified:
    """A rollup that was proven to hold so many originals of a day of July."""
    originals = Originals(DayGroup("bucket", PREFIX, date(2022, 7, day)))
    for number in range(1, count + 1):
        assert originals.append(key(number, day).removeprefix(PREFIX), f"{number:032x}", 10, 0)
    return Verified(ListedObject(f"{PREFIX}rollup-{day}", "e", 1, 0, False), originals, "bucket")


class Answering(MemoryStore):
    """Its deletes are answered like this."""

    def __init__(self, report: DeleteReport, error: Exception | None = None) -> None:
        super().__init__()
        self.report = report
        self.error = error
        self.asked: list[tuple[str, str]] = []

    def delete(
        self, objects: Iterable[tuple[str, str]], report: DeleteReport | None = None, *, versions: bool = False
    ) -> DeleteReport:
        assert report is not None
        assert not versions, "nobody asked for it"
        self.asked = list(objects)
        for name in DeleteReport.__slots__:
            setattr(report, name, getattr(self.report, name))
        if self.error:
            raise self.error
        return report


def delete(report: DeleteReport, *rollups: Verified, error: Exception | None = None) -> tuple[list[Figures], list[str]]:
    """What was counted for each rollup, and what it was told, empty if all is well."""
    counted = [Figures() for _ in rollups]

    def count(number: int, figures: Figures) -> None:
        counted[number] += figures

    try:
        told = delete_verified(Answering(report, error), rollups, NO_MANIFEST, count)
    except RuntimeError:
        return counted, []
    return counted, [str(refused or "") for refused in told]


def test_deletes_markers_and_versions_are_counted_rollup_by_rollup() -> None:
    """The sums are those of the answers; other versions, which nobody asked about by key, count once."""
    report = DeleteReport(deleted=9, markers=4, versions=3, other_versions=6)
    counted, told = delete(report, proven(1, 3), proven(2, 4), proven(3, 2))
    assert told == ["", "", ""]
    assert counted == [
        Figures(deleted=3, delete_markers=3, other_versions=6),
        Figures(deleted=4, delete_markers=1, versions_deleted=3),
        Figures(deleted=2),
    ]


def test_what_was_refused_is_not_counted_as_deleted_and_is_told_to_its_own_rollup() -> None:
    """The others are as they would be without it."""
    report = DeleteReport(deleted=4, failures=[DeleteFailure(key(2, 2), "InternalError: once")])
    counted, told = delete(report, proven(1, 1), proven(2, 3), proven(3, 1))
    assert counted == [Figures(deleted=1), Figures(deleted=2), Figures(deleted=1)]
    assert (told[0], told[2]) == ("", "")
    assert told[1].startswith(f"1 original in s3://bucket was not deleted ({key(2, 2)}: InternalError: once); ")
    assert told[1].endswith(": run again")


def test_versions_that_stay_are_counted_where_their_marker_is(caplog: pytest.LogCaptureFixture) -> None:
    """That is no error of the rollup; each is told of in the log."""
    report = DeleteReport(
        deleted=5, markers=1, versions=4, version_failures=[DeleteFailure(key(1, 2), "AccessDenied: locked")]
    )
    counted, told = delete(report, proven(1, 2), proven(2, 3))
    assert told == ["", ""]
    assert [figures.versions_kept for figures in counted] == [0, 1]
    assert [record.__dict__["key"] for record in caplog.records] == [key(1, 2)]


def test_what_was_deleted_before_an_exception_is_counted() -> None:
    """Of the first rollups, in the order in which they were asked for."""
    counted, _ = delete(DeleteReport(deleted=3), proven(1, 2), proven(2, 3), error=RuntimeError())
    assert counted == [Figures(deleted=2), Figures(deleted=1)]


def test_an_answer_about_a_key_that_nobody_asked_about_is_no_success() -> None:
    """Whatever it means."""
    report = DeleteReport(deleted=2, failures=[DeleteFailure("other", "InternalError: x")])
    _, told = delete(report, proven(1, 1), proven(2, 1))
    assert told[0].startswith("1 original in s3://bucket was not deleted (other: InternalError: x)")


def test_every_key_that_stays_is_in_the_log_and_the_first_five_are_in_the_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With what to do about it."""
    failures = [DeleteFailure(key(number, 1), "AccessDenied: no") for number in range(1, 8)]
    with caplog.at_level(logging.ERROR):
        _, (told,) = delete(DeleteReport(failures=failures), proven(1, 7))
    assert told.count("AccessDenied") == 5
    assert "and 2 more, see the log" in told
    assert "allow s3:DeleteObject" in told
    assert [record.__dict__["key"] for record in caplog.records] == [failure.key for failure in failures]
    caplog.clear()
    _, (told,) = delete(
        DeleteReport(failures=[DeleteFailure(f.key, "SlowDown: later") for f in failures[:5]]), proven(1, 5)
    )
    assert "more, see the log" not in told
    assert "allow s3:DeleteObject" not in told


@pytest.mark.parametrize(
    ("day_groups", "refused_of_ten", "codes", "gave_up", "common"),
    [
        (4, 10, ["A"], False, True), (3, 8, ["A"], False, False), (2, 10, ["A"], False, False),
        (3, 10, ["A", "B"], False, False), (3, 1, ["A", "B"], True, True), (2, 1, ["A"], True, False),
    ],
)  # fmt: skip
def test_a_refusal_that_is_not_about_single_originals_is_one_error(
    day_groups: int, refused_of_ten: int, codes: list[str], gave_up: bool, common: bool
) -> None:
    """Nearly all originals of at least three day groups, for one reason; or the server gave up. Others do not count."""
    rollups = [proven(day, 10) for day in range(1, day_groups + 1)]
    failures = [
        DeleteFailure(key(number, day), f"{codes[number % len(codes)]}: no")
        for day in range(1, day_groups + 1)
        for number in range(1, refused_of_ten + 1)
    ]
    report = DeleteReport(failures=failures, gave_up=gave_up)
    if common:
        with pytest.raises(DeleteRefused, match=f"{len(failures)} originals of {day_groups} day groups.*{key(1, 1)}:"):
            delete(report, *rollups, proven(9, 1))
    else:
        _, told = delete(report, *rollups, proven(9, 1))
        assert list(map(bool, told)) == [True] * day_groups + [False]


def test_nothing_is_deleted_before_the_manifest_is_safe() -> None:
    """Its error ends it."""

    class Full(type(NO_MANIFEST)):  # type: ignore[misc]
        def sync(self) -> None:
            raise ManifestError("disk full")

    store = Answering(DeleteReport())
    with pytest.raises(ManifestError):
        delete_verified(store, [proven(1, 2)], Full(), lambda number, figures: None)
    assert store.asked == []
    assert delete_verified(store, [proven(1, 1)], NO_MANIFEST, lambda number, figures: None) == [None]
    assert store.asked == [(key(1, 1), f"{1:032x}")]
