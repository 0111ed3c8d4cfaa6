"""What is done with shares, for `parallel`: look through lines, prove rollups, restore logs."""

from __future__ import annotations

from dataclasses import dataclass

from s3_log_roller.reading.groups import Stores
from s3_log_roller.reading.lines import LineReader, Query
from s3_log_roller.reading.logs import Reader
from s3_log_roller.reading.parallel import Emit, Failure, OpenStores, Operation, Performer
from s3_log_roller.reading.proofs import prove
from s3_log_roller.reading.restoring import Restored, Restorer
from s3_log_roller.reading.shares import Shares
from s3_log_roller.reading.targets import OpenBuckets, Target
from s3_log_roller.reading.watching import watched


@dataclass(frozen=True, slots=True)
class Search(Operation):
    """Emits bytes to be written, and behind each batch of shares `Findings`."""

    open_stores: OpenStores
    query: Query

    @property
    def inline_batches(self) -> int:
        """Searching is quick, by fields too; writing records in another form is not."""
        return 6 if self.query.output == "text" else 2

    def start(self, stores: Stores, emit: Emit) -> Performer:
        return _Searcher(stores, self.query, emit)


class _Searcher(Performer):
    def __init__(self, stores: Stores, query: Query, emit: Emit) -> None:
        self._query = query
        self._emit = emit
        self._lines = LineReader(query, emit, query.max_count)
        may_match = query.may_match if query.skips_pieces else None
        self._reader = Reader(watched(stores, self._drain), self._failed, may_match=may_match)

    def run(self, shares: Shares) -> None:
        self._lines = LineReader(self._query, self._emit, self._lines.left)
        self._lines.run(self._reader.read(shares))
        self._emit(self._lines.findings)

    def _drain(self) -> None:
        self._lines.drain()

    def _failed(self, message: str) -> None:
        self._lines.drain()
        self._emit(Failure(message))


@dataclass(frozen=True, slots=True)
class Prove(Operation):
    """Emits a `Proof` for every rollup."""

    open_stores: OpenStores
    with_sha256: bool = False

    @property
    def inline_batches(self) -> int:
        """Proving 8 MiB takes a quarter of a second."""
        return 4

    def start(self, stores: Stores, emit: Emit) -> Performer:
        return _Prover(stores, emit, with_sha256=self.with_sha256)


class _Prover(Performer):
    def __init__(self, stores: Stores, emit: Emit, *, with_sha256: bool) -> None:
        self._stores = stores
        self._emit = emit
        self._with_sha256 = with_sha256

    def run(self, shares: Shares) -> None:
        for proof in prove(self._stores, shares, with_sha256=self._with_sha256):
            self._emit(proof)


@dataclass(frozen=True, slots=True)
class Restore(Operation):
    """Emits what was `Restored`, batch by batch."""

    open_stores: OpenStores
    open_buckets: OpenBuckets
    target: Target

    def start(self, stores: Stores, emit: Emit) -> Performer:
        return _RestorePerformer(stores, self.open_buckets, self.target, emit)


class _RestorePerformer(Performer):
    def __init__(self, stores: Stores, open_buckets: OpenBuckets, target: Target, emit: Emit) -> None:
        self._emit = emit
        self._restorer = Restorer(stores, target, open_buckets, lambda message: emit(Failure(message)))

    def run(self, shares: Shares) -> None:
        self._restorer.restored = Restored()
        try:
            self._restorer.restore(shares)
        finally:
            self._emit(self._restorer.restored)

    def close(self) -> None:
        self._restorer.close()
