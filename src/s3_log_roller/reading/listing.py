"""Lists rollups with their figures, and their members."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from itertools import groupby, islice

from s3_log_roller.errors import DamagedRollup, NewerFormat, RollerError
from s3_log_roller.log_keys import parse_rollup_key
from s3_log_roller.reading.contents import Tails
from s3_log_roller.reading.groups import Group, OnFailure, Stores, place_of
from s3_log_roller.reading.packed import NO_INDEX_TO_READ, loss_of, read_through
from s3_log_roller.reading.selection import Selection
from s3_log_roller.reading.tarball import Member
from s3_log_roller.rollup import MAX_FOOTER_BYTES, NoIndex, read_footer
from s3_log_roller.rollup.stored import PackedFile, index_bytes, read_index
from s3_log_roller.store import CHECKSUM, ListedObject

ROLLUPS_AT_A_TIME = 1_000


@dataclass(frozen=True, slots=True)
class Listing:
    """A rollup; the figures of its footer are None if it has no index."""

    where: str
    packed_bytes: int
    day: date | None
    members: int | None = None
    original_bytes: int | None = None


def read_checksums(stores: Stores, groups: Iterable[Group], failed: OnFailure) -> dict[str, dict[str, str]]:
    """The checksums that S3 keeps of these rollups, by where they are and by algorithm. Each takes a HEAD."""
    found = {}
    for group in groups:
        for place, of_place in groupby(group.rollups, key=lambda rollup: rollup.place):
            rollups = list(of_place)
            answers = stores(place or group.bucket).read_metadata(rollups)
            for rollup, metadata in zip(rollups, answers, strict=True):
                if isinstance(metadata, RollerError):
                    failed(str(metadata))
                    continue
                checksums = {name.removeprefix(CHECKSUM): text for name, text in metadata.items() if CHECKSUM in name}
                found[place_of(group.bucket, rollup)] = checksums
    return found


def list_rollups(stores: Stores, groups: Iterable[Group], failed: OnFailure) -> Iterator[Listing]:
    """The rollups of the groups. Their footers are fetched many at a time."""
    for group, rollup, file in _open_all(stores, groups, lambda size: MAX_FOOTER_BYTES, failed):
        where = place_of(group.bucket, rollup)
        key = parse_rollup_key(rollup.key)
        listing = Listing(where, rollup.size, key.day if key else None)
        footer = None
        try:
            if file is not None and rollup.size:
                footer = read_footer(file.tail, rollup.size)
            elif not rollup.size:
                failed(f"{where} is damaged: it is empty")
        except NewerFormat:
            pass
        except NoIndex as error:
            if key is not None:
                failed(f"{where} is damaged: {error}: it is cut off, or another program made it")
        except DamagedRollup as error:
            failed(f"{where} is damaged: {error}")
        yield replace(listing, members=footer.members, original_bytes=footer.original_bytes) if footer else listing


def list_members(stores: Stores, groups: Iterable[Group], failed: OnFailure) -> Iterator[tuple[str, Member]]:
    """(where the rollup is, the member) for all members wanted. Indexes are fetched many at a time."""
    for group, rollup, file in _open_all(stores, groups, index_bytes, failed):
        where = place_of(group.bucket, rollup)
        try:
            for member in _members(file, group.selection, failed) if file else ():
                yield where, member
        except DamagedRollup as error:
            failed(f"{where} is damaged: {error}")
        except RollerError as error:
            failed(str(error))


def _open_all(
    stores: Stores, groups: Iterable[Group], tail_bytes: Callable[[int], int], failed: OnFailure
) -> Iterator[tuple[Group, ListedObject, PackedFile | None]]:
    """All rollups with that many of their last bytes; None if a rollup cannot be read."""
    rollups = ((group, rollup) for group in groups for rollup in group.rollups)
    while batch := list(islice(rollups, ROLLUPS_AT_A_TIME)):
        with closing(Tails(stores, [(group.bucket, rollup) for group, rollup in batch], tail_bytes)) as tails:
            for group, rollup in batch:
                file = None
                try:
                    file = tails.take()
                except RollerError as error:
                    failed(str(error))
                yield group, rollup, file


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
