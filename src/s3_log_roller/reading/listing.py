"""Lists rollups with their figures, and their members."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from itertools import islice

from s3_log_roller.errors import DamagedRollup, NewerFormat, RollerError
from s3_log_roller.local_files import location
from s3_log_roller.log_keys import parse_rollup_key
from s3_log_roller.reading.groups import Group, OnFailure, Stores
from s3_log_roller.reading.packed import NO_INDEX_TO_READ, loss_of, read_through
from s3_log_roller.reading.selection import Selection
from s3_log_roller.reading.tarball import Member
from s3_log_roller.rollup import MAX_FOOTER_BYTES, Footer, NoIndex, read_footer
from s3_log_roller.rollup.stored import PackedFile, open_packed, read_index
from s3_log_roller.store import ByteRange, ListedObject

ROLLUPS_AT_A_TIME = 1_000


@dataclass(frozen=True, slots=True)
class Listing:
    """A rollup; the figures of its footer are None if it has no index."""

    where: str
    packed_bytes: int
    day: date | None
    members: int | None = None
    original_bytes: int | None = None


def list_rollups(stores: Stores, groups: Iterable[Group], failed: OnFailure) -> Iterator[Listing]:
    """The rollups of the groups. Their footers are fetched many at a time."""
    rollups = ((group.bucket, rollup) for group in groups for rollup in group.rollups)
    while batch := list(islice(rollups, ROLLUPS_AT_A_TIME)):
        for bucket in dict.fromkeys(bucket for bucket, _ in batch):
            yield from _list_batch(stores, bucket, [rollup for name, rollup in batch if name == bucket], failed)


def _list_batch(stores: Stores, bucket: str, rollups: list[ListedObject], failed: OnFailure) -> Iterator[Listing]:
    store = stores(bucket)
    waiting = [rollup for rollup in rollups if rollup.size and not rollup.archived]
    footers = store.fetch(map(_footer_range, waiting))
    with closing(footers):
        for rollup in rollups:
            where = location(bucket, rollup.key)
            key = parse_rollup_key(rollup.key)
            footer: Footer | None = None
            if rollup.archived:
                failed(f"{where} is in an archive tier: restore it to see what is inside")
            elif rollup.size:
                try:
                    footer = read_footer(next(footers)[0], rollup.size)
                except NewerFormat:
                    pass
                except NoIndex as error:
                    if key is not None:
                        failed(f"{where} is damaged: {error}: it is cut off, or another program made it")
                except DamagedRollup as error:
                    failed(f"{where} is damaged: {error}")
            else:
                failed(f"{where} is damaged: it is empty")
            day = key.day if key else None
            if footer is None:
                yield Listing(where, rollup.size, day)
            else:
                yield Listing(where, rollup.size, day, footer.members, footer.original_bytes)


def _footer_range(rollup: ListedObject) -> ByteRange:
    size = min(MAX_FOOTER_BYTES, rollup.size)
    return ByteRange.part(rollup.key, rollup.etag, range(rollup.size - size, rollup.size))


def list_members(stores: Stores, groups: Iterable[Group], failed: OnFailure) -> Iterator[tuple[str, Member]]:
    """(where the rollup is, the member) for all members wanted."""
    for group in groups:
        for rollup in group.rollups:
            where = location(group.bucket, rollup.key)
            try:
                file = open_packed(stores(group.bucket), rollup)
                for member in _members(file, group.selection, failed):
                    yield where, member
            except DamagedRollup as error:
                failed(f"{where} is damaged: {error}")
            except RollerError as error:
                failed(str(error))


def _members(file: PackedFile, selection: Selection, failed: OnFailure) -> Iterator[Member]:
    try:
        index = read_index(file)
    except NO_INDEX_TO_READ as error:
        loss = loss_of(file, error)
        if loss:
            failed(loss)
        for member, _, last in read_through(file, lambda name, what: None):
            if last and selection.has(member.name.rpartition("/")[2], member.mtime):
                yield member
        return
    wanted = index.members() if selection.is_all else index.members_between(selection.low, selection.high)
    for found in wanted:
        name = index.name_prefix + found.suffix
        if selection.has(name, found.mtime):
            yield Member(name, found.size, found.mtime)
