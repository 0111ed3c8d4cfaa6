"""How much there is to read is known early where somebody looks on; nothing is asked for early where nobody does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import islice
from pathlib import Path

import pytest
from tests.support.logs import DAY, PREFIX, log_key
from tests.support.packing import pack_day

from s3_log_roller.errors import StorageError
from s3_log_roller.local_files import LocalFiles
from s3_log_roller.reading.extent import Extent, look_ahead
from s3_log_roller.reading.groups import Stores, find_groups
from s3_log_roller.reading.operations import Prove
from s3_log_roller.reading.parallel import run_all
from s3_log_roller.reading.proofs import Proof, find_rollups
from s3_log_roller.reading.selection import Selection
from s3_log_roller.reading.shares import Shares

ROLLUPS = 40
PROCESSES = 2


@contextmanager
def open_stores() -> Iterator[Stores]:
    files = LocalFiles()
    yield lambda bucket: files


@pytest.fixture
def work(tmp_path: Path) -> list[Shares]:
    """Many rollups, each a piece of work of its own."""
    for number in range(ROLLUPS):
        day = DAY + timedelta(number)
        key, body = pack_day({log_key(second, day=day): b"x" * 500 for second in range(20)}, day=day)
        (tmp_path / key.removeprefix(PREFIX)).write_bytes(body)

    def failed(message: str) -> None:
        raise AssertionError(message)

    with open_stores() as stores:
        return [(share,) for share in find_rollups(find_groups(stores, [str(tmp_path)], Selection(), failed))]


@pytest.mark.parametrize("watched", [True, False])
def test_what_is_found_and_done_is_counted_as_it_goes(
    work: list[Shares], watched: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it is found first where somebody looks on; a piece counts as done when the next one is asked for."""
    monkeypatch.setattr("s3_log_roller.reading.extent._LOOKING_SECONDS", 3600.0)
    extent = Extent(watched=watched)
    sizes = [sum(share.packed_bytes for share in shares) for shares in work]
    for number, shares in enumerate(look_ahead(work, extent)):
        assert shares == work[number]
        found = len(work) if watched else number + 1
        assert (extent.found_shares, extent.found_bytes) == (found, sum(sizes[:found]))
        assert extent.done_bytes == sum(sizes[:number])
        assert extent.all_found is watched
    assert (extent.done_bytes, extent.all_found) == (sum(sizes), True)


def test_what_was_found_before_listing_failed_is_done(work: list[Shares]) -> None:
    """Then comes the error."""

    def listing() -> Iterator[Shares]:
        yield from work[:3]
        raise StorageError("the bucket is gone")

    extent = Extent(watched=True)
    shares = look_ahead(listing(), extent)
    assert list(islice(shares, 3)) == work[:3]
    with pytest.raises(StorageError, match="is gone"):
        next(shares)
    assert not extent.all_found


@pytest.mark.heavy
@pytest.mark.parametrize("watched", [True, False])
def test_processes_leave_time_to_find_all_there_is(work: list[Shares], watched: bool) -> None:
    """While they are at work; every result comes once and in order, and in the end all is done."""
    extent = Extent(watched=watched)
    found_at_first: list[int] = []
    proofs: list[Proof] = []

    def take(proof: Proof) -> None:
        found_at_first.append(extent.found_shares)
        proofs.append(proof)

    with open_stores() as stores:
        run_all(Prove(open_stores), iter(work), PROCESSES, take, stores=stores, extent=extent)
    assert [proof.where for proof in proofs] == [shares[0].packed[0].listed.key for shares in work]
    assert {proof.verdict for proof in proofs} == {"ok"}
    assert (extent.found_shares, extent.all_found) == (ROLLUPS, True)
    assert extent.done_bytes == extent.found_bytes
    assert (found_at_first[0] == ROLLUPS) == watched


def test_little_to_prove_is_proven_in_this_process(work: list[Shares]) -> None:
    """Whatever number of processes is allowed."""
    opened: list[str] = []
    files = LocalFiles()

    def stores(bucket: str) -> LocalFiles:
        opened.append(bucket)
        return files

    proofs: list[Proof] = []
    run_all(Prove(open_stores), iter(work[:2]), PROCESSES, proofs.append, stores=stores)
    assert [proof.verdict for proof in proofs] == ["ok"] * 2
    assert opened
