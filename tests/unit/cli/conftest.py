"""A bucket in memory that the commands find instead of S3, and what runs them in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from tests.support.memory_store import MemoryStore

from s3_log_roller.aws.buckets import Buckets
from s3_log_roller.cli import main as cli
from s3_log_roller.uris import Role

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def archive() -> MemoryStore:
    """The bucket called `archive`."""
    return MemoryStore("archive")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, archive: MemoryStore) -> MemoryStore:
    """The bucket called `bucket`; the commands find it, and `archive`, instead of S3."""
    store = MemoryStore()

    @contextmanager
    def lease(self: Buckets, bucket: str, role: Role | None, owner: str | None = None) -> Iterator[MemoryStore]:
        yield {"bucket": store, "archive": archive}[bucket]

    monkeypatch.setattr(Buckets, "lease", lease)
    monkeypatch.setattr("signal.signal", lambda number, handler: None)
    return store


@pytest.fixture
def run(capsysbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Runs a command line in this process: (exit code, standard output, standard error)."""

    def run(*arguments: str) -> tuple[int, str, str]:
        command, *rest = arguments
        processes = [] if command == "ls" else ["--processes", "1"]
        code = cli.main([command, *processes, *rest])
        out, err = capsysbinary.readouterr()
        return code, out.decode("utf-8", "surrogateescape"), err.decode()

    return run
