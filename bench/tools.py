"""The roller and what people use instead, each doing the same job on the same logs.

The job: turn a day's logs into one `.tar.gz` in the same bucket and delete them. Only the roller reads the result back
before it deletes.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from bench.logs import FIRST_DAY, LogSet
from bench.measure import BUCKET, BenchmarkFailed, Run, Sample, Server, median, repeat_in_turns, run, scratch
from s3_log_roller import __version__

PREFIX: Final = "example.com/"
WHERE: Final = f"s3://{BUCKET}/{PREFIX}"
PROGRAM: Final = [sys.executable, "-c", "import sys; from s3_log_roller.cli.main import main; sys.exit(main())"]


@dataclass(frozen=True, slots=True)
class Tool:
    """One way of doing the job."""

    name: str
    find_version: Callable[[], str]
    take: Callable[[Server], Run]
    """Does the job once."""
    settings: str
    """How it is run, for the page."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool took for the job: for every step the samples."""

    tool: str
    version: str
    logs: int
    steps: dict[str, list[Sample]]

    def cpu_us_per_log(self, step: str | None = None) -> float:
        """CPU time per log of one step, or of all."""
        return (
            sum(median(self.steps[name], lambda sample: sample.cpu_s) for name in self._names(step)) / self.logs * 1e6
        )

    def wall_s(self, step: str | None = None) -> float:
        """Seconds of one step, or of all."""
        return sum(median(self.steps[name], lambda sample: sample.wall_s) for name in self._names(step))

    def requests(self) -> dict[str, int]:
        """Requests by operation, of all steps once."""
        total: dict[str, int] = {}
        for samples in self.steps.values():
            for operation, number in samples[-1].requests.items():
                total[operation] = total.get(operation, 0) + number
        return total

    def as_json(self) -> dict[str, Any]:
        """For the results file."""
        return {
            "tool": self.tool,
            "version": self.version,
            "logs": self.logs,
            "cpu_us_per_log": round(self.cpu_us_per_log(), 1),
            "cpu_us_per_log_by_step": {step: round(self.cpu_us_per_log(step), 1) for step in self.steps},
            "logs_per_s": round(self.logs / self.wall_s(), 1),
            "peak_mb": round(max(sample.peak_mb for samples in self.steps.values() for sample in samples), 1),
            "requests": self.requests(),
            "samples": {step: [sample.as_json() for sample in samples] for step, samples in self.steps.items()},
        }

    def _names(self, step: str | None) -> list[str]:
        return list(self.steps) if step is None else [step]


def compare(server: Server, logs: LogSet, tools: Sequence[Tool], times: int, rounds: int) -> list[ToolResult]:
    """The tools in turns, so that whatever the machine does meanwhile is the same for all of them."""

    def filled(tool: Tool) -> Callable[[], Run]:
        def take() -> Run:
            server.fill(logs)
            samples = tool.take(server)
            left = server.stats()["objects"][BUCKET]
            if left != 1:
                raise BenchmarkFailed(f"{tool.name} left {left} objects, not one tarball")
            return samples

        return take

    return [
        ToolResult(tool.name, tool.find_version(), len(logs), {step: [run[step] for run in runs] for step in runs[0]})
        for tool, runs in zip(tools, repeat_in_turns(times, list(map(filled, tools)), rounds), strict=True)
    ]


def roll(server: Server, *options: str, cores: list[int] | None = None) -> Sample:
    """The roller's own command; checks that it did the whole job."""
    objects = server.stats()["objects"][BUCKET]
    command = [*PROGRAM, "roll", "--prefixes", f"s3://{BUCKET}/", "--delete", "--json", "--quiet", *options]
    sample = run(command, server) if cores is None else run(command, server, cores=cores)
    summary = json.loads(sample.output)
    left = server.stats()["objects"][BUCKET]
    if summary["originals_deleted"] != objects or left != summary["rollups"]:
        raise BenchmarkFailed(f"the roller deleted {summary['originals_deleted']} of {objects} logs, {left} are left")
    return sample


def run_s5cmd(server: Server) -> Run:
    """`s5cmd cp`, `tar czf`, `s5cmd cp`, `s5cmd rm`."""
    s5cmd = [find_program("s5cmd"), "--endpoint-url", server.url]
    return _download_and_tar(
        server,
        download=lambda to: [*s5cmd, "cp", f"{WHERE}*", f"{to}/"],
        upload=lambda file: [*s5cmd, "cp", file, f"{WHERE}day.tgz"],
        delete=[*s5cmd, "rm", f"{WHERE}{FIRST_DAY.year}-*"],
    )


def run_aws(server: Server) -> Run:
    """`aws s3 cp --recursive`, `tar czf`, `aws s3 cp`, `aws s3 rm --recursive`."""
    s3 = [find_program("aws"), "--endpoint-url", server.url, "s3"]
    return _download_and_tar(
        server,
        download=lambda to: [*s3, "cp", "--recursive", "--only-show-errors", WHERE, str(to)],
        upload=lambda file: [*s3, "cp", "--only-show-errors", file, f"{WHERE}day.tgz"],
        delete=[*s3, "rm", "--recursive", "--only-show-errors", WHERE, "--exclude", "*", "--include", "20*"],
    )


def run_s3_tar(server: Server) -> Run:
    """The `s3-tar` package."""
    command = [
        find_program("s3-tar"),
        "--source-bucket",
        BUCKET,
        "--folder",
        PREFIX,
        "--filename",
        f"{PREFIX}day.tar.gz",
    ]
    return {"all": run([*command, "--allow-dups", "--remove", "--cache-size", "20"], server)}


def _download_and_tar(
    server: Server, *, download: Callable[[Path], list[str]], upload: Callable[[str], list[str]], delete: list[str]
) -> Run:
    with scratch() as directory:
        day = directory / "day"
        day.mkdir()
        tarball = str(directory / "day.tgz")
        return {
            "download": run(download(day), server),
            "tar": run(["tar", "czf", tarball, "-C", str(day), "."]),
            "upload": run(upload(tarball), server),
            "delete": run(delete, server),
        }


def find_program(name: str) -> str:
    """A program beside the running Python, or on the path."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise BenchmarkFailed(f"{name} is not installed: see requirements/bench.lock")
    return found


def _first_line(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip().split("\n")[0]


ROLLER: Final = Tool(
    "s3-log-roller",
    lambda: __version__,
    lambda server: {"all": roll(server)},
    "`roll --delete`, defaults: up to 256 requests at a time, compression level 8",
)
S5CMD: Final = Tool(
    "s5cmd + tar",
    lambda: _first_line(find_program("s5cmd"), "version"),
    run_s5cmd,
    "defaults: 256 workers, 10 retries; `cp`, `tar czf` (zlib level 6), `cp`, `rm`",
)
AWS: Final = Tool(
    "aws s3 + tar",
    lambda: _first_line(find_program("aws"), "--version"),
    run_aws,
    "AWS CLI version 1, the one on PyPI (version 2 is not, and was not measured), defaults: 10 requests at a time "
    "(`max_concurrent_requests`); `cp --recursive`, `tar czf`, `cp`, `rm --recursive`",
)
S3_TAR: Final = Tool(
    "s3-tar",
    lambda: version("s3-tar"),
    run_s3_tar,
    "`--cache-size 20` (20 downloads at a time; the default is 5), `--remove`, and `--allow-dups`, since without it "
    "its search for equal names grows with the square of the logs; Python's gzip, level 9",
)
TOOLS: Final = (ROLLER, S5CMD, AWS, S3_TAR)
