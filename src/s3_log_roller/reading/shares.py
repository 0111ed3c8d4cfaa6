"""Day groups cut into shares of work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from s3_log_roller.errors import DamagedRollup, ObjectArchived, RollerError
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.reading.asking import ask_ahead, by_few
from s3_log_roller.reading.groups import Group, OnFailure, Stores, holder, list_loose, place_of, rollups_of
from s3_log_roller.reading.overlaps import Packed, open_rollups, share_out
from s3_log_roller.reading.packed import NO_INDEX_TO_READ
from s3_log_roller.reading.selection import EVER, Selection
from s3_log_roller.rollup import Block, Originals
from s3_log_roller.rollup.stored import READ_BYTES, Index, open_packed, read_index
from s3_log_roller.store import ListedObject, ReadStore

SHARE_BYTES: Final = 8 << 20
"""Packed bytes that one share of work is cut down to where that can be done."""
SHARE_LOGS: Final = 2_000
"""Loose logs in a share."""


@dataclass(frozen=True, slots=True)
class Share:
    """Logs that are read at one go, in key order: a piece of work that can be sent to another process."""

    bucket: str
    root: str
    """What users know the place by: keys are told and restored relative to it."""
    group: DayGroup | None
    """None if only the file itself can tell, or nothing can."""
    selection: Selection
    packed: tuple[Packed, ...] = ()
    loose: tuple[ListedObject, ...] = ()
    through: tuple[ListedObject, ...] = ()
    """Tarballs without an index."""
    may_have_loose: bool = True
    """Originals of the packed logs may lie there."""
    elsewhere: str = ""
    """Another place where rollups of the bucket's logs are, if there is one."""

    def with_loose_from(self, suffix: str) -> Share:
        """What is left from that suffix on, with logs that are loose and packed read loose."""
        loose = [log for log in self.loose if log.key[-len(suffix) :] >= suffix]
        packed = []
        for rollup in self.packed:
            both = [log for log in _listed(rollup.loose_too) if log.key[-len(suffix) :] >= suffix]
            loose += both
            skip = rollup.skip | {log.key[-len(suffix) :] for log in both}
            packed.append(replace(rollup, skip=skip, loose_too=None))
        loose.sort()
        narrowed = self.selection.narrowed(suffix, EVER)
        return replace(self, selection=narrowed, packed=tuple(packed), loose=tuple(loose))

    @property
    def packed_bytes(self) -> int:
        """About how many bytes must be fetched for it."""
        return sum(rollup.listed.size for rollup in self.packed) + sum(x.size for x in (*self.loose, *self.through))

    @property
    def is_one_request(self) -> bool:
        """It is one rollup, small enough to be fetched whole."""
        return (
            len(self.packed) == 1
            and not (self.loose or self.through or self.packed[0].skip or self.packed[0].loose_too)
            and self.packed[0].listed.size <= READ_BYTES
            and self.selection.is_all
        )


Shares = tuple[Share, ...]
"""Small ones together, so that their requests go out together."""


def find_shares(stores: Stores, groups: Iterable[Group], failed: OnFailure, *, split: bool) -> Iterator[Share]:
    """What to read, in order. Large groups are cut up if `split`; else each is one share."""
    for few in by_few(groups):
        asked = ask_ahead(stores, few)
        for group in few:
            try:
                yield from _shares_of(asked, group, failed, split=split)
            except RollerError as error:
                failed(str(error))


def _shares_of(stores: Stores, group: Group, failed: OnFailure, *, split: bool) -> Iterator[Share]:
    day_group = group.day_group
    loose, rollups = group.loose, group.rollups
    if loose is None and group.has_loose and day_group is not None:
        loose = Originals(day_group)
        list_loose(stores(group.bucket), day_group, group.selection, loose, failed)
        rollups = rollups_of(stores, day_group, group.elsewhere)
    readable = [rollup for rollup in rollups if _is_readable(holder(stores, group.bucket, rollup), rollup, failed)]
    share = Share(group.bucket, group.root, day_group, group.selection, elsewhere=group.elsewhere)
    if not loose and len(readable) == 1:
        yield from _shares_of_one(stores, share, readable[0], split=split)
        return
    indexed, through = open_rollups(stores, group.bucket, readable, failed)
    kept, packed = share_out(indexed, loose, failed)
    if packed or through:
        yield replace(share, packed=tuple(packed), loose=tuple(_listed(kept)), through=tuple(through))
    elif kept is not None:
        batch: list[ListedObject] = []
        for entry in _listed(kept):
            batch.append(entry)
            if len(batch) == SHARE_LOGS:
                yield replace(share, loose=tuple(batch))
                batch = []
        if batch:
            yield replace(share, loose=tuple(batch))


def _is_readable(store: ReadStore, rollup: ListedObject, failed: OnFailure) -> bool:
    """Whether it need not be restored first. One that was restored may list as archived all the same."""
    if not rollup.archived:
        return True
    try:
        read_index(open_packed(store, rollup))
    except ObjectArchived as error:
        failed(str(error))
        return False
    except DamagedRollup:
        pass  # told of where it is read
    return True


def _shares_of_one(stores: Stores, share: Share, rollup: ListedObject, *, split: bool) -> Iterator[Share]:
    """One rollup and nothing else: the most frequent case, which needs no look at the members."""
    whole = replace(share, packed=(Packed(rollup),))
    if not split or rollup.size <= SHARE_BYTES or share.selection.names is not None:
        yield whole
        return
    try:
        index = read_index(open_packed(holder(stores, share.bucket, rollup), rollup))
    except NO_INDEX_TO_READ:
        yield whole
        return
    except DamagedRollup as error:
        raise DamagedRollup(f"{place_of(share.bucket, rollup)} is damaged: {error}") from error
    cuts = _cuts(index)
    for low, behind in zip(["", *cuts], [*cuts, None], strict=True):
        high = share.selection.high if behind is None else _just_below(behind)
        part = share.selection.narrowed(low, high)
        if part.low <= part.high:
            yield replace(whole, selection=part)


def _cuts(index: Index) -> list[str]:
    """Suffixes to cut at, each that of the first member in a block."""
    cuts: list[str] = []
    last: Block | None = None
    for block in index.directory.blocks:
        if last is None or (block.offset - last.offset >= SHARE_BYTES and block.first_header == 0):
            if last is not None:
                cuts.append(block.suffix)
            last = block
    return cuts


def _just_below(suffix: str) -> str:
    """The last suffix before that one, of the same length."""
    below = int(suffix[20:], 16) - 1
    return f"{suffix[:20]}{below:016X}" if below >= 0 else suffix[:19]


def _listed(originals: Originals | None) -> Iterator[ListedObject]:
    if originals is not None:
        prefix = originals.group.target_prefix
        for original in originals:
            yield ListedObject(prefix + original.suffix, original.etag, original.size, original.mtime, archived=False)
