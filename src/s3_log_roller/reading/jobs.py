"""The read side's jobs, for `parallel`: look through lines, prove rollups, restore logs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from s3_log_roller.reading.lines import LineReader, Query
from s3_log_roller.reading.logs import Reader
from s3_log_roller.reading.parallel import Batch, Failure, Job, OpenBuckets, OpenStores, Worker
from s3_log_roller.reading.proofs import prove
from s3_log_roller.reading.restoring import Restorer, Target


class _Worker(Worker):
    """Opens the stores and collects failures."""

    def __init__(self, open_stores: OpenStores) -> None:
        self._opened = open_stores()
        self.stores = self._opened.__enter__()
        self.failures: list[Failure] = []

    def failed(self, message: str) -> None:
        self.failures.append(Failure(message))

    def take_failures(self) -> list[Failure]:
        taken, self.failures = self.failures, []
        return taken

    def close(self) -> None:
        self._opened.__exit__(None, None, None)


@dataclass(frozen=True, slots=True)
class LinesJob(Job):
    """Yields bytes to be written, and at the end of a batch a `Tally`."""

    open_stores: OpenStores
    query: Query

    @property
    def inline_batches(self) -> int:
        """Searching is quick, parsing is not."""
        return 6 if self.query.output == "text" and self.query.where is None else 2

    def start(self) -> Worker:
        return _LinesWorker(self.open_stores, self.query)


class _LinesWorker(_Worker):
    def __init__(self, open_stores: OpenStores, query: Query) -> None:
        super().__init__(open_stores)
        self._query = query
        self._reader = Reader(self.stores, self.failed, may_match=query.may_match if query.skips_pieces else None)

    def run(self, batch: Batch) -> Iterator[Any]:
        lines = LineReader(self._query)
        for out in lines.run(self._reader.read(batch)):
            yield from self.take_failures()
            yield out
        yield from self.take_failures()
        yield lines.tally


@dataclass(frozen=True, slots=True)
class ProofJob(Job):
    """Yields a `Proof` for every rollup."""

    open_stores: OpenStores

    def start(self) -> Worker:
        return _ProofWorker(self.open_stores)


class _ProofWorker(_Worker):
    def run(self, batch: Batch) -> Iterator[Any]:
        for share in batch:
            yield from prove(self.stores, share)


@dataclass(frozen=True, slots=True)
class RestoreJob(Job):
    """Yields a `Restored` for every batch."""

    open_stores: OpenStores
    open_buckets: OpenBuckets
    target: Target

    def start(self) -> Worker:
        return _RestoreWorker(self)


class _RestoreWorker(_Worker):
    def __init__(self, job: RestoreJob) -> None:
        super().__init__(job.open_stores)
        self._restorer = Restorer(self.stores, job.target, job.open_buckets, self.failed)

    def run(self, batch: Batch) -> Iterator[Any]:
        yield self._restorer.restore(batch)
        yield from self.take_failures()

    def close(self) -> None:
        self._restorer.close()
        super().close()
