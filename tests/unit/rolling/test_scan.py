"""A scan finds every day group, with few requests."""

from __future__ import annotations

from bisect import bisect_right
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_log_roller.errors import StorageError
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rolling.outcome import ScanOutcome
from s3_log_roller.rolling.scan import scan
from s3_log_roller.rolling.tasks import ScanTask
from s3_log_roller.rolling.window import Window
from s3_log_roller.store import ListedObject, Page

CUTOFF = date(2022, 8, 1)


class Listing:
    """Only the listing of a bucket, with small pages."""

    bucket = "bucket"

    def __init__(self, keys: list[str], page_size: int = 5) -> None:
        self.keys = sorted(keys, key=lambda key: key.encode())
        self.encoded = [key.encode() for key in self.keys]
        self.page_size = page_size
        self.requests = 0

    def list_page(
        self, prefix: str, start_after: str = "", *, max_keys: int = 1000, continuation_token: str = ""
    ) -> Page:
        self.requests += 1
        first = bisect_right(self.encoded, start_after.encode()) if start_after else 0
        found = [key for key in self.keys[first:] if key.startswith(prefix)]
        objects = [ListedObject(key, "e", 1, 0, False) for key in found[: self.page_size]]
        return Page(objects, len(found) > self.page_size)


def run(store: Listing, prefix: str = "") -> tuple[list[DayGroup], ScanOutcome]:
    scanning = scan(store, ScanTask("bucket", prefix, Window(CUTOFF)))  # type: ignore[arg-type]
    groups = []
    while True:
        try:
            groups.append(next(scanning).group)
        except StopIteration as stop:
            return groups, stop.value


def logs(target_prefix: str, day: str, count: int) -> list[str]:
    return [f"{target_prefix}{day}-{n // 3600:02}-{n // 60 % 60:02}-{n % 60:02}-{n:016X}" for n in range(count)]


def test_every_layout_is_found_at_any_depth() -> None:
    """Flat, slashless, nested, partitioned and odd prefixes are all found; what is no log, or too young, is not."""
    keys = [
        *logs("", "2022-07-01", 12),
        *logs("a-", "2022-07-01", 3),
        *logs("b-", "2022-07-01", 3),
        *logs("x//y z/é+%/", "2022-07-02", 7),
        *logs("p/123456789012/us-west-2/b/2022/07/03/", "2022-07-03", 11),
        *logs("example.com/", "2022-08-01", 9),
        *logs("example.com/", "2022-07-31", 9),
        "example.com/rollup-2022-07-01-e26daa03.tgz",
        "2022-07-01/readme",
        "2022-02-30-00-00-00-0000000000000000",
    ]
    groups, outcome = run(Listing(keys))
    assert [(group.target_prefix, str(group.day)) for group in groups] == [
        ("", "2022-07-01"),
        ("a-", "2022-07-01"),
        ("b-", "2022-07-01"),
        ("example.com/", "2022-07-31"),
        ("p/123456789012/us-west-2/b/2022/07/03/", "2022-07-03"),
        ("x//y z/é+%/", "2022-07-02"),
    ]
    assert outcome.rest == ()


def test_the_requests_grow_with_the_day_groups_not_with_the_logs() -> None:
    """Ten times the logs of a day cost no more requests."""
    few = Listing([key for d in range(1, 29) for key in logs("x/", f"2022-07-{d:02}", 20)])
    many = Listing([key for d in range(1, 29) for key in logs("x/", f"2022-07-{d:02}", 200)])
    assert len(run(few)[0]) == len(run(many)[0]) == 28
    assert many.requests == few.requests <= 2.5 * 28


@given(
    st.lists(st.tuples(st.sampled_from(["", "a/", "a/b-", "z"]), st.integers(0, 40), st.integers(1, 12)), max_size=12)
)
def test_a_scan_never_costs_more_than_a_full_listing_and_misses_nothing(shape: list[tuple[str, int, int]]) -> None:
    """For any mix of prefixes and days: every day group once, and at most the requests of listing everything."""
    days = {(prefix, CUTOFF - timedelta(days=30) + timedelta(days=offset)): count for prefix, offset, count in shape}
    store = Listing([key for (prefix, day), count in days.items() for key in logs(prefix, day.isoformat(), count)])
    groups, _ = run(store)
    expected = {(prefix, day) for prefix, day in days if day < CUTOFF}
    assert {(group.target_prefix, group.day) for group in groups} == expected
    assert len(groups) == len(expected)
    assert store.requests <= max(1, -(-len(store.keys) // store.page_size))


@pytest.mark.parametrize(
    ("keys", "warned"), [([], True), (["web/robots.txt"], False), (logs("web/", "2022-07-01", 3), False)]
)
def test_a_prefix_with_nothing_at_all_under_it_is_told_of(
    keys: list[str], warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """It may be a typo; a prefix with objects but without logs is none."""
    run(Listing(keys), "web/")
    assert [record.message for record in caplog.records] == ["nothing_under_prefix"] * warned


def test_excluded_day_groups_are_counted_and_not_found() -> None:
    """By the prefix that leaves them out; days outside the window do not count."""
    keys = sorted([*logs("old/", "2022-07-01", 3), *logs("old/", "2022-07-02", 3), *logs("web/", "2022-07-01", 3)])
    window = Window(date(2022, 7, 2), exclude=("old/", "api/"))
    scanning = scan(Listing(keys), ScanTask("bucket", "", window))  # type: ignore[arg-type]
    assert next(scanning).group == DayGroup("bucket", "web/", date(2022, 7, 1))
    with pytest.raises(StopIteration) as stop:
        next(scanning)
    assert stop.value.value.excluded == {"old/": 1}


def test_a_server_that_lists_out_of_order_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    """What it lists is found all the same (SeaweedFS puts `a/x` before `a-x`), with a warning."""

    class Disorderly(Listing):
        def list_page(
            self, prefix: str, start_after: str = "", *, max_keys: int = 1000, continuation_token: str = ""
        ) -> Page:
            page = super().list_page(prefix, start_after)
            return Page(page.objects[::-1], page.truncated)

    groups, _ = run(Disorderly([*logs("a-", "2022-07-01", 1), *logs("a/", "2022-07-01", 1)]))
    assert [group.target_prefix for group in groups] == ["a/", "a-"]
    assert [record.message for record in caplog.records] == ["listing_not_in_key_order"]


class FoldersFirst(Listing):
    """Lists `a/x` before `a-x`, as SeaweedFS does."""

    def __init__(self, keys: list[str], page_size: int) -> None:
        super().__init__(keys, page_size)
        self.keys.sort(key=self._order)
        self.encoded = [self._order(key).encode() for key in self.keys]

    def list_page(
        self, prefix: str, start_after: str = "", *, max_keys: int = 1000, continuation_token: str = ""
    ) -> Page:
        return super().list_page(prefix, self._order(start_after))

    @staticmethod
    def _order(key: str) -> str:
        return key.replace("/", "\t")


MIXED = [key for prefix in ("a-", "a/", "b-", "b/") for key in logs(prefix, "2022-07-01", 1)]


def test_disorder_on_many_pages_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """And all that is listed is found."""
    groups, _ = run(FoldersFirst(MIXED, page_size=1))
    assert [group.target_prefix for group in groups] == ["a/", "a-", "b/", "b-"]
    assert [record.message for record in caplog.records] == ["listing_not_in_key_order"]


def test_in_disorder_a_range_does_not_end_with_the_first_key_behind_it() -> None:
    """Keys of the range may follow, its last one among them."""
    (last,) = logs("b-", "2022-07-01", 1)
    task = ScanTask("bucket", "", Window(CUTOFF), end=last)
    found = [sighting.group.target_prefix for sighting in scan(FoldersFirst(MIXED, 5), task)]  # type: ignore[arg-type]
    assert found == ["a/", "a-", "b-"]


def test_a_server_that_never_gets_further_is_refused() -> None:
    """A truncated page behind which nothing new comes is an error, not an endless scan."""

    class Stuck(Listing):
        def list_page(
            self, prefix: str, start_after: str = "", *, max_keys: int = 1000, continuation_token: str = ""
        ) -> Page:
            return Page([], truncated=True)

    with pytest.raises(StorageError, match="nothing more"):
        run(Stuck([]))


def test_keys_that_are_logs_but_for_the_unique_string_are_told_of(caplog: pytest.LogCaptureFixture) -> None:
    """Ceph's own names, and logs that somebody renamed: not "no logs" without a word. A few among many are no news."""
    ceph = [f"logs/2022-07-01-00-00-{second:02}-0000000001ABCDEF" for second in range(9)]
    odd = [f"logs/2022-07-01-00-00-{second:02}-0123456789ghijkl" for second in range(9)]
    renamed = [f"x/2022-07-01-00-00-{second:02}-0123456789ABCDEF.gz" for second in range(9)]
    groups, _ = run(Listing(sorted([*odd, *renamed])))
    assert groups == []
    (record,) = [record for record in caplog.records if record.message == "keys_like_logs"]
    assert "under s3://bucket/ 18 keys look like access logs" in record.__dict__["sentence"]
    assert "(the first is logs/2022-07-01-00-00-00-0123456789ghijkl)" in record.__dict__["sentence"]
    caplog.clear()
    run(Listing(sorted([*ceph, *logs("logs/", "2022-07-02", 20), *odd[:3]])))
    assert "keys_like_logs" not in [record.message for record in caplog.records]


def test_a_key_with_a_date_that_never_was_is_told_of_only_where_it_is_not_the_exception(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Logs that the window leaves alone are logs, too: a second run does not begin to warn."""
    never = "logs/2022-02-30-05-15-43-42117B9A70B0F1BA"
    run(Listing([never]))
    (record,) = [record for record in caplog.records if record.message == "keys_like_logs"]
    assert "1 key looks like an access log and was left alone" in record.__dict__["sentence"]
    assert "a date and time that exist" in record.__dict__["sentence"]
    caplog.clear()
    run(Listing([never, f"{never}1"[:-2] + "B"]))
    assert "2 keys look like access logs and were left alone" in caplog.records[0].__dict__["sentence"]
    caplog.clear()
    groups, _ = run(Listing(sorted([never, *logs("logs/", str(CUTOFF), 2)])))
    assert groups == []
    assert "keys_like_logs" not in [record.message for record in caplog.records]
