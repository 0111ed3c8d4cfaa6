"""Run a client against the server, each on cores of its own, and take their figures."""

from __future__ import annotations

import contextlib
import json
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from bench.logs import LogSet

ROOT: Final = Path(__file__).resolve().parent.parent
BUCKET: Final = "bucket1"

CORES: Final = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
SERVER_CORE: Final = CORES[0]
CLIENT_CORE: Final = CORES[min(1, len(CORES) - 1)]
QUIET_SHARE: Final = 0.1
"""Of one core, that other programs may use during a sample that counts."""
PATIENCE_S: Final = float(os.environ.get("BENCH_PATIENCE_S", "30"))
"""To wait for a quiet moment before a sample."""
TRIES: Final = 3
"""Times as many samples are taken at most, to find quiet ones."""


class BenchmarkFailed(Exception):
    """A client ended badly, or did not do what it was to do."""


@dataclass(slots=True)
class Sample:
    """One run of one command."""

    wall_s: float
    cpu_s: float
    """User and system time, of the whole process with all it started."""
    user_s: float
    system_s: float
    peak_mb: float
    """Largest resident set of one process, in MB (a million bytes)."""
    others_cpu_s: float = 0.0
    """CPU time that neither the command nor the server used, on all cores: other programs of the machine."""
    server_cpu_s: float = 0.0
    requests: dict[str, int] = field(default_factory=dict)
    output: str = field(default="", repr=False)

    def as_json(self) -> dict[str, Any]:
        """For the results file; without the output."""
        figures = asdict(self)
        del figures["output"]
        return {name: round(figure, 4) if isinstance(figure, float) else figure for name, figure in figures.items()}


class Server:
    """A server process on a core of its own, between `__enter__` and `__exit__`."""

    def __init__(self, tls: bool = False, delay_ms: float = 0.0, core: int | None = SERVER_CORE) -> None:
        self._options = ["--until-eof", "--delay-ms", str(delay_ms)]
        if core is not None:
            self._options += ["--core", str(core)]
        self._tls = tls
        self._directory = tempfile.TemporaryDirectory(prefix="bench-server-")
        self.ca_bundle = Path(self._directory.name) / "ca.pem" if tls else None
        self.url = ""

    def __enter__(self) -> Self:
        if self._tls:
            self._options += ["--tls", self._directory.name]
        command = [sys.executable, "-m", "bench.s3_server", *self._options]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        if not self.url:
            raise BenchmarkFailed("the server did not start")
        self._context = ssl.create_default_context(cafile=self.ca_bundle) if self.ca_bundle else None
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._directory.cleanup()

    def control(self, path: str, method: str = "POST", **fields: object) -> dict[str, Any]:
        """Call one of the server's control requests."""
        query = urlencode(fields, doseq=True)
        request = Request(f"{self.url}/{path}?{query}", method=method)
        with urlopen(request, context=self._context) as answer:
            result: dict[str, Any] = json.load(answer)
        return result

    def fill(self, *log_sets: LogSet, bucket: str = BUCKET, made_up: bool = False) -> None:
        """Make the bucket hold just these logs; those that are made up are of one set."""
        for logs in log_sets:
            beside = {} if logs is log_sets[0] else {"beside": "1"}
            self.control(
                "__make_up" if made_up else "__fill",
                bucket=bucket,
                prefix=logs.prefixes,
                days=logs.days,
                logs=logs.logs,
                records=logs.records,
                seed=logs.seed,
                huge_bytes=logs.huge_bytes,
                incompressible=logs.incompressible,
                **beside,
            )

    def stats(self) -> dict[str, Any]:
        """Requests by operation, CPU time, objects per bucket, since the last reset."""
        return self.control("__stats", "GET")


def client_environment(server: Server | None) -> dict[str, str]:
    """What every client runs with: the server's address, made-up credentials, no configuration of this machine."""
    kept = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "SYSTEMROOT")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment |= {
        "AWS_ACCESS_KEY_ID": "benchmark",
        "AWS_SECRET_ACCESS_KEY": "benchmark",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "NO_PROXY": "127.0.0.1",
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
        # Compiled modules are used as in an installation, but not left behind in the source tree.
        "PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir()) / f"bench-pycache-{os.getuid()}"),
    }
    if server is not None:
        environment |= {"AWS_ENDPOINT_URL_S3": server.url, "S3_ENDPOINT_URL": server.url}
        if server.ca_bundle is not None:
            environment["AWS_CA_BUNDLE"] = str(server.ca_bundle)
    return environment


def run(
    command: Sequence[str | Path],
    server: Server | None = None,
    *,
    cores: Sequence[int] = (CLIENT_CORE,),
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Sample:
    """Run a command on those cores and take its figures. Raises `BenchmarkFailed` unless its exit code is 0."""
    if server is not None:
        server.control("__reset")
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        report = Path(directory) / "report.json"
        launcher = [sys.executable, "-IS", str(Path(__file__).with_name("launcher.py")), str(report)]
        busy_s = _machine_cpu_s()
        done = subprocess.run(
            [*launcher, ",".join(map(str, cores)), *map(str, command)],
            cwd=cwd,
            env={**client_environment(server), **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        busy_s = _machine_cpu_s() - busy_s
        if done.returncode:
            raise BenchmarkFailed(f"{command[0]} ended with {done.returncode}: {done.stderr[-1000:]}")
        sample = Sample(**json.loads(report.read_text()), output=done.stdout)
    if server is not None:
        stats = server.stats()
        sample.requests = stats["requests"]
        sample.server_cpu_s = stats["cpu_s"]
    sample.others_cpu_s = max(0.0, busy_s - sample.cpu_s - sample.server_cpu_s)
    return sample


def _machine_cpu_s() -> float:
    """CPU time used on all cores since the start of the machine; 0 where that cannot be told."""
    try:
        first = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    except OSError:
        return 0.0
    user, nice, system, _, _, irq, softirq = (int(field) for field in first[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def repeat(times: int, take: Callable[[], Sample]) -> list[Sample]:
    """That many samples, taken while other programs left the machine alone where that could be had."""
    (runs,) = repeat_in_turns(times, [lambda: {"all": take()}], times * TRIES)
    return [run["all"] for run in runs]


Run = dict[str, Sample]
"""One run of one or more commands: a sample for each step."""


def repeat_in_turns(times: int, takes: Sequence[Callable[[], Run]], rounds: int) -> list[list[Run]]:
    """That many runs of each, one of each in every round; after that many rounds the least noisy ones have to do.

    Two of a machine's cores are often two threads of one, so other programs cost a command CPU time, too.
    """
    runs: list[list[Run]] = [[] for _ in takes]
    for _ in range(rounds):
        for take, taken in zip(takes, runs, strict=True):
            if sum(_noise(run) <= QUIET_SHARE for run in taken) < times:
                wait_until_quiet()
                taken.append(take())
    return [sorted(taken, key=_noise)[:times] for taken in runs]


def _noise(run: Run) -> float:
    """What other programs used during a run, of one core."""
    return sum(sample.others_cpu_s for sample in run.values()) / sum(sample.wall_s for sample in run.values())


def median(samples: Sequence[Sample], figure: Callable[[Sample], float]) -> float:
    """The median of a figure."""
    return statistics.median(map(figure, samples))


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A directory that goes away; in memory where the machine offers that, so that no disk is measured."""
    memory = Path("/dev/shm")
    where = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="bench-", dir=where) as directory:
        yield Path(directory)


def wait_until_quiet(patience_s: float = PATIENCE_S) -> float:
    """Wait until other programs leave the cores alone; returns the share of them that is busy."""
    end = time.monotonic() + patience_s
    while True:
        before, then = _machine_cpu_s(), time.monotonic()
        time.sleep(0.5)
        share = (_machine_cpu_s() - before) / (time.monotonic() - then) / len(CORES)
        if share * len(CORES) < QUIET_SHARE or time.monotonic() > end:
            return share
