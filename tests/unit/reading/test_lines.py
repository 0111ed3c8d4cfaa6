"""Lines of logs that come in pieces, and what a search says it has seen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.support.logs import log_key
from tests.support.memory_store import MemoryStore
from tests.support.records import a_line

from s3_log_roller.reading import contents, lines, parallel
from s3_log_roller.reading.doubles import LogPart, Origin
from s3_log_roller.reading.excerpts import PLAIN, Excerpt
from s3_log_roller.reading.lines import Findings, LineReader, Query, Show
from s3_log_roller.reading.parallel import batches
from s3_log_roller.reading.patterns import Pattern, Syntax
from s3_log_roller.reading.selection import Selection
from s3_log_roller.reading.shares import Share
from s3_log_roller.reading.tarball import Member
from s3_log_roller.reading.terms import Where
from s3_log_roller.store import ListedObject

ORIGIN = Origin("", "f", True)


def parts_of(*pieces: bytes, last: bool = True) -> list[LogPart]:
    member = Member("m", sum(map(len, pieces)), 0)
    return [(ORIGIN, member, piece, last and number == len(pieces)) for number, piece in enumerate(pieces, 1)]


@pytest.mark.parametrize(
    "pieces",
    [
        (b"a hit\nb\n",),
        (b"a h", b"it\nb\n"),
        (b"a", b" ", b"h", b"it", b"\nb\n"),
        (b"b\na h", b"it"),
        (b"b\n", b"a hit"),
        (b"b\na hit",),
    ],
)
@pytest.mark.parametrize("last", [False, True])
def test_a_line_that_begins_in_one_piece_and_ends_in_a_later_one_is_one_line(
    pieces: tuple[bytes, ...], last: bool
) -> None:
    """Also at the end of a log that was cut off, and where another one follows."""
    found: list[bytes] = []
    reader = LineReader(Query(Pattern.parse("a hit", Syntax.EXTENDED)), found.append)
    reader.run(iter([*parts_of(*pieces, last=last), *parts_of(b"a hit\n")]))
    assert b"".join(found).split() == [b"a", b"hit"] * 2
    assert reader.findings.matched == 2
    assert reader.findings.logs == 1 + last


HIT = Pattern.parse("hit", Syntax.EXTENDED)
NUMBERED = Excerpt(numbers=True)


def search(query: Query, *parts: LogPart, left: int | None = None) -> tuple[bytes, Findings]:
    """What is written, and what is said of it."""
    found: list[bytes] = []
    reader = LineReader(query, found.append, left)
    reader.run(iter(parts))
    return b"".join(found), reader.findings


def test_the_end_of_a_log_that_was_cut_off_is_looked_at() -> None:
    """Where nothing comes behind it, too."""
    written, findings = search(Query(HIT), *parts_of(b"no\n", b"a h", b"it", last=False))
    assert (written, findings.matched, findings.logs) == (b"a hit\n", 1, 0)


@pytest.mark.parametrize(("show", "written"), [("count", b""), ("names", b"f:m\n"), ("nothing", b"")])
def test_lines_are_written_only_where_they_are_wanted(show: Show, written: bytes) -> None:
    """Whatever was said of how they would look."""
    for excerpt in (PLAIN, NUMBERED):
        query = Query(HIT, show=show, excerpt=excerpt)
        found, findings = search(query, *parts_of(b"hit\n", b"hit\n"))
        assert found == written
        assert findings.counts == ({"f": 2} if show == "count" else {})


@pytest.mark.parametrize("last", [True, False])
def test_lines_are_numbered_anew_in_each_log(last: bool) -> None:
    """Behind one that was cut off, too; and no line of the log before is shown beside a match."""
    query = Query(HIT, excerpt=Excerpt(numbers=True, before=1))
    written, _ = search(query, *parts_of(b"no\nhit\nno\nno", last=last), *parts_of(b"hit\n"))
    assert written == b"1-no\n2:hit\n--\n1:hit\n"


@pytest.mark.parametrize(
    "query",
    [Query(), Query(excerpt=NUMBERED), Query(output="json"), Query(output="csv")],
    ids=lambda query: query.output,
)
@pytest.mark.parametrize("pattern", [None, HIT])
def test_only_records_that_match_the_terms_are_shown(query: Query, pattern: Pattern | None) -> None:
    """However they are shown, with a pattern and without one."""
    records = [
        a_line(f"GET /{key}-{status} HTTP/1.1").replace('" 200 ', f'" {status} ')
        for key in ("hit", "no")
        for status in ("200", "403")
    ]
    where = Where.parse(["status=403"])
    written, findings = search(replace(query, where=where, pattern=pattern), *parts_of("\n".join(records).encode()))
    assert findings.matched == written.count(b"\n") == (1 if pattern else 2)
    assert written.count(b"-403") >= findings.matched
    assert b"-200" not in written


def test_a_log_is_named_once() -> None:
    """However many of its pieces have such a line; and it is not looked at any further."""
    written, findings = search(Query(HIT, show="names"), *parts_of(b"hit\n", b"no\n", b"hit\n"), *parts_of(b"hit\n"))
    assert written == b"f:m\n" * 2
    assert (findings.matched, findings.logs) == (2, 2)


@pytest.mark.parametrize(
    "query",
    [Query(HIT), Query(HIT, excerpt=NUMBERED), Query(HIT, output="json"), Query(HIT, output="csv", with_names=True)],
    ids=["lines", "excerpts", "JSON", "CSV"],
)
@pytest.mark.parametrize("left", [None, 1, 3])
def test_as_many_lines_are_found_as_are_wanted(query: Query, left: int | None) -> None:
    """However they are shown, in whatever log they are; and they are counted."""
    parts = [*parts_of(b"hit 1\nno\n", b"hit 2\n"), *parts_of(b"hit 3\nhit 4\nno\n")]
    written, findings = search(replace(query, max_count=left), *parts, left=left)
    found = left or 4
    assert findings.matched == written.count(b"\n") == written.count(b"hit") == found
    assert f"hit {found}".encode() in written


@pytest.mark.parametrize("with_names", [False, True])
def test_names_of_logs_are_in_json_where_they_are_wanted(with_names: bool) -> None:
    """As a field of each record; lines that do not match are left out all the same."""
    query = Query(HIT, output="json", with_names=with_names)
    written, findings = search(query, *parts_of(b"hit\nno\n"), *parts_of(b"no\n"), *parts_of(b"hit"))
    records = [json.loads(line) for line in written.splitlines()]
    assert records == [{"log": "f:m", "raw": "hit"} if with_names else {"raw": "hit"}] * 2
    assert (findings.matched, findings.unparsable, findings.logs) == (2, 2, 3)


@pytest.mark.parametrize(
    "query", [Query(HIT), Query(HIT, excerpt=NUMBERED), Query(HIT, output="json")], ids=["lines", "excerpts", "JSON"]
)
def test_what_is_found_is_written_as_it_comes(query: Query, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at the end: there may be more than fits into memory."""
    monkeypatch.setattr(lines, "OUT_BYTES", 10)
    monkeypatch.setattr(lines, "FORMAT_BYTES", 10)
    found: list[bytes] = []
    pieces_found: list[int] = []

    def parts() -> Iterator[LogPart]:
        for part in parts_of(*[b"a hit that is long\n"] * 3):
            yield part
            pieces_found.append(len(found))

    LineReader(query, found.append).run(parts())
    assert pieces_found == [1, 2, 3]


def test_little_is_not_written_in_little_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is a message between processes, or a call of the system."""
    for query in (Query(HIT), Query(HIT, excerpt=NUMBERED), Query(HIT, output="json")):
        found: list[bytes] = []
        LineReader(query, found.append).run(parts_of(*[b"a hit\n"] * 9))
        assert len(found) == 1


def test_no_more_is_read_than_is_wanted() -> None:
    """A bucket may hold years behind it."""
    read: list[bytes] = []

    def parts() -> Iterator[LogPart]:
        for part in parts_of(b"hit\n", b"hit\n", b"hit\n"):
            read.append(part[2])
            yield part

    LineReader(Query(HIT, max_count=2), lambda found: None, 2).run(parts())
    assert len(read) == 2
    LineReader(Query(HIT, show="nothing"), lambda found: None).run(parts())
    assert len(read) == 3


@pytest.mark.parametrize(
    ("query", "matched", "enough"),
    [
        (Query(HIT), 9, False),
        (Query(HIT, max_count=2), 1, False),
        (Query(HIT, max_count=2), 2, True),
        (Query(HIT, show="nothing"), 0, False),
        (Query(HIT, show="nothing"), 1, True),
        (Query(HIT, show="nothing", max_count=2), 0, False),
    ],
)
def test_a_search_has_enough(query: Query, matched: int, enough: bool) -> None:
    """Once so many lines were found as are wanted; where nothing is shown, one."""
    assert query.has_enough(Findings(matched=matched)) is enough


def test_findings_add_up() -> None:
    """Those of shares of the work."""
    total = Findings()
    for _ in range(2):
        total.add(Findings(1, 2, 3, {"a": 4, "b": 5}))
    assert total == Findings(2, 4, 6, {"a": 8, "b": 10})


def share(size: int) -> Share:
    return Share("bucket", "", None, Selection(), loose=(ListedObject(log_key(1), "e", size, 0, False),))


def test_shares_go_out_in_batches_and_none_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many bytes together, at least one share, in their order."""
    monkeypatch.setattr(parallel, "SHARE_BYTES", 10)
    sizes = [3, 7, 1, 20, 4, 5, 2]
    found = [[one.packed_bytes for one in batch] for batch in batches(map(share, sizes))]
    assert found == [[3, 7], [1], [20], [4, 5], [2]]
    assert list(batches([])) == []


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 8, 9])
def test_a_loose_log_has_one_last_part(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its size is beside that of a piece."""
    monkeypatch.setattr(contents, "READ_BYTES", 4)
    store = MemoryStore()
    store.put("log", b"x" * size)
    (listed,) = store.list_page("").objects
    parts = [(len(body), last) for _, body, last in contents.fetch_logs(store, (listed,))]
    assert sum(length for length, _ in parts) == size
    assert [last for _, last in parts] == [False] * (len(parts) - 1) + [True]


@pytest.mark.parametrize("query", [Query(HIT), Query(HIT, excerpt=NUMBERED), Query(HIT, output="csv")])
@pytest.mark.parametrize("on_terminal", [True, False])
def test_nothing_in_a_log_acts_on_a_terminal(query: Query, on_terminal: bool) -> None:
    """In a file the bytes are those of the log."""
    written, _ = search(replace(query, on_terminal=on_terminal), *parts_of(b"hit \x1b[31m\n"))
    assert (b"\x1b" in written) is not on_terminal
    assert (rb"\x1b" in written) is on_terminal


def test_a_line_that_is_too_long_is_looked_at_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log without ends of lines must fit into memory."""
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 4)
    assert search(Query(HIT), *parts_of(b"hit!", b"hit\n"))[1].matched == 2
    assert search(Query(HIT), *parts_of(b"hit", b"hit\n"))[1].matched == 1
