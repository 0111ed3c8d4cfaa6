"""Proving a file that has no index still holds it against the logs that lie there."""

from __future__ import annotations

from tests.support.logs import DAY, PREFIX, log_key
from tests.support.memory_day import put_logs
from tests.support.memory_store import MemoryStore
from tests.support.tarballs import a_tarball

from s3_log_roller.log_keys import DayGroup
from s3_log_roller.reading.groups import Group
from s3_log_roller.reading.proofs import find_rollups, prove
from s3_log_roller.reading.selection import Selection


def test_a_member_of_a_logs_size_with_other_bytes_is_damaged() -> None:
    """It is named; the others, which are the same, are counted."""
    store = MemoryStore()
    bodies = put_logs(store, range(3))
    bodies[log_key(1)] = bytes(len(bodies[log_key(1)]))
    store.put("all.tgz", a_tarball((key[len(PREFIX) :], body) for key, body in bodies.items()))
    group = DayGroup("bucket", PREFIX, DAY)
    rollups = store.list_page("all").objects
    shares = tuple(find_rollups([Group("bucket", "", group, Selection(), rollups=rollups)]))
    (proof,) = prove(lambda bucket: store, shares)
    assert (proof.verdict, proof.members, proof.originals) == ("damaged", 3, 2)
    assert list(proof.damaged) == [log_key(1)[len(PREFIX) :]]
