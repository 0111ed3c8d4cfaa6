"""What is said of logs that were restored is what became of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.logs import PREFIX, log_key
from tests.support.memory_day import put_logs, roll
from tests.support.memory_store import MemoryStore

from s3_log_roller.errors import DamagedRollup
from s3_log_roller.local_files import LOCAL
from s3_log_roller.reading.groups import find_groups
from s3_log_roller.reading.restoring import Restored, Restorer, safe_name
from s3_log_roller.reading.selection import Selection
from s3_log_roller.reading.shares import find_shares
from s3_log_roller.reading.targets import Target
from s3_log_roller.uris import S3Uri


def test_logs_restored_and_logs_already_there_are_counted_with_their_bytes(tmp_path: Path) -> None:
    """A log that was there is not one that was restored; the figures of several shares add up."""
    store = MemoryStore()
    bodies = put_logs(store, range(3))
    roll(store)
    (tmp_path / log_key(0)[len(PREFIX) :]).write_bytes(bodies[log_key(0)])
    groups = find_groups(lambda bucket: store, [S3Uri("bucket", PREFIX)], Selection(), pytest.fail)
    shares = tuple(find_shares(lambda bucket: store, groups, pytest.fail, split=False))
    restorer = Restorer(lambda bucket: store, Target(LOCAL, str(tmp_path)), pytest.fail, pytest.fail)
    restorer.restore(shares)
    restorer.close()
    restored_bytes = len(bodies[log_key(1)]) + len(bodies[log_key(2)])
    assert restorer.restored == Restored(2, restored_bytes, 1)
    restorer.restored.add(Restored(10, 100, 1000))
    assert restorer.restored == Restored(12, restored_bytes + 100, 1001)


def test_of_a_day_only_what_is_packed_is_restored(tmp_path: Path) -> None:
    """As it was packed: loose logs are no matter of its, not even those that have changed since."""
    store = MemoryStore()
    bodies = put_logs(store, range(3))
    roll(store, delete=False)
    store.put(log_key(1), b"changed since")
    put_logs(store, [5])
    groups = find_groups(lambda bucket: store, [S3Uri("bucket", PREFIX)], Selection(), pytest.fail)
    shares = tuple(find_shares(lambda bucket: store, groups, pytest.fail, split=False))
    restorer = Restorer(lambda bucket: store, Target(LOCAL, str(tmp_path)), pytest.fail, pytest.fail)
    restorer.restore(shares)
    restorer.close()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        key[len(PREFIX) :]: body for key, body in bodies.items()
    }


@pytest.mark.parametrize(
    ("name", "safe"), [("a.log", "a.log"), ("./a.log", "a.log"), ("././web/a.log", "web/a.log"), ("a b", "a b")]
)
def test_a_member_is_restored_under_its_name(name: str, safe: str) -> None:
    """`tar c .` writes names with `./` in front."""
    assert safe_name(name) == safe


@pytest.mark.parametrize("name", ["", ".", "./", "./.", "/a", "a/", "a//b", "../a", "a/../b", "a/./b", "./..", "a\nb"])
def test_a_name_that_may_lead_elsewhere_is_not_restored(name: str) -> None:
    """Nor one that no log can have."""
    with pytest.raises(DamagedRollup, match="such a name is not restored"):
        safe_name(name)
