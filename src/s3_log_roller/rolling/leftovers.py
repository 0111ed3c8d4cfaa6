"""Originals that earlier rollups have already: which they are, and the proof that they are the same bytes."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from operator import and_
from typing import Final

from s3_log_roller.errors import DamagedRollup
from s3_log_roller.rolling.fetching import read_md5s
from s3_log_roller.rolling.manifest import Manifest
from s3_log_roller.rollup.matching import match
from s3_log_roller.rollup.originals import Originals
from s3_log_roller.rollup.stored import Index, blaming
from s3_log_roller.rollup.verify import Verified, verify_index
from s3_log_roller.store import ListedObject, ReadStore, Store

PROVEN_AGAIN_DAYS: Final = 3
"""Rollups published within the last so many days, today not counted, are proven again by runs that do not delete, too:
so a rollup that came damaged into the bucket is told of again by redeliveries and by tomorrow's run."""


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Originals that a rollup's index has as members. Whether it has their bytes is for `prove` to say."""

    index: Index
    originals: Originals
    odd: Originals
    """The originals whose ETags are not MD5s. What the index says of them proves nothing."""

    @property
    def rollup(self) -> ListedObject:
        """The rollup that has them."""
        return self.index.file.listed

    def prove(self, store: Store, manifest: Manifest) -> Verified:
        """Read the rollup back, and once more the originals whose ETags are not MD5s; see that it is in the manifest.

        Raises `DamagedRollup`.
        """
        md5s = read_md5s(store, self.odd)
        verified = verify_index(self.index, self.originals, md5s, with_sha256=manifest.wants_sha256)
        manifest.confirm(verified)
        return verified

    def unlike(self, verified: Verified) -> DamagedRollup | None:
        """The error if not all of the originals are what the rollup holds."""
        others = len(self.originals) - len(verified.originals)
        if not others:
            return None
        return DamagedRollup(
            f"s3://{self.index.file.store.bucket}/{self.rollup.key} holds other bytes than {others} originals of the "
            "same names; those were not deleted: compare them by hand"
        )


def find_leftovers(
    store: ReadStore, originals: Originals, indexes: Sequence[Index]
) -> tuple[Originals, list[Leftovers]]:
    """The originals that are in none of these rollups, and those that are, by rollup; each original once.

    Raises `DamagedRollup` for an index that cannot be read.
    """
    if not indexes or not len(originals):
        return originals, []
    holders = array("I", bytes(4 * len(originals)))
    odd = bytearray(len(originals))
    for number, index in enumerate(indexes, 1):
        with blaming(store, index.file.listed):
            for row, original, member in match(originals, index.members(), lambda member: member.suffix):
                if not holders[row] and member.may_hold(original):
                    holders[row] = number
                    odd[row] = member.etag is not None
    if not any(holders):
        return originals, []
    found = []
    for number, index in enumerate(indexes, 1):
        mine = bytearray(holder == number for holder in holders)
        if any(mine):
            mine_odd = originals.select(bytearray(map(and_, mine, odd)))
            found.append(Leftovers(index, originals.select(mine), mine_odd))
    return originals.select(bytearray(not holder for holder in holders)), found


def is_young(rollup: ListedObject, today: date) -> bool:
    """Whether the rollup was published within the last `PROVEN_AGAIN_DAYS` days."""
    since = datetime(today.year, today.month, today.day, tzinfo=UTC) - timedelta(PROVEN_AGAIN_DAYS)
    return rollup.mtime >= since.timestamp()
