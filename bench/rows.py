"""The rows of the first table: what was to be reached, and what is measured."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tarfile
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from bench.logs import LogSet, generate, mean_kb
from bench.measure import (
    CLIENT_CORE,
    CORES,
    SERVER_CORE,
    TRIES,
    BenchmarkFailed,
    Run,
    Sample,
    Server,
    client_environment,
    median,
    repeat,
    repeat_in_turns,
    run,
    scratch,
)
from bench.tools import PROGRAM, roll

DAY: Final = LogSet(logs=20_000)
SCANNED: Final = LogSet(
    prefixes=tuple(f"logs/site-{number:02}.example.com/" for number in range(20)), days=730, logs=5_000
)


@dataclass(slots=True)
class Row:
    """One measured thing."""

    name: str
    what: str
    measured: float
    unit: str
    reach: float
    higher_is_better: bool = False
    note: str = ""
    samples: list[dict[str, Any]] = field(default_factory=list)

    @property
    def reached(self) -> bool:
        """Whether it is as good as it was to be."""
        return self.measured >= self.reach if self.higher_is_better else self.measured <= self.reach

    def as_json(self) -> dict[str, Any]:
        """For the results file."""
        return {
            "name": self.name,
            "what": self.what,
            "measured": round(self.measured, 4),
            "unit": self.unit,
            "reach": self.reach,
            "higher_is_better": self.higher_is_better,
            "reached": self.reached,
            "note": self.note,
            "samples": self.samples,
        }


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure: quick, to try something out, or in full."""

    times: int
    share: float
    """Of the full number of logs."""

    def logs(self, full: int) -> int:
        """A number of logs to take."""
        return max(200, int(full * self.share))


FULL: Final = Effort(5, 1.0)
QUICK: Final = Effort(1, 0.1)


def cpu(effort: Effort) -> list[Row]:
    """CPU time per log of the whole process, plain and over TLS, and the requests of the former."""
    rows = []
    logs = LogSet(logs=effort.logs(len(DAY)))
    for tls, reach in ((False, 130), (True, 180)):
        references: list[float] = []
        with Server(tls=tls) as server:
            samples = repeat(effort.times, _with_reference(_filled_roll(server, logs), references))
            one_log = repeat(effort.times, _filled_roll(server, LogSet(logs=1)))
        per_log = median(samples, lambda sample: sample.cpu_s) / len(logs) * 1e6
        start_up_s = median(one_log, lambda sample: sample.cpu_s)
        scheme = "TLS" if tls else "plain HTTP"
        rows.append(
            Row(
                "cpu_tls" if tls else "cpu",
                f"CPU of the whole process per log, {_logs(logs)}, {scheme}",
                per_log,
                "µs",
                reach,
                note=f"{start_up_s / len(logs) * 1e6:.0f} µs of it are start-up and end, {start_up_s:.2f} s in all; "
                f"the runs took {_span([sample.cpu_s / len(logs) * 1e6 for sample in samples])} µs; zlib at level 9 "
                f"alone took {_span(references)} µs per log between them, median {statistics.median(references):.0f}",
                samples=_as_json(samples),
            )
        )
        if not tls:
            rows += _request_rows(samples[-1], len(logs))
    return rows


def _span(figures: Sequence[float]) -> str:
    return f"{min(figures):.0f} to {max(figures):.0f}"


def _with_reference(take: Callable[[], Sample], references: list[float]) -> Callable[[], Sample]:
    """Take, with each sample, what compressing a log with zlib takes at that time: machines change their speed."""
    contents = [content.body for _, content, _ in generate(LogSet(logs=300))]
    tar = b"".join(contents)

    def both() -> Sample:
        sample = take()
        started = time.process_time()
        zlib.compress(tar, 9)
        references.append((time.process_time() - started) / len(contents) * 1e6)
        return sample

    return both


def _request_rows(sample: Sample, logs: int) -> list[Row]:
    counted = ", ".join(f"{number:,} {operation}" for operation, number in sorted(sample.requests.items()))
    gets = sample.requests.get("GetObject", 0) / logs
    others = sum(sample.requests.values()) / logs - gets
    lists, deletes = sample.requests["ListObjectsV2"], sample.requests["DeleteObjects"]
    pages = -(-logs // 1_000)
    return [
        # The rollup is read back with GETs of 2 MiB; one each per 1,000 logs is what LIST and DeleteObjects need.
        Row("gets", "GETs per log, reading back included", gets, "", 1.01, note=counted),
        Row(
            "others",
            "other requests per log",
            others,
            "",
            0.003,
            note=f"{deletes / logs * 1_000:.2g} DeleteObjects and {lists / logs * 1_000:.2g} LIST requests per 1,000 "
            f"logs: {pages:,} pages of logs and {lists - pages} more that do not grow with the logs, two of the scan "
            "that finds the day and one each for its rollups before and after packing",
        ),
    ]


def rate(effort: Effort) -> list[Row]:
    """Logs a second from one core where every answer takes 25 ms."""
    logs = LogSet(logs=effort.logs(100_000))
    with Server(delay_ms=25) as server:
        samples = repeat(min(3, effort.times), _filled_roll(server, logs))
        connections = server.stats()["max_connections"]
    return [
        Row(
            "rate",
            f"logs a second, one day group of {len(logs):,}, answers delayed 25 ms, one core, start-up included",
            len(logs) / median(samples, lambda sample: sample.wall_s),
            "/s",
            5_000,
            higher_is_better=True,
            note=f"{connections} connections at most; the core was busy for "
            f"{median(samples, lambda sample: sample.cpu_s / sample.wall_s):.0%} of the time",
            samples=_as_json(samples),
        )
    ]


def scan(effort: Effort) -> list[Row]:
    """A producer's scan of 73 million keys, short of sending the tasks."""
    days = max(3, int(SCANNED.days * effort.share))
    logs = LogSet(SCANNED.prefixes, days, SCANNED.logs)
    few = LogSet(SCANNED.prefixes, min(days, 9), SCANNED.logs)  # enough pages that it is divided, too
    samples = []
    with Server() as server:
        for size in (few, logs):
            server.fill(size, made_up=True)
            sample = run([sys.executable, "-m", "bench.scan_child", "bucket1", "logs/"], server)
            found = json.loads(sample.output)["day_groups"]
            groups = len(size.prefixes) * size.days
            if found != groups:
                raise BenchmarkFailed(f"the scan found {found} of {groups} day groups")
            samples.append(sample)
    requests = samples[1].requests["ListObjectsV2"]
    return [
        Row(
            "scan",
            f"LIST requests per day group, scan of {len(logs):,} keys, {groups:,} day groups",
            requests / groups,
            "",
            2.5,
            note=f"{requests:,} requests in {samples[1].wall_s:.0f} s, {samples[1].cpu_s:.0f} s of CPU; "
            f"a full listing takes {-(-len(logs) // 1000):,}",
            samples=_as_json(samples[1:]),
        ),
        Row(
            "scan_memory",
            "growth of the scan's peak memory from a small bucket to that one",
            samples[1].peak_mb - samples[0].peak_mb,
            "MB",
            8,
            note=f"{samples[0].peak_mb:.0f} MB for {len(few):,} keys, {samples[1].peak_mb:.0f} MB for {len(logs):,}",
            samples=_as_json(samples),
        ),
    ]


def memory(effort: Effort) -> list[Row]:
    """Peak memory of a small and of a huge day group."""
    rows = []
    with Server() as server:
        for full, reach in ((10_000, 120), (1_000_000, 160)):
            logs = LogSet(logs=effort.logs(full))
            server.fill(logs)
            sample = roll(server)
            seconds = f"{sample.wall_s:.0f} s, {sample.cpu_s / len(logs) * 1e6:.0f} µs of CPU per log"
            rows.append(
                Row(
                    f"memory_{full}",
                    f"peak memory, one day group of {len(logs):,} logs",
                    sample.peak_mb,
                    "MB",
                    reach,
                    note=seconds,
                    samples=_as_json([sample]),
                )
            )
    return rows


def huge(effort: Effort) -> list[Row]:
    """Peak memory where one log is larger than the memory allowed."""
    huge_mb = int(300 * effort.share)
    logs = LogSet(logs=200, huge_bytes=huge_mb * 1_000_000)
    with Server() as server:
        server.fill(logs)
        sample = roll(server)
    return [
        Row(
            "huge",
            f"peak memory, one day group with a log of {huge_mb:,} MB among {len(logs) - 1} small ones",
            sample.peak_mb,
            "MB",
            160,
            note=f"{sample.wall_s:.0f} s; the log is fetched in pieces of 2 MiB, packed and uploaded as they come",
            samples=_as_json([sample]),
        )
    ]


def throttled(effort: Effort) -> list[Row]:
    """Logs a second where the server refuses what is above a rate: the requests in flight have to fit it."""
    logs = LogSet(logs=effort.logs(len(DAY)))
    rate = 2_000
    with Server(delay_ms=25) as server:
        server.control("__options", slow_down_above=rate)
        samples = repeat(min(3, effort.times), _filled_roll(server, logs))
    refused = median(samples, lambda sample: sample.requests.get("SlowDown", 0))
    return [
        Row(
            "throttled",
            f"logs a second, {len(logs):,} logs, answers delayed 25 ms, 503 for requests above {rate:,} a second",
            len(logs) / median(samples, lambda sample: sample.wall_s),
            "/s",
            round(0.7 * rate),
            higher_is_better=True,
            note=f"{refused:,.0f} requests were answered with 503 and came again, {refused / len(logs):.1%} of the "
            "logs; start-up, reading back and deleting included",
            samples=_as_json(samples),
        ),
        _throttled_deletes(effort, logs),
    ]


def _throttled_deletes(effort: Effort, logs: LogSet) -> Row:
    """Seconds for what a rate of deletes allows: each key of a DeleteObjects call counts as a write."""
    rate = 3_500
    with Server(delay_ms=150) as server:
        plain = median(repeat(min(3, effort.times), _filled_roll(server, logs)), lambda sample: sample.wall_s)
        server.control("__options", writes_above=rate, write_burst=rate / 2)
        samples = repeat(min(3, effort.times), _filled_roll(server, logs))
    seconds = median(samples, lambda sample: sample.wall_s)
    allowed_s = plain + len(logs) / rate
    return Row(
        "throttled_deletes",
        f"seconds to roll up and delete {len(logs):,} logs, answers delayed 150 ms, {rate:,} keys deleted a second",
        seconds,
        "s",
        round(1.3 * allowed_s, 1),
        note=f"{plain:.1f} s where nothing is put off, and {len(logs) / rate:.1f} s is what the rate allows",
        samples=_as_json(samples),
    )


def size(effort: Effort) -> list[Row]:
    """The rollup's size against what tar and gzip make of the same files."""
    logs = LogSet(logs=effort.logs(len(DAY)))
    with Server() as server, scratch() as directory:
        server.fill(logs)
        ours = json.loads(roll(server).output)["bytes_out"]
        sizes = tarball_sizes(logs, directory)
    raw = sum(len(content.body) for _, content, _ in generate(logs))
    return [
        Row(
            "size",
            f"size of the rollup, to `tar czf` of the same {_logs(logs)}",
            ours / sizes["tar czf"],
            "×",
            1.0,
            note=f"{ours:,} bytes ({ours / raw:.1%} of the logs); "
            + ", ".join(f"{command}: {size:,}" for command, size in sizes.items())
            + ". Logs under 2 KB do worse, see the table in [format.md](../reference/format.md#size)",
        )
    ]


def tarball_sizes(logs: LogSet, directory: Path) -> dict[str, int]:
    """What `tar czf` and `tar | gzip -9` make of the logs, in bytes."""
    day = directory / "day"
    day.mkdir()
    plain = BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for key, content, mtime in generate(logs):
            member = tarfile.TarInfo(key.rpartition("/")[2])
            member.size, member.mtime = len(content.body), mtime
            tar.addfile(member, BytesIO(content.body))
    subprocess.run(["tar", "xf", "-", "-C", str(day)], input=plain.getvalue(), check=True)
    names = directory / "names"  # in key order, as in the rollup; a directory's own order compresses no better
    names.write_text("\n".join(sorted(path.name for path in day.iterdir())))
    sizes = {}
    for title, script in (
        ("tar czf", 'tar czf "$0" -C "$1" -T "$2"'),
        ("tar | gzip -9", 'tar cf - -C "$1" -T "$2" | gzip -9 > "$0"'),
    ):
        tarball = directory / "day.tgz"
        subprocess.run(["sh", "-c", script, str(tarball), str(day), str(names)], check=True)
        sizes[title] = tarball.stat().st_size
    return sizes


_CALIBRATE: Final = "import sys, zlib; from bench.rows import calibrate; calibrate()"


def calibrate() -> None:
    """A second or so of work like the roller's, without a network."""
    from hashlib import md5

    contents = [content.body for _, content, _ in generate(LogSet(logs=500))]
    for _ in range(12):
        for body in contents:
            md5(body, usedforsecurity=False).digest()
            body.split()
            zlib.compress(body, 6)


def _machine_scaling() -> float:
    """How much more work two cores do than one, now: two threads of one core do less than twice as much."""
    pair = (CLIENT_CORE, SERVER_CORE)
    environment = client_environment(None)

    def take(copies: int) -> Run:
        script = 'for copy in $(seq "$0"); do "$@" & done; wait'
        command = ["sh", "-c", script, str(copies), sys.executable, "-c", _CALIBRATE]
        return {"all": run(command, cores=pair, environment=environment)}

    one, two = repeat_in_turns(3, [lambda: take(1), lambda: take(2)], 3 * TRIES)
    return 2 * min(taken["all"].wall_s for taken in one) / min(taken["all"].wall_s for taken in two)


def two_cores(effort: Effort) -> list[Row]:
    """Logs a second with two processes on two cores, to one on one.

    With two cores in all the server has no third one: then it runs on the roller's core or cores both times, so that
    like is compared with like. Logs of 39 KB make the roller, not the server, what the cores are busy with.
    """
    spare = len(CORES) > 2
    pair = [core for core in CORES if not spare or core != SERVER_CORE][:2]
    rows = []
    for name, records, full in (("two_cores", 70, 20_000), ("two_cores_small", 7, 80_000)):
        logs = LogSet(prefixes=tuple(f"site-{n:02}/" for n in range(16)), logs=effort.logs(full) // 16, records=records)
        scaling = _machine_scaling()
        with (
            Server(core=SERVER_CORE if spare else CLIENT_CORE) as alone,
            Server(core=SERVER_CORE if spare else None) as beside,
        ):
            one, two = _filled_roll(alone, logs), _filled_roll(beside, logs, "--processes", "2", cores=pair)
            times = min(3, effort.times)
            runs = repeat_in_turns(times, [lambda: {"all": one()}, lambda: {"all": two()}], times * TRIES)  # noqa: B023
        ones, twos = ([taken["all"] for taken in of_one_kind] for of_one_kind in runs)
        raw = median(ones, lambda sample: sample.wall_s) / median(twos, lambda sample: sample.wall_s)
        share = median(twos, lambda sample: sample.server_cpu_s / sample.wall_s)
        where = "a core of its own" if spare else "the roller's cores, one or two, having no other"
        one_cpu, two_cpu = (median(samples, lambda sample: sample.cpu_s) for samples in (ones, twos))
        rows.append(
            Row(
                name,
                f"logs a second, two cores to one; {_logs(logs)} in 16 day groups",
                raw,
                "×",
                1.6,
                higher_is_better=True,
                note=f"{len(logs) / median(ones, lambda s: s.wall_s):,.0f}/s and "
                f"{len(logs) / median(twos, lambda s: s.wall_s):,.0f}/s; the server ran on {where}, and with two "
                f"processes took {share:.2f} of a core; just before, two cores of this machine did {scaling:.2f} × the "
                "work of one without a network, which is about the most to be had; CPU per log "
                f"{one_cpu / len(logs) * 1e6:.0f} and {two_cpu / len(logs) * 1e6:.0f} µs",
                samples=_as_json([*ones, *twos]),
            )
        )
    return rows


def start_up(effort: Effort) -> list[Row]:
    """Time until the help is printed, and until the Lambda handler is imported."""
    rows = []
    for name, what, command, reach in (
        ("start_help", "`s3-log-roller --help`", [*PROGRAM, "--help"], 150),
        ("start_lambda", "import of the Lambda handler", [sys.executable, "-c", "import main"], 300),
    ):
        try:
            run(command)  # compiles the modules
        except BenchmarkFailed as error:
            print(f"{name}: {error}", file=sys.stderr)
            continue
        samples = repeat(2 * effort.times + 1, _plain_run(command))
        bare = repeat(2 * effort.times + 1, _plain_run([sys.executable, "-c", "pass"]))
        rows.append(
            Row(
                name,
                f"start-up: {what}",
                median(samples, lambda sample: sample.wall_s) * 1e3,
                "ms",
                reach,
                note=f"{median(bare, lambda sample: sample.wall_s) * 1e3:.0f} ms of it are Python's own",
                samples=_as_json(samples),
            )
        )
    return rows


ROWS: Final[dict[str, Callable[[Effort], list[Row]]]] = {
    "cpu": cpu,
    "rate": rate,
    "scan": scan,
    "memory": memory,
    "huge": huge,
    "throttled": throttled,
    "size": size,
    "two-cores": two_cores,
    "start-up": start_up,
}


def _filled_roll(server: Server, logs: LogSet, *options: str, cores: list[int] | None = None) -> Callable[[], Sample]:
    def take() -> Sample:
        server.fill(logs)
        return roll(server, *options, cores=cores)

    return take


def _logs(logs: LogSet) -> str:
    return f"{len(logs):,} logs of {mean_kb(logs):.1f} KB"


def _plain_run(command: Sequence[str]) -> Callable[[], Sample]:
    return lambda: run(command)


def _as_json(samples: Sequence[Sample]) -> list[dict[str, Any]]:
    return [sample.as_json() for sample in samples]
