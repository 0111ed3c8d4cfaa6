"""Rows of small days: many day groups with few logs each, where it is round trips that take the time."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from bench.logs import FIRST_DAY, LogSet
from bench.measure import BUCKET, BenchmarkFailed, Run, Sample, Server, median, repeat, repeat_in_turns, run, scratch
from bench.rows import Effort, Row
from bench.tools import PROGRAM, find_program, roll

DELAY_MS: Final = 25
PREFIXES: Final = tuple(f"site-{number:04}/" for number in range(1_000))

SMALL: Final = 500
TIMES_OF_SMALL: Final = 4.0
TIMES_OF_LARGE: Final = 2.5

_SHAPES: Final = (
    # days of one prefix or prefixes of one day, logs a day, logs a second to reach, CPU to reach in µs (0: no claim)
    ("days of one prefix", LogSet(days=300, logs=10), 2_500, 240),
    ("days of one prefix", LogSet(days=200, logs=50), 4_000, 170),
    ("one day of many prefixes", LogSet(prefixes=PREFIXES[:200], logs=50), 3_500, 170),
    ("days of one prefix", LogSet(days=20, logs=500), 4_000, 0),
    ("days of one prefix", LogSet(days=4, logs=5_000), 4_500, 0),
)


def small_days(effort: Effort) -> list[Row]:
    """Logs a second, CPU and LISTs where a day has few logs, with `s5cmd` and `tar` in turns."""
    rows = []
    times = min(3, effort.times)
    with Server(delay_ms=DELAY_MS) as server:
        start_up = repeat(times, lambda: _filled_roll(server, LogSet(logs=1)))
        start_up_s = median(start_up, lambda sample: sample.wall_s) - 11 * DELAY_MS / 1000  # its round trips
        start_up_cpu_s = median(start_up, lambda sample: sample.cpu_s)
        for what, logs, rate, cpu_us in _SHAPES:
            takes: list[Callable[[], Run]] = [
                lambda logs=logs: {"all": _filled_roll(server, logs)},  # type: ignore[misc]
                lambda logs=logs: _run_s5cmd(server, logs),  # type: ignore[misc]
            ]
            ours, theirs = repeat_in_turns(times, takes, times + 1)
            samples = [run["all"] for run in ours]
            rows += _rows_of(what, logs, rate, cpu_us, samples, theirs, start_up_s, start_up_cpu_s)
    return rows


def _rows_of(
    what: str,
    logs: LogSet,
    rate: int,
    cpu_us: int,
    samples: list[Sample],
    theirs: list[Run],
    start_up_s: float,
    start_up_cpu_s: float,
) -> list[Row]:
    groups = len(logs.prefixes) * logs.days
    name = f"{logs.logs}x{groups}{'p' if len(logs.prefixes) > 1 else ''}"
    title = f"{logs.logs:,} logs a day × {groups:,} day groups, {what}"
    wall_s = median(samples, lambda sample: sample.wall_s) - start_up_s
    their_rate = len(logs) / sum(_median_of(theirs, step) for step in theirs[0])
    lists = samples[-1].requests["ListObjectsV2"] / groups
    peak_mb = max(sample.peak_mb for sample in samples)
    own_cpu_us = (median(samples, lambda sample: sample.cpu_s) - start_up_cpu_s) / len(logs) * 1e6
    note = f"`s5cmd` and `tar`: {their_rate:,.0f}; peak {peak_mb:.0f} MB; requests {dict(samples[-1].requests)}"
    as_json = [sample.as_json() for sample in samples]
    rows = [
        Row(
            f"small_{name}",
            f"logs a second, {title}, answers delayed {DELAY_MS} ms, start-up left out",
            len(logs) / wall_s,
            "/s",
            rate,
            higher_is_better=True,
            note=note,
            samples=as_json,
        )
    ]
    times = len(logs) / wall_s / their_rate
    reach = TIMES_OF_SMALL if logs.logs <= SMALL else TIMES_OF_LARGE
    rows.append(
        Row(
            f"small_{name}_ratio",
            f"times as fast as `s5cmd` and `tar`, {title}",
            times,
            "×",
            reach,
            higher_is_better=True,
        )
    )
    if logs.logs < 1_000:
        rows.append(Row(f"small_{name}_lists", f"LISTs per day group, scan included, {title}", lists, "", 1.3))
    if cpu_us:
        rows.append(Row(f"small_{name}_cpu", f"CPU per log, start-up left out, {title}", own_cpu_us, "µs", cpu_us))
    return rows


def steady_state(effort: Effort) -> list[Row]:
    """A day's run over many prefixes that were rolled up for a year: yesterday's logs, today's beside them."""
    prefixes = PREFIXES[: max(50, int(len(PREFIXES) * effort.share))]
    logs = LogSet(prefixes=prefixes, days=2, logs=50)
    command = [*PROGRAM, "roll", "--prefixes", f"s3://{BUCKET}/", "--until", str(FIRST_DAY), "--delete", "--json", "-q"]

    def take() -> Sample:
        server.fill(logs)
        server.control("__put_rollups", bucket=BUCKET, prefix=prefixes, count=365)
        sample = run(command, server)
        deleted = json.loads(sample.output)["originals_deleted"]
        if deleted != len(prefixes) * logs.logs:
            raise BenchmarkFailed(f"the roller deleted {deleted} logs of {len(prefixes) * logs.logs}")
        return sample

    with Server(delay_ms=DELAY_MS) as server:
        samples = repeat(min(3, effort.times), take)
    requests = ", ".join(f"{number:,} {operation}" for operation, number in sorted(samples[-1].requests.items()))
    return [
        Row(
            "steady_state",
            f"seconds for a day's run, {len(prefixes):,} prefixes with 50 new logs, 50 of today and 365 rollups each, "
            f"answers delayed {DELAY_MS} ms",
            median(samples, lambda sample: sample.wall_s),
            "s",
            30 * len(prefixes) / len(PREFIXES),
            note=f"{requests}; {median(samples, lambda sample: sample.cpu_s):.1f} s of CPU, "
            f"peak {max(sample.peak_mb for sample in samples):.0f} MB",
            samples=[sample.as_json() for sample in samples],
        )
    ]


def small_mixed_memory(effort: Effort) -> list[Row]:
    """Peak memory of runs over small day groups and what is hard beside them."""
    share = effort.share
    tiny = LogSet(PREFIXES[: int(100 * share)], days=10, logs=3)
    mixes = {
        "huge_day": (
            f"a day of {effort.logs(200_000):,} logs",
            [LogSet((PREFIXES[5] + "x/",), logs=effort.logs(200_000))],
        ),
        "huge_log": (
            f"a log of {300 * share:.0f} MB that does not compress",
            [LogSet((PREFIXES[5] + "x/",), logs=3, huge_bytes=int(300e6 * share), incompressible=True)],
        ),
        "large_logs": (
            f"{400 * share:.0f} days with a log each of 2 MiB that does not compress",
            [LogSet((PREFIXES[5] + "x/",), int(400 * share), logs=3, huge_bytes=2 << 20, incompressible=True)],
        ),
        "many_days": (f"{1_000 * share:,.0f} more", [LogSet((PREFIXES[5] + "x/",), int(1_000 * share), logs=3)]),
    }
    rows = []
    with Server() as server:
        for name, (what, beside) in mixes.items():
            server.fill(tiny, *beside)
            sample = roll(server)
            rows.append(
                Row(
                    f"small_memory_{name}",
                    f"peak memory, {tiny.days * len(tiny.prefixes):,} days of 3 logs, and among them {what}",
                    sample.peak_mb,
                    "MB",
                    120,
                    note=f"{sample.wall_s:.0f} s",
                    samples=[sample.as_json()],
                )
            )
    return rows


def _filled_roll(server: Server, logs: LogSet) -> Sample:
    server.fill(logs)
    return roll(server)


def _median_of(runs: list[Run], step: str) -> float:
    return median([run[step] for run in runs], lambda sample: sample.wall_s)


def _run_s5cmd(server: Server, logs: LogSet) -> Run:
    """Download everything, one `tar czf` for each day group, upload the tarballs, delete the logs."""
    server.fill(logs)
    s5cmd = [find_program("s5cmd"), "--endpoint-url", server.url]
    pack = (
        'cd "$0" && find . -type f -printf "%h %f\\n" | cut -d- -f1-3 | sort -u | while read -r folder day; do '
        '(cd "$folder" && tar czf "../rollup-$(basename "$folder")-$day.tgz" "$day"-*); done; '
        'mkdir "$1" && find . -name "rollup-*.tgz" -exec mv {} "$1" ";"'
    )
    with scratch() as directory:
        day, tarballs = directory / "logs", directory / "tarballs"
        day.mkdir()
        samples = {
            "download": run([*s5cmd, "cp", f"s3://{BUCKET}/*", f"{day}/"], server),
            "tar": run(["bash", "-c", pack, str(day), str(tarballs)]),
            "upload": run([*s5cmd, "cp", f"{tarballs}/", f"s3://{BUCKET}/rolled/"], server),
            "delete": run([*s5cmd, "rm", f"s3://{BUCKET}/*/20*"], server),
        }
    left, groups = server.stats()["objects"][BUCKET], len(logs.prefixes) * logs.days
    if left != groups:
        raise BenchmarkFailed(f"s5cmd and tar left {left} objects, not {groups} tarballs")
    return samples


SMALL_DAYS: Final[dict[str, Callable[[Effort], list[Row]]]] = {
    "small_days": small_days,
    "steady_state": steady_state,
    "small_mixed_memory": small_mixed_memory,
}
