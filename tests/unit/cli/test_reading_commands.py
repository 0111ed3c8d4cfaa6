"""The commands that read keep their promises to those who type them: output, messages, exit codes, nothing outside."""

from __future__ import annotations

import csv
import errno
import gzip
import hashlib
import io
import json
import os
import shlex
import signal
import subprocess
import sys
import tarfile
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.support.forging import chunk_payloads, newer, reseal
from tests.support.logs import DAY, PREFIX, log_key
from tests.support.memory_day import (
    put_logs,
    roll,
)
from tests.support.memory_store import MemoryStore
from tests.support.packing import decode_index
from tests.support.tarballs import a_tarball

from s3_log_roller.cli import main as cli
from s3_log_roller.demo.sample_logs import sample_day, sample_log
from s3_log_roller.errors import StorageError
from s3_log_roller.log_keys import parse_rollup_key
from s3_log_roller.reading.formats import COLUMNS
from s3_log_roller.rollup import read_footer

LOG = log_key(18_943)[len(PREFIX) :]
Run = Callable[..., tuple[int, str, str]]


def put_records(store: MemoryStore, logs: int = 20) -> str:
    """A day of real-looking logs; returns all records in order."""
    bodies = dict(sample_day(Random(5), DAY, "example.com", PREFIX, logs))
    for key, body in bodies.items():
        store.put(key, body)
    return b"".join(bodies.values()).decode()


class TestCat:
    def test_text(self, store: MemoryStore, run: Run) -> None:
        """The records as S3 wrote them, in order, rolled up or not."""
        records = put_records(store)
        assert run("cat", "s3://bucket/") == (0, records, "")
        roll(store)
        assert run("cat", "s3://bucket/") == (0, records, "")

    def test_a_missing_line_end_is_added_between_logs_only(self, store: MemoryStore, run: Run) -> None:
        """Records of two logs never run together; a single log comes byte for byte."""
        store.put(log_key(1), b"one")
        store.put(log_key(2), b"")
        store.put(log_key(3), b"three")
        assert run("cat", "s3://bucket/")[1] == "one\nthree"
        assert run("cat", "s3://bucket/", "--member", log_key(1))[1] == "one"

    def test_json(self, store: MemoryStore, run: Run) -> None:
        """An object a line with all fields; what does not parse is passed through and counted."""
        records = put_records(store, 3)
        roll(store)
        store.put(log_key(86_399), b'not a record "\n\xff\n')
        code, out, err = run("cat", "s3://bucket/", "--output", "json")
        objects = [json.loads(line) for line in out.splitlines()]
        assert code == 0
        assert len(objects) == records.count("\n") + 2
        assert list(objects[0]) == list(COLUMNS)
        assert objects[-2:] == [{"raw": 'not a record "'}, {"raw": "\\xff"}]
        assert err == "s3-log-roller: 2 lines are not log records: passed through as they are\n"

    def test_csv(self, store: MemoryStore, run: Run) -> None:
        """The fields' names first; what is in quotes and what does not parse survives."""
        line = sample_log(Random(1), datetime(2022, 7, 1, tzinfo=UTC), "example.com", 1).decode().rstrip()
        store.put(log_key(1), f'{line} new "a, b"\nnot, a "record"\n'.encode())
        _, out, _ = run("cat", "s3://bucket/", "--output", "csv")
        rows = list(csv.DictReader(io.StringIO(out)))
        assert rows[0]["operation"].startswith("REST.")
        assert rows[0]["extra"] == "new a, b"
        assert rows[1]["raw"] == 'not, a "record"'
        assert not any(rows[1][name] for name in COLUMNS)

    def test_damage_is_told_and_the_rest_is_read(self, store: MemoryStore, run: Run) -> None:
        """Exit code 3, one line that names the rollup; of one without its index comes what can be read."""
        lost = put_logs(store, [1])
        key = roll(store)
        store.put(
            key,
            store.objects[key].body[: read_footer(store.objects[key].body, len(store.objects[key].body)).data_bytes],
        )
        good = put_logs(store, [1], day=DAY + timedelta(1))
        code, out, err = run("cat", "s3://bucket/")
        assert code == 3
        assert out == b"".join([*lost.values(), *good.values()]).decode()
        assert err.count("\n") == 1
        assert f"s3://bucket/{key} is damaged" in err

    @pytest.mark.parametrize("arguments", [["--member", LOG], ["--since", "2023-01-01"]])
    def test_nothing_found_is_an_error(self, store: MemoryStore, run: Run, arguments: list[str]) -> None:
        """Exit code 1, and what was looked for."""
        put_logs(store, [1])
        roll(store)
        code, out, err = run("cat", "s3://bucket/", *arguments)
        assert (code, out) == (1, "")
        assert "s3://bucket/" in err

    def test_a_reader_that_goes_away_is_no_error(self, tmp_path: Path) -> None:
        """`cat … | head -1` ends without a word."""
        path = tmp_path / "x.tgz"
        path.write_bytes(a_tarball([(LOG, b"line\n" * 1_000_000)]))
        program = f"import sys; from s3_log_roller.cli.main import main; sys.exit(main(['cat', {str(path)!r}]))"
        with subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline() == b"line\n"
            process.stdout.close()
            assert process.stderr.read() == b""
            assert process.wait(120) in (141, 0)


@pytest.mark.parametrize("arguments", [["cat"], ["cat", "--output", "csv"], ["grep", "line"], ["ls", "--members"]])
@pytest.mark.parametrize("stdout", ["/dev/full", "&-"])
def test_output_that_cannot_be_written_is_one_error(tmp_path: Path, arguments: list[str], stdout: str) -> None:
    """A full disk, a closed descriptor: said in one line, not as a bug, and nothing more when the program ends."""
    if stdout == "/dev/full" and not Path(stdout).exists():
        pytest.skip("this system has no /dev/full")
    path = tmp_path / "x.tgz"
    path.write_bytes(a_tarball([(LOG, b"line\n" * 100)]))
    program = "import sys; from s3_log_roller.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = shlex.join([sys.executable, "-c", program, *arguments, str(path)])
    done = subprocess.run(["sh", "-c", f"{command} >{stdout}"], stderr=subprocess.PIPE, check=False)
    assert done.returncode == (3 if arguments[0] == "grep" else 1)
    assert done.stderr.count(b"\n") == 1
    assert b"standard output" in done.stderr


class TestLocalFiles:
    def test_a_directory_is_the_tarballs_and_logs_in_it(self, store: MemoryStore, run: Run, tmp_path: Path) -> None:
        """In the order of their names; other files are not looked at."""
        (tmp_path / "a.tgz").write_bytes(a_tarball([(LOG, b"packed\n")]))
        (tmp_path / "notes.txt").write_bytes(b"notes\n")
        (tmp_path / LOG).write_bytes(b"loose\n")
        assert run("cat", str(tmp_path)) == (0, "loose\npacked\n", "")
        assert run("grep", "-h", "oo", str(tmp_path)) == (0, "loose\n", "")
        assert run("verify", str(tmp_path))[0] == 0
        (tmp_path / "empty").mkdir()
        assert run("cat", str(tmp_path / "empty"))[0] == 1

    def test_a_log_is_read_as_it_is(self, store: MemoryStore, run: Run, tmp_path: Path) -> None:
        """It is not a damaged rollup; times count for it, too."""
        (tmp_path / LOG).write_bytes(b"loose\n")
        assert run("cat", str(tmp_path / LOG)) == (0, "loose\n", "")
        assert run("cat", str(tmp_path / LOG), "--since", "2022-07-02")[0] == 1

    @pytest.mark.parametrize("body", [b"just text\n", b"PK\3\4", b"x"])
    def test_a_file_of_another_kind_is_called_so(
        self, store: MemoryStore, run: Run, tmp_path: Path, body: bytes
    ) -> None:
        """Not corrupt gzip data."""
        (tmp_path / "file").write_bytes(body)
        code, _, err = run("cat", str(tmp_path / "file"))
        assert code == 3
        assert "it is not a gzip file" in err


class TestGrep:
    @pytest.fixture(autouse=True)
    def logs(self, store: MemoryStore) -> None:
        """Two days, one rolled up."""
        store.put(log_key(1), b"alpha one\nbeta two\n")
        store.put(log_key(2), b"gamma\nALPHA three\n")
        roll(store)
        store.put(log_key(1, day=DAY + timedelta(1)), b"alpha four")

    ROLLED = f"{PREFIX}rollup-{DAY}-"

    def test_lines_with_the_names_of_their_logs(self, store: MemoryStore, run: Run) -> None:
        """A rollup and its member, or the log; as grep does where there are several."""
        code, out, err = run("grep", "alpha", "s3://bucket/")
        (key,) = [key for key in store.objects if "rollup" in key]
        packed, loose = out.splitlines()
        assert (code, err) == (0, "")
        assert packed == f"s3://bucket/{key}:{log_key(1)[len(PREFIX) :]}:alpha one"
        assert loose == f"s3://bucket/{log_key(1, day=DAY + timedelta(1))}:alpha four"
        assert run("grep", "-h", "alpha", "s3://bucket/")[1] == "alpha one\nalpha four\n"
        assert run("grep", "alpha", f"s3://bucket/{key}")[1] == "alpha one\n"
        assert run("grep", "-H", "alpha", f"s3://bucket/{key}")[1] == packed + "\n"

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            (["-i", "alpha"], "alpha one\nALPHA three\nalpha four\n"),
            (["-v", "a"], "ALPHA three\n"),
            (["-E", "one|two"], "alpha one\nbeta two\n"),
            (["one|two"], ""),
            (["-F", "."], ""),
            (["-e-x"], ""),
            (["^gamma$"], "gamma\n"),
        ],
    )
    def test_options(self, store: MemoryStore, run: Run, options: list[str], expected: str) -> None:
        """Those of grep, and its exit codes: 0 where something was found, 1 where nothing was."""
        assert run("grep", "-h", *options, "s3://bucket/") == (0 if expected else 1, expected, "")

    def test_counts_and_names(self, store: MemoryStore, run: Run) -> None:
        """-c counts for each rollup or log, -l names the logs."""
        (key,) = [key for key in store.objects if "rollup" in key]
        loose = log_key(1, day=DAY + timedelta(1))
        expected = f"s3://bucket/{key}:2\ns3://bucket/{loose}:0\n"
        assert run("grep", "-c", "-E", "two|three", "s3://bucket/") == (0, expected, "")
        assert run("grep", "-ch", "a", "s3://bucket/")[1] == "4\n"
        expected = f"s3://bucket/{key}:{log_key(1)[len(PREFIX) :]}\ns3://bucket/{loose}\n"
        assert run("grep", "-l", "alpha", "s3://bucket/") == (0, expected, "")
        assert run("grep", "-q", "alpha", "s3://bucket/") == (0, "", "")
        assert run("grep", "-q", "omega", "s3://bucket/") == (1, "", "")

    @pytest.mark.parametrize(
        "arguments", [["["], ["-E", "("], ["--where", "x=1"], ["a", "--since", "x"], ["a", "--output", "xml"]]
    )
    def test_wrong_usage(self, store: MemoryStore, run: Run, arguments: list[str]) -> None:
        """Exit code 2, one line."""
        code, out, err = run("grep", *arguments, "s3://bucket/")
        assert (code, out, err.count("\n")) == (2, "", 1)

    def test_the_place_before_the_pattern(self, store: MemoryStore, run: Run) -> None:
        """Says what comes first, where no place is behind it; a pattern may look like a place."""
        code, out, err = run("grep", "-c", "s3://bucket/", "alpha")
        assert (code, out) == (2, "")
        assert "the pattern comes first: s3-log-roller grep PATTERN URI…; there is no place 'alpha'" in err
        assert run("grep", "s3://other/", "s3://bucket/") == (1, "", "")
        assert run("grep", "-e", "s3://bucket/", "alpha")[0] == 3

    def test_errors(self, store: MemoryStore, run: Run) -> None:
        """Exit code 3, as of every command, also where something was found; 0 with -q then. 2 is for usage."""
        store.put(f"{PREFIX}rollup-{DAY}-0badcafe.tgz", b"no gzip")
        code, out, err = run("grep", "-h", "four", "s3://bucket/")
        assert (code, out) == (3, "alpha four\n")
        assert "0badcafe.tgz is damaged" in err
        assert run("grep", "-q", "four", "s3://bucket/")[0] == 0
        assert run("grep", "four", "s3://bucket/absent/")[0] == 3
        assert run("grep", "four", "/absent.tgz")[0] == 3
        assert run("grep", "four")[0] == 2


def test_grep_by_field(store: MemoryStore, run: Run) -> None:
    """Terms and pattern hold together; what does not parse cannot fit, and is counted."""
    records = put_records(store).splitlines()
    roll(store)
    fitting = [line for line in records if " REST.GET.OBJECT " in line and '" 404 ' in line]
    terms = "status=404 operation=REST.GET.OBJECT"
    assert run("grep", "-h", "--where", terms, "s3://bucket/") == (0, "\n".join(fitting) + "\n", "")
    with_agent = [line for line in fitting if "Boto3" in line]
    assert run("grep", "-h", "Boto3", "--where", terms, "s3://bucket/")[1].splitlines() == with_agent
    code, out, _ = run("grep", "-e", "Boto3", "--where", terms, "--output", "json", "s3://bucket/")
    assert [json.loads(line)["http_status"] for line in out.splitlines()] == [404] * len(with_agent)
    store.put(log_key(86_399), b"404 REST.GET.OBJECT in no record\n")
    code, out, err = run("grep", "-h", "--where", terms, "s3://bucket/")
    assert (code, out.splitlines()) == (0, fitting)
    assert "1 line is not a log record" in err


def test_grep_by_the_time_of_requests(store: MemoryStore, run: Run) -> None:
    """A log delivered the next day holds the evening's requests: they are found by their own time."""
    evening = sample_log(Random(1), datetime(2022, 7, 1, 22, tzinfo=UTC), "example.com", 5)
    night = sample_log(Random(2), datetime(2022, 7, 2, 0, 30, tzinfo=UTC), "example.com", 5)
    store.put(log_key(22 * 3600), evening)
    store.put(log_key(1800, day=DAY + timedelta(1)), night)
    store.put(log_key(1800, day=DAY + timedelta(9)), b"not looked at\n")
    roll(store, day=DAY + timedelta(1))
    lines = (evening + night).decode().splitlines()
    wanted = [line for line in lines if "[01/Jul/2022:23:" in line]
    assert wanted
    assert not any(line in evening.decode() for line in wanted)
    window = ["--record-since", "2022-07-01T23", "--record-until", "2022-07-01T23"]
    code, out, err = run("grep", "-h", *window, "s3://bucket/")
    assert (code, out.splitlines(), err) == (0, wanted, "")
    assert run("grep", "-n", "-m2", "-h", "REST", "s3://bucket/")[1].count("\n") == 2
    assert run("grep", "-h", "--record-since", "2022-07-03", "--record-until", "2022-07-01", "s3://bucket/")[0] == 2
    assert run("grep", "-n", "--output", "json", "REST", "s3://bucket/")[0] == 2


class TestLs:
    def test_rollups(self, store: MemoryStore, run: Run) -> None:
        """Day, members, bytes before and after; days that are not rolled up are mentioned."""
        bodies = put_logs(store, range(9))
        key = roll(store)
        put_logs(store, range(2), day=DAY + timedelta(3))
        store.put(f"{PREFIX}rollup-2022-07-02-0badcafe.tgz", a_tarball([("x", b"1")]))
        code, out, err = run("ls", "s3://bucket/")
        header, *rows = [line.split() for line in out.splitlines()]
        size = sum(map(len, bodies.values()))
        assert code == 3
        assert "rollup-2022-07-02-0badcafe.tgz is damaged" in err
        assert header[0] == "DAY"
        assert rows[0] == ["2022-07-01", "9", str(size), str(len(store.objects[key].body)), f"s3://bucket/{key}"]
        assert rows[1][:4] == ["2022-07-02", "no", "index", "-"]
        assert "1 day has logs that are not rolled up" in err
        assert "2022-07-04" in err

    def test_members(self, store: MemoryStore, run: Run) -> None:
        """With the originals' times and sizes; of a window, if asked."""
        put_logs(store, range(0, 7200, 600))
        key = roll(store)
        code, out, _ = run("ls", "--members", "s3://bucket/", "--since", "2022-07-01T01:30")
        names = [log_key(n)[len(PREFIX) :] for n in range(5400, 7200, 600)]
        assert code == 0
        assert [line.split() for line in out.splitlines()] == [
            ["2022-07-01T05:15:43Z", str(len(store_body)), f"s3://bucket/{key}:{name}"]
            for name, store_body in ((name, bodies_of(store, name)) for name in names)
        ]

    def test_names_on_a_terminal_send_it_no_commands(
        self, store: MemoryStore, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Escape sequences and line ends are shown as such; in a pipe the name comes as it is."""
        name = "evil\x1b]0;owned\x07\nname"
        (tmp_path / "x.tgz").write_bytes(a_tarball([(name, b"\x1b[31mred\n")]))
        path = str(tmp_path / "x.tgz")
        assert name in run("ls", "--members", path)[1]
        monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
        for command in (
            ["ls", "--members", path],
            ["cat", path],
            ["grep", "-H", "red", path],
            ["grep", "-lH", "red", path],
        ):
            _, out, _ = run(*command)
            assert out
            assert "\x1b" not in out
            assert out.count("\n") == 1


def bodies_of(store: MemoryStore, name: str) -> bytes:
    return next(
        file.read()
        for key, stored in store.objects.items()
        if "rollup" in key
        for tar in [tarfile.open(fileobj=io.BytesIO(stored.body))]
        if (file := tar.extractfile(name))
    )


class TestVerify:
    def test_right_rollups(self, store: MemoryStore, run: Run) -> None:
        """Members are counted, and originals that are still there and the same."""
        put_logs(store, range(9))
        key = roll(store, delete=False)
        code, out, err = run("verify", "s3://bucket/")
        assert (code, err) == (0, "s3-log-roller: 1 of 1 rollup is right, 9 members read\n")
        assert out == f"ok        s3://bucket/{key}  9 members, 9 originals still there are the same\n"

    def test_damage_is_named_by_rollup_and_member(self, store: MemoryStore, run: Run) -> None:
        """Exit code 3; the other rollups are read all the same."""
        put_logs(store, range(9))
        key = roll(store)
        body = bytearray(store.objects[key].body)
        body[60] ^= 1
        store.put(key, bytes(body))
        put_logs(store, range(2), day=DAY + timedelta(1))
        roll(store, day=DAY + timedelta(1))
        code, out, err = run("verify", "s3://bucket/")
        assert code == 3
        assert out.startswith("ok ")
        complaint, summary = err.splitlines()
        assert f"s3://bucket/{key} is damaged" in complaint
        assert log_key(0)[len(PREFIX) :] in complaint
        assert "9 of 9 members" in complaint
        assert "1 of 2 rollups are right" in summary

    def test_an_original_that_differs_is_named(self, store: MemoryStore, run: Run) -> None:
        """What is in the bucket and what is in the rollup are two things: somebody has to look."""
        put_logs(store, range(3))
        roll(store, delete=False)
        store.put(log_key(1), b"something else")
        code, _, err = run("verify", "s3://bucket/")
        assert code == 3
        assert f"1 of 3 members: {log_key(1)[len(PREFIX) :]}" in err
        assert "other bytes than the originals" in err

    def test_originals_whose_etags_are_no_md5s_are_read(self, store: MemoryStore, run: Run) -> None:
        """SSE-KMS: nothing but the bytes proves them."""
        store.put(log_key(1), b"secret\n", etag="0123456789abcdef0123456789abcdef", encrypted=True)
        roll(store, delete=False)
        assert "1 originals still there are the same" in run("verify", "s3://bucket/")[1]
        store.put(log_key(1), b"sEcret\n", etag="0123456789abcdef0123456789abcdef", encrypted=True)
        assert run("verify", "s3://bucket/")[0] == 3

    def test_a_tarball_without_an_index(self, store: MemoryStore, run: Run) -> None:
        """Is read to its end; under a rollup's name it is damaged, and held against the originals all the same."""
        bodies = put_logs(store, range(3))
        key = f"{PREFIX}rollup-{DAY}-0badcafe.tgz"
        members = [(name.rpartition("/")[2], body) for name, body in bodies.items()]
        store.put(key, a_tarball(members))
        code, _, err = run("verify", "s3://bucket/")
        assert code == 3
        assert f"{key} is damaged: the file does not end with the index of a rollup: it is cut off" in err
        assert "0 of 1 rollup is right, 3 members read" in err
        store.put(f"{PREFIX}july.tgz", a_tarball(members))
        code, out, _ = run("verify", f"s3://bucket/{PREFIX}july.tgz")
        assert (code, out.split()[:2]) == (0, ["no", "index"])
        assert "3 members can be read" in out
        store.put(log_key(0), b"other")
        assert "other bytes than the originals" in run("verify", "s3://bucket/")[2]
        store.put(key, a_tarball(members)[:-20])
        code, _, err = run("verify", "s3://bucket/")
        assert code == 3
        assert "cut off" in err

    def test_local_copies(self, store: MemoryStore, run: Run, tmp_path: Path) -> None:
        """Under their own name, whose digits have to be right, or under any other."""
        put_logs(store, range(9))
        key = roll(store)
        own, other = tmp_path / key.rpartition("/")[2], tmp_path / "copy.tgz"
        wrong = tmp_path / f"rollup-{DAY}-00000000.tgz"
        for path in (own, other, wrong):
            path.write_bytes(store.objects[key].body)
        assert run("verify", str(own), str(other))[0] == 0
        code, _, err = run("verify", str(wrong))
        assert code == 3
        assert "its name does not follow from its first member" in err


def json_of(out: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(out)
    return found


class TestCompleteness:
    """That nothing is missing can be proven, and what is missing is named."""

    def days(self, store: MemoryStore, *numbers: int, prefix: str = PREFIX) -> list[str]:
        keys = []
        for number in numbers:
            put_logs(store, range(3), prefix, DAY + timedelta(number))
            keys.append(roll(store, prefix, DAY + timedelta(number)))
        return keys

    def test_nothing_to_verify_is_an_error(self, store: MemoryStore, run: Run) -> None:
        """Neither an empty place nor one with loose logs alone is right."""
        assert run("verify", "s3://bucket/")[0] == 1
        put_logs(store, range(3))
        code, out, err = run("verify", "s3://bucket/")
        assert (code, out) == (1, "")
        assert "nothing to verify" in err

    def test_days_without_logs_and_rollups_are_named(self, store: MemoryStore, run: Run) -> None:
        """From the first to the last day, or as asked for; a day with loose logs is there."""
        self.days(store, 0, 1, 5, 6)
        put_logs(store, range(3), day=DAY + timedelta(3))
        assert run("verify", "s3://bucket/")[0] == 0
        code, _, err = run("verify", "--complete", "s3://bucket/")
        assert code == 3
        assert "s3://bucket/example.com/ has neither logs nor rollups of 2022-07-03\n" in err
        assert "s3://bucket/example.com/ has neither logs nor rollups of 2022-07-05\n" in err
        code, _, err = run("verify", "--complete", "s3://bucket/", "--since", "2022-06-30", "--until", "2022-07-02")
        assert "of 2022-06-30\n" in err
        code, _, err = run("verify", "--complete", "s3://bucket/", "--since", "2022-07-06", "--until", "2022-07-09")
        assert "of 2022-07-08 to 2022-07-09 (2 days)" in err
        assert run("verify", "--complete", "s3://bucket/", "--since", "2022-07-06", "--until", "2022-07-07")[0] == 0

    def test_a_target_prefix_of_dates_is_one_place(self, store: MemoryStore, run: Run) -> None:
        """With date-partitioned keys each day has a target prefix of its own."""
        for number in (0, 2):
            day = DAY + timedelta(number)
            self.days(store, number, prefix=f"1111/us-east-1/b/{day:%Y/%m/%d}/")
        code, _, err = run("verify", "--complete", "s3://bucket/")
        assert code == 3
        assert "s3://bucket/1111/us-east-1/b/ has neither logs nor rollups of 2022-07-02\n" in err

    def manifest(self, store: MemoryStore, path: Path, keys: list[str]) -> str:
        lines = []
        for key in keys:
            body = store.objects[key].body
            entry = {"bucket": "bucket", "key": key, "day": parse_rollup_key(key).day.isoformat()}  # type: ignore[union-attr]
            lines.append(json.dumps({**entry, "sha256": hashlib.sha256(body).hexdigest(), "bytes": len(body)}))
        path.write_text("\n".join(lines) + "\n")
        return str(path)

    def test_a_manifest_is_held_to_what_is_there(self, store: MemoryStore, run: Run, tmp_path: Path) -> None:
        """A rollup that is gone, or that was replaced by another sound one, is named; other places do not matter."""
        keys = self.days(store, 0, 1, 2)
        elsewhere = self.days(store, 0, prefix="other/")
        path = self.manifest(store, tmp_path / "manifest", keys + elsewhere)
        assert run("verify", "--manifest", path, "s3://bucket/example.com/")[0] == 0
        del store.objects[keys[0]]
        other = MemoryStore()
        other.put(log_key(0, day=DAY + timedelta(1)), b"other\n")
        store.put(keys[1], other.objects[roll(other, day=DAY + timedelta(1))].body)
        del store.objects[elsewhere[0]]
        assert run("verify", "s3://bucket/example.com/")[0] == 0
        code, _, err = run("verify", "--manifest", path, "s3://bucket/example.com/")
        assert code == 3
        assert f"s3://bucket/{keys[0]} is in the manifest, but not there any more" in err
        assert f"s3://bucket/{keys[1]} is not the rollup that was listed: its SHA-256 is" in err
        assert err.endswith("1 of 2 rollups are right, 4 members read\n")
        assert err.count("\n") == 3
        report = json_of(run("verify", "--json", "--manifest", path, "s3://bucket/example.com/")[1])
        assert report["missing"] == [f"s3://bucket/{keys[0]}"]
        assert [result["verdict"] for result in report["results"]] == ["changed", "ok"]
        window = ["--since", "2022-07-03"]
        assert run("verify", "--manifest", path, "s3://bucket/example.com/", *window)[0] == 0

    def test_a_manifest_of_rollups_that_are_all_gone_names_each(
        self, store: MemoryStore, run: Run, tmp_path: Path
    ) -> None:
        """An empty place is what a manifest is for: exit code 3, not "there is nothing to verify"."""
        keys = self.days(store, 0, 1)
        path = self.manifest(store, tmp_path / "manifest", keys)
        store.objects.clear()
        code, _, err = run("verify", "--manifest", path, "s3://bucket/example.com/")
        assert code == 3
        assert all(f"s3://bucket/{key} is in the manifest, but not there any more\n" in err for key in keys)

    def test_what_cannot_be_listed_is_not_called_gone(self, store: MemoryStore, run: Run, tmp_path: Path) -> None:
        """Access to one of two places was taken away: its rollups may be there as well as not."""
        keys = self.days(store, 0) + self.days(store, 0, prefix="other/")
        path = self.manifest(store, tmp_path / "manifest", keys)

        def before(step: str, key: str) -> None:
            if step == "list" and key.startswith("other/"):
                raise StorageError("s3:ListBucket was denied")

        store.before = before
        code, out, err = run("verify", "--json", "--manifest", path, "s3://bucket/example.com/", "s3://bucket/other/")
        assert code == 3
        assert (json_of(out)["missing"], json_of(out)["unseen"]) == ([], [f"s3://bucket/{keys[1]}"])
        assert f"s3://bucket/{keys[1]} is in the manifest and was not seen" in err

    def test_a_rollup_that_cannot_be_read_is_named(self, store: MemoryStore, run: Run, tmp_path: Path) -> None:
        """Neither missing nor changed."""
        keys = self.days(store, 0, 1)
        path = self.manifest(store, tmp_path / "manifest", keys)

        def before(step: str, key: str) -> None:
            if (step, key) == ("fetch", keys[0]):
                raise StorageError(f"s3://bucket/{key}: s3:GetObject was denied")

        store.before = before
        code, _, err = run("verify", "--manifest", path, "s3://bucket/example.com/")
        assert code == 3
        assert f"{keys[0]}: s3:GetObject was denied" in err
        assert "not there any more" not in err

    def test_rollups_that_a_manifest_does_not_name_are_counted(
        self, store: MemoryStore, run: Run, tmp_path: Path
    ) -> None:
        """Somebody else may have put them there."""
        keys = self.days(store, 0, 1, 2)
        path = self.manifest(store, tmp_path / "manifest", keys[:1])
        code, _, err = run("verify", "--manifest", path, "s3://bucket/example.com/")
        assert (code, err) == (
            0,
            "s3-log-roller: 3 of 3 rollups are right, 9 members read, 2 rollups not in the manifest\n",
        )

    @pytest.mark.parametrize("text", ["", "{}", "nonsense", '{"bucket": "b", "key": "k", "day": "x", "sha256": ""}'])
    def test_what_is_not_a_manifest_is_refused(self, store: MemoryStore, run: Run, tmp_path: Path, text: str) -> None:
        """Exit code 2: an empty one would prove nothing."""
        self.days(store, 0)
        (tmp_path / "manifest").write_text(text)
        code, _, err = run("verify", "--manifest", str(tmp_path / "manifest"), "s3://bucket/")
        assert (code, "--manifest" in err) == (2, True)
        assert run("verify", "--manifest", str(tmp_path / "absent"), "s3://bucket/")[0] == 2

    def test_json(self, store: MemoryStore, run: Run) -> None:
        """One object with everything that is said in words, and a line each for `ls`."""
        good, bad = self.days(store, 0, 2)
        body = bytearray(store.objects[bad].body)
        body[60] ^= 1
        store.put(bad, bytes(body))
        code, out, _ = run("verify", "--json", "--complete", "s3://bucket/")
        report = json_of(out)
        assert code == 3
        assert (report["rollups"], report["rollups_right"], report["members"]) == (2, 1, 6)
        assert report["gaps"] == [
            {"where": "s3://bucket/example.com/", "first": "2022-07-02", "last": "2022-07-02", "days": 1}
        ]
        assert [result["verdict"] for result in report["results"]] == ["ok", "damaged"]
        assert len(report["results"][1]["damaged_members"]) == 3
        rows = [json_of(line) for line in run("ls", "--json", "s3://bucket/")[1].splitlines()]
        assert [(row["rollup"], row["day"], row["members"]) for row in rows] == [
            (f"s3://bucket/{good}", "2022-07-01", 3),
            (f"s3://bucket/{bad}", "2022-07-03", 3),
        ]
        rows = [json_of(line) for line in run("ls", "--json", "--members", f"s3://bucket/{good}")[1].splitlines()]
        assert rows[1] == {
            "rollup": f"s3://bucket/{good}",
            "member": log_key(1)[len(PREFIX) :],
            "bytes": 18,
            "time": "2022-07-01T05:15:43Z",
        }


class TestRestore:
    def test_into_a_directory(self, store: MemoryStore, run: Run, tmp_path: Path) -> None:
        """Names, bytes and times, below the folders they were in; a second time nothing is written."""
        bodies = put_logs(store, range(5)) | put_logs(store, range(2), prefix="example.com/sub/logs-")
        roll(store)
        roll(store, prefix="example.com/sub/logs-")
        loose = put_logs(store, [1], day=DAY + timedelta(1))
        code, out, err = run("restore", "s3://bucket/example.com/", "--to", str(tmp_path / "out"))
        assert (code, out) == (0, "")
        assert "7 logs" in err
        found = {
            str(path.relative_to(tmp_path / "out")): path for path in (tmp_path / "out").rglob("*") if path.is_file()
        }
        assert {f"example.com/{name}": path.read_bytes() for name, path in found.items()} == bodies
        assert not loose.keys() & found.keys()
        assert {path.stat().st_mtime for path in found.values()} == {1_656_652_543}
        before = {path: path.stat().st_ino for path in found.values()}
        code, _, err = run("restore", "s3://bucket/example.com/", "--to", str(tmp_path / "out"))
        assert (code, "0 logs" in err, "7 were there already" in err) == (0, True, True)
        assert {path: path.stat().st_ino for path in found.values()} == before

    def test_only_what_is_asked_for(self, store: MemoryStore, run: Run, tmp_path: Path) -> None:
        """By time or by name; nothing at all is an error."""
        put_logs(store, range(0, 7200, 600))
        roll(store)
        run("restore", "s3://bucket/example.com/", "--to", str(tmp_path / "a"), "--since", "2022-07-01T01:30")
        assert len(list((tmp_path / "a").iterdir())) == 3
        name = log_key(600)[len(PREFIX) :]
        run("restore", "s3://bucket/example.com/", "--to", str(tmp_path / "b"), "--member", name)
        assert [path.name for path in (tmp_path / "b").iterdir()] == [name]
        assert run("restore", "s3://bucket/example.com/", "--to", str(tmp_path / "c"), "--member", LOG)[0] == 1

    def test_into_a_bucket(self, store: MemoryStore, run: Run) -> None:
        """At their places, or at others; what is there and the same is counted."""
        bodies = put_logs(store, range(5))
        roll(store)
        assert run("restore", "s3://bucket/example.com/", "--to", "s3://bucket/example.com/")[0] == 0
        assert {key: stored.body for key, stored in store.objects.items() if "rollup" not in key} == bodies
        code, _, err = run("restore", "s3://bucket/", "--to", "s3://bucket/copy/")
        assert code == 0
        assert {f"copy/{key}" for key in bodies} < store.objects.keys()
        code, _, err = run("restore", "s3://bucket/", "--to", "s3://bucket/copy/")
        assert (code, "5 were there already" in err) == (0, True)
        assert store.open_uploads == 0

    def test_never_over_something_else(self, store: MemoryStore, run: Run, tmp_path: Path) -> None:
        """A different file or object of that name stays as it is; the others are restored; exit code 3."""
        put_logs(store, range(3))
        roll(store)
        name = log_key(1)[len(PREFIX) :]
        (tmp_path / name).write_bytes(b"mine")
        code, _, err = run("restore", "s3://bucket/example.com/", "--to", str(tmp_path))
        assert code == 3
        assert f"{tmp_path / name} exists and differs" in err
        assert (tmp_path / name).read_bytes() == b"mine"
        store.put(f"to/{name}", b"mine")
        code, _, err = run("restore", "s3://bucket/example.com/", "--to", "s3://bucket/to/")
        assert code == 3
        assert f"s3://bucket/to/{name} exists and differs" in err
        assert store.objects[f"to/{name}"].body == b"mine"
        assert len([key for key in store.objects if key.startswith("to/")]) == 3

    @pytest.mark.parametrize(
        "name",
        [
            "../../etc/passwd",
            "/etc/passwd",
            "a/../../b",
            "..",
            "a//b",
            "a\nb",
            "a\x1b[2Jb",
            "a\x00b",
            "./../b",
            "sub/",
            "\udcff",
        ],
    )
    def test_never_outside_the_target(self, run: Run, tmp_path: Path, name: str) -> None:
        """Names that lead out, or would write to a terminal, are refused; the members around them are restored."""
        archive = tmp_path / "evil.tgz"
        archive.write_bytes(a_tarball([("first", b"1"), (name, b"evil"), ("last", b"2")]))
        target = tmp_path / "deep" / "target"
        before = everything(tmp_path)
        code, _, err = run("restore", str(archive), "--to", str(target))
        restored = everything(tmp_path) - before
        if name in ("a\x00b", "sub/"):  # ends at the NUL, as for every tar; a folder
            assert code == 0
        else:
            assert code == 3
            assert err.count("\n") == 2
            assert "such a name is not restored" in err
        assert "\x1b" not in err
        assert {target / "first", target / "last"} <= restored
        assert restored <= {target, target.parent, target / "first", target / "last", target / "a"}

    def test_a_link_in_the_target_leads_nowhere(self, run: Run, tmp_path: Path) -> None:
        """A folder that is a link out of the target, or a link in a log's place, is not followed."""
        target, outside = tmp_path / "target", tmp_path / "outside"
        target.mkdir()
        outside.mkdir()
        (outside / "file").write_bytes(b"x")
        (target / "folder").symlink_to(outside)
        (target / "log").symlink_to(outside / "file")
        archive = tmp_path / "x.tgz"
        archive.write_bytes(a_tarball([("folder/log", b"x"), ("log", b"x"), ("fine", b"x")]))
        code, _, err = run("restore", str(archive), "--to", str(target))
        assert code == 3
        assert "through a link" in err
        assert os.listdir(outside) == ["file"]
        assert (target / "fine").read_bytes() == b"x"

    def test_links_and_devices_are_never_made(self, run: Run, tmp_path: Path) -> None:
        """A symbolic link and then a file through it: neither."""
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz") as tar:
            link = tarfile.TarInfo("link")
            link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
            tar.addfile(link)
            device = tarfile.TarInfo("device")
            device.type = tarfile.CHRTYPE
            tar.addfile(device)
            info = tarfile.TarInfo("link/x")
            info.size = 1
            tar.addfile(info, io.BytesIO(b"x"))
        (tmp_path / "x.tgz").write_bytes(out.getvalue())
        code, _, err = run("restore", str(tmp_path / "x.tgz"), "--to", str(tmp_path / "target"))
        assert code == 3
        assert err.count("not a log: left out") == 2
        assert everything(tmp_path / "target") == {tmp_path / "target/link", tmp_path / "target/link/x"}

    @pytest.mark.parametrize("command", ["restore", "grep", "cat"])
    @pytest.mark.heavy
    def test_millions_of_links_are_a_few_lines(self, run: Run, tmp_path: Path, command: str) -> None:
        """The first ones by name, the others by their number."""
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "x"
        (tmp_path / "x.tgz").write_bytes(gzip.compress(link.tobuf() * 20_000 + bytes(1024), 1))
        to = {"restore": ["--to", str(tmp_path)], "grep": ["-e", "x"], "cat": []}[command]
        tracemalloc.start()
        _, _, err = run(command, *to, str(tmp_path / "x.tgz"))
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
        tracemalloc.stop()
        assert "19990 more are links" in err
        assert sum("link" in line for line in err.splitlines()) <= 12

    def test_members_that_are_not_as_the_index_says_are_not_restored(
        self, store: MemoryStore, run: Run, tmp_path: Path
    ) -> None:
        """A rollup whose blocks are of one day and whose index is of another."""
        put_logs(store, range(3))
        first = roll(store)
        put_logs(store, range(100, 103))
        second = roll(store)
        one, two = store.objects[first].body, store.objects[second].body
        start_one, start_two = read_footer(one, len(one)).data_bytes, read_footer(two, len(two)).data_bytes
        (tmp_path / "x.tgz").write_bytes(one[:start_one] + two[start_two:])
        code, _, err = run("restore", str(tmp_path / "x.tgz"), "--to", str(tmp_path / "out"))
        assert code == 3
        assert "damaged" in err
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(("body", "mtime"), [(b"other\n", 1_656_652_543), (b"right\n", 1)], ids=["bytes", "time"])
    def test_an_index_of_other_logs_is_found_out(
        self, store: MemoryStore, run: Run, tmp_path: Path, body: bytes, mtime: int
    ) -> None:
        """Every block is right; the list of members says other things of the same names."""
        rollups = []
        for content, seconds in ((b"right\n", 1_656_652_543), (body, mtime)):
            store.objects.clear()
            store.put(log_key(1), content, mtime=seconds)
            rollups.append(store.objects[roll(store)].body)
        data = with_members_of(*rollups)
        (tmp_path / "x.tgz").write_bytes(data)
        code, _, err = run("restore", str(tmp_path / "x.tgz"), "--to", str(tmp_path / "out"))
        assert (code, "the index" in err) == (3, True)
        assert not [path for path in everything(tmp_path / "out") if path.is_file()]

    def test_a_full_disk_is_one_error(
        self, store: MemoryStore, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Not one for each log; what was restored before is counted."""
        put_logs(store, range(9))
        roll(store)
        real, left = os.link, iter(range(4))

        def link(source: str, target: str, **where: Any) -> None:
            if next(left, None) is None:
                raise OSError(errno.ENOSPC, "No space left on device")
            real(source, target, **where)

        monkeypatch.setattr(os, "link", link)
        code, _, err = run("restore", "s3://bucket/example.com/", "--to", str(tmp_path))
        summary, error = err.splitlines()
        assert code == 1
        assert summary.startswith("s3-log-roller: 4 logs ")
        assert f"{tmp_path} cannot be written: No space left on device" in error
        assert len(os.listdir(tmp_path)) == 4

    def test_a_target_that_is_a_file_is_one_error(self, store: MemoryStore, run: Run, tmp_path: Path) -> None:
        """Before anything is written."""
        put_logs(store, range(9))
        roll(store)
        (tmp_path / "file").write_bytes(b"")
        code, _, err = run("restore", "s3://bucket/example.com/", "--to", str(tmp_path / "file"))
        assert (code, err.count("\n")) == (1, 1)
        assert "cannot be written" in err

    def test_nothing_half_written_is_left(self, store: MemoryStore, run: Run, tmp_path: Path) -> None:
        """A huge member whose last block is damaged leaves no file, not even a part."""
        store.put(log_key(1), Random(1).randbytes(3_500_000))
        key = roll(store)
        body = bytearray(store.objects[key].body)
        body[3_300_000] ^= 1
        store.put(key, bytes(body))
        code, _, _ = run("restore", "s3://bucket/example.com/", "--to", str(tmp_path / "out"))
        assert code == 3
        assert not [path for path in everything(tmp_path / "out") if path.is_file()]


def with_members_of(one: bytes, two: bytes) -> bytes:
    """The first rollup with the second one's members section."""
    return reseal(one, chunks=chunk_payloads(two))


def everything(path: Path) -> set[Path]:
    return set(path.rglob("*")) | {path} - {path} if path.exists() else set()


COMMANDS = {
    "ls": ["ls"],
    "ls --members": ["ls", "--members"],
    "cat": ["cat"],
    "grep": ["grep", "record"],
    "verify": ["verify"],
    "restore": ["restore", "--to", "TARGET"],
}


@pytest.mark.parametrize("where", ["behind the first block", "behind the data", "before the footer"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_rollup_that_is_cut_off_is_told_of(
    command: str, where: str, store: MemoryStore, run: Run, tmp_path: Path
) -> None:
    """Wherever the cut is, with exit code 3 (2 of grep), though no original is left to compare it with."""
    put_logs(store, range(9))
    store.put(log_key(10), Random(1).randbytes(1_300_000))
    key = roll(store)
    content = store.objects[key].body
    footer, directory, _ = decode_index(content)
    length = {
        "behind the first block": directory.blocks[1].offset,
        "behind the data": footer.data_bytes,
        "before the footer": footer.start,
    }[where]
    store.put(key, content[:length])
    words = [str(tmp_path / "out") if word == "TARGET" else word for word in COMMANDS[command]]
    for source in (f"s3://bucket/{key}", "s3://bucket/"):
        code, _, err = run(*words, source)
        assert code == 3
        assert f"s3://bucket/{key} is damaged: the file does not end with the index of a rollup: it is cut off" in err


def test_a_newer_rollup_is_read_as_a_tarball(store: MemoryStore, run: Run, tmp_path: Path) -> None:
    """It is not called damaged; what needs its index says so, and the exit code is 0."""
    bodies = put_logs(store, range(9))
    key = roll(store)
    store.put(key, newer(store.objects[key].body))
    assert run("cat", "s3://bucket/") == (0, b"".join(bodies.values()).decode(), "")
    assert run("grep", "-c", "record 3", "s3://bucket/")[0] == 0
    code, out, _ = run("verify", "s3://bucket/")
    assert code == 0
    assert "9 members can be read (written in version 1" in out
    assert "update it" in out
    assert run("ls", "--members", "s3://bucket/")[1].count("\n") == 9
    assert run("restore", "s3://bucket/", "--to", str(tmp_path / "out"))[0] == 0
    assert len([path for path in everything(tmp_path / "out") if path.is_file()]) == 9


@pytest.mark.parametrize("command", ["ls", "cat", "grep", "verify", "restore"])
def test_help_fits_every_command(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With examples; `-h` of grep is no help, as in grep."""
    monkeypatch.setattr("signal.signal", lambda number, handler: None)
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    out = capsys.readouterr().out
    assert "examples:" in out
    assert "--s3-role" in out


@pytest.fixture(scope="module")
def rollup(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """26 MB of noise between some lines, and a block of it damaged."""
    store = MemoryStore()
    for number in range(0, 86_400, 160):
        noise = Random(number).randbytes(50_000).replace(b"\n", b" ")
        store.put(log_key(number), b"needle %d\n%b\nend\n" % (number, noise))
    body = bytearray(store.objects[roll(store)].body)
    body[12_000_000] ^= 1
    path = tmp_path_factory.mktemp("rollup") / "large.tgz"
    path.write_bytes(body)
    return path


@pytest.mark.heavy
class TestProcesses:
    """Several processes give what one gives."""

    @pytest.mark.parametrize(
        "arguments",
        [
            ["grep", "-h", "needle"],
            ["grep", "-c", "end"],
            ["grep", "-l", "needle [0-9]*4"],
            ["grep", "-v", "-h", "needle"],
            ["cat", "--output", "json"],
        ],
    )
    def test_the_same_output_in_the_same_order(self, rollup: Path, arguments: list[str]) -> None:
        """Also the same complaints and exit code."""
        results = []
        for processes in ("1", "3"):
            program = "import sys; from s3_log_roller.cli.main import main; sys.exit(main(sys.argv[1:]))"
            command = [sys.executable, "-c", program, *arguments, "--processes", processes, str(rollup)]
            done = subprocess.run(command, capture_output=True, check=False)
            assert done.stderr.count(b"is damaged") == 1
            results.append((done.returncode, done.stdout))
        assert results[0] == results[1]
        assert results[0][0] == 3
        assert results[0][1]

    def test_ctrl_c_leaves_no_half_written_files(self, rollup: Path, tmp_path: Path) -> None:
        """Neither here nor in the children, whenever it comes."""
        program = "import sys; from s3_log_roller.cli.main import main; sys.exit(main(sys.argv[1:]))"
        for delay in (0.0, 0.05, 0.1):
            target = tmp_path / str(delay)
            command = [
                sys.executable,
                "-c",
                program,
                "restore",
                "--to",
                str(target),
                "--processes",
                "2",
                *[str(rollup)] * 3,
            ]
            with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
                while not target.exists() and process.poll() is None:
                    time.sleep(0.005)
                time.sleep(delay)
                process.send_signal(signal.SIGINT)
                assert process.stderr is not None
                assert b"Traceback" not in process.stderr.read()
                process.wait(120)
            assert not [name for name in os.listdir(target) if name.endswith(".part")]

    def test_children_end_with_a_reader_that_goes_away(self, rollup: Path) -> None:
        """And say nothing."""
        program = "import sys; from s3_log_roller.cli.main import main; sys.exit(main(sys.argv[1:]))"
        command = [sys.executable, "-c", program, "grep", "-v", "x^", "--processes", "2", str(rollup)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.readline()
            process.stdout.close()
            assert b"Traceback" not in process.stderr.read()
            process.wait(120)
