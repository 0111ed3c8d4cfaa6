"""Logs that are in more than one place: in several rollups of a day, or loose and packed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import merge

from s3_log_roller.errors import DamagedRollup, DayChanged
from s3_log_roller.local_files import location
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.reading.groups import OnFailure, list_rollups
from s3_log_roller.rollup import IndexedMember, NoIndex, Originals
from s3_log_roller.rollup.matching import match
from s3_log_roller.rollup.stored import Index, open_packed, read_index
from s3_log_roller.store import ListedObject, ReadStore

_Numbered = tuple[int, IndexedMember]
"""The number of a rollup, and a member of it."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A rollup, and those of its members that another rollup of the day holds as well."""

    listed: ListedObject
    skip: frozenset[str] = frozenset()


def open_rollups(
    store: ReadStore, rollups: list[ListedObject], failed: OnFailure
) -> tuple[list[Index], list[ListedObject]]:
    """(rollups with an index, tarballs without one)."""
    indexed: list[Index] = []
    through = []
    for rollup in rollups:
        try:
            indexed.append(read_index(open_packed(store, rollup)))
        except NoIndex:
            through.append(rollup)
        except DamagedRollup as error:
            failed(f"{location(store.bucket, rollup.key)} is damaged: {error}")
    return indexed, through


def drop_doubles(
    indexed: list[Index], loose: Originals | None, failed: OnFailure
) -> tuple[Originals | None, list[Packed]]:
    """What is left of the loose logs without those that are members, and the rollups without what others hold, too.

    Logs of one name that differ are all kept.
    """
    if not indexed:
        return loose, []
    if not loose and len(indexed) == 1:
        return None, [Packed(indexed[0].file.listed)]
    skips: list[set[str]] = [set() for _ in indexed]
    members = _note_doubles(
        merge(*(_numbered(number, index, failed) for number, index in enumerate(indexed)), key=_suffix), skips
    )
    kept = None
    if loose:
        loose_only = bytearray(b"\1") * len(loose)
        for row, original, (_, member) in match(loose, members, _suffix):
            if member.may_hold(original):
                loose_only[row] = 0
        kept = loose.select(loose_only)
    for _ in members:
        pass  # no loose log is left, but doubles may be
    return kept, [Packed(index.file.listed, frozenset(skip)) for index, skip in zip(indexed, skips, strict=True)]


def _note_doubles(members: Iterable[_Numbered], skips: list[set[str]]) -> Iterator[_Numbered]:
    """Hand the members on, and note those that a rollup before had with the same size and digest."""
    same_suffix: list[IndexedMember] = []
    for number, member in members:
        if same_suffix and same_suffix[0].suffix != member.suffix:
            same_suffix.clear()
        if any((other.size, other.digest) == (member.size, member.digest) for other in same_suffix):
            skips[number].add(member.suffix)
        else:
            same_suffix.append(member)
        yield number, member


def _numbered(number: int, index: Index, failed: OnFailure) -> Iterator[_Numbered]:
    try:
        for member in index.members():
            yield number, member
    except DamagedRollup as error:
        # Its blocks may be right. What it holds is then read, and what is elsewhere, too, may come twice.
        failed(f"{location(index.file.store.bucket, index.file.listed.key)} is damaged: {error}")


def _suffix(numbered: _Numbered) -> str:
    return numbered[1].suffix


def rescue(store: ReadStore, group: DayGroup, log: ListedObject) -> Index:
    """The index of the rollup that holds a loose log by now, which was rolled up and deleted since it was listed."""
    suffix = log.key[len(group.target_prefix) :]
    for rollup in list_rollups(store, group):
        try:
            index = read_index(open_packed(store, rollup))
            if any(member.suffix == suffix for member in index.members()):
                return index
        except DamagedRollup:
            continue
    raise DayChanged(f"{location(store.bucket, log.key)} is gone since it was listed, and is in no rollup of its day")
