"""Logs that are in more than one place: in several rollups of a day, or loose and packed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import md5
from heapq import merge
from typing import Final

from s3_log_roller.errors import DamagedRollup, NewerFormat, ObjectArchived
from s3_log_roller.local_files import location
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.reading.groups import OnFailure, Stores, holder, place_of, rollups_of
from s3_log_roller.reading.packed import NO_INDEX_TO_READ, loss_of
from s3_log_roller.reading.selection import suffix_of
from s3_log_roller.reading.tarball import MemberPart
from s3_log_roller.rollup import IndexedMember, Originals
from s3_log_roller.rollup.matching import match
from s3_log_roller.rollup.stored import Index, open_packed, read_index
from s3_log_roller.store import ListedObject

_Numbered = tuple[int, IndexedMember]
"""The number of a rollup, and a member of it."""


MAX_COMPARED_BYTES: Final = 1 << 20
"""Of a loose log that is packed, too: larger ones are read loose, so that nothing large is held to be compared."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A rollup, and what is known of its members that are elsewhere, too."""

    listed: ListedObject
    skip: frozenset[str] = frozenset()
    """Suffixes of members that are read loose instead."""
    doubles: frozenset[str] = frozenset()
    """Suffixes of members that a rollup before it has, too, by the indexes. Whether they are the same, bytes tell."""
    loose_too: Originals | None = None
    """Logs that lie there and that are members by the index. A member stands for one just if its bytes do."""


def open_rollups(
    stores: Stores, bucket: str, rollups: list[ListedObject], failed: OnFailure
) -> tuple[list[Index], list[ListedObject]]:
    """(rollups with an index, tarballs without one)."""
    indexed: list[Index] = []
    through = []
    for rollup in rollups:
        try:
            file = open_packed(holder(stores, bucket, rollup), rollup)
        except ObjectArchived as error:  # that lists like any other
            failed(str(error))
            continue
        try:
            indexed.append(read_index(file))
        except NO_INDEX_TO_READ as error:
            loss = loss_of(file, error)
            if loss:
                failed(loss)
            through.append(rollup)
        except DamagedRollup as error:
            failed(f"{place_of(bucket, rollup)} is damaged: {error}")
    return indexed, through


def share_out(
    indexed: list[Index], loose: Originals | None, failed: OnFailure
) -> tuple[Originals | None, list[Packed]]:
    """(the loose logs to be read, the rollups with what is to be read of each): what is in two places once.

    Logs of one name that differ are all kept.
    """
    if not indexed:
        return loose, []
    if not loose and len(indexed) == 1:
        return None, [Packed(indexed[0].file.listed)]
    skips: list[set[str]] = [set() for _ in indexed]
    doubles: list[set[str]] = [set() for _ in indexed]
    members = _note_doubles(
        merge(*(_numbered(number, index, failed) for number, index in enumerate(indexed)), key=_suffix), doubles
    )
    kept = None
    both = [bytearray(len(loose)) if loose else bytearray() for _ in indexed]
    if loose:
        loose_only = bytearray(b"\1") * len(loose)
        for row, original, (number, member) in match(loose, members, _suffix):
            if not member.may_hold(original):
                continue
            comparable = member.etag is None and member.size <= MAX_COMPARED_BYTES
            if comparable and member.suffix not in doubles[number]:
                loose_only[row] = 0
                both[number][row] = 1
            else:
                skips[number].add(member.suffix)
        kept = loose.select(loose_only)
    for _ in members:
        pass  # no loose log is left, but doubles may be
    packed = [
        Packed(
            index.file.listed, frozenset(skip), frozenset(double), loose.select(mask) if loose and any(mask) else None
        )
        for index, skip, double, mask in zip(indexed, skips, doubles, both, strict=True)
    ]
    return kept, packed


class Unlike(DamagedRollup):
    """A rollup does not hold the bytes of a log that still lies there, as its index says it does."""

    def __init__(self, suffix: str) -> None:
        super().__init__(suffix)
        self.suffix = suffix


def compared(parts: Iterator[MemberPart], loose_too: Originals) -> Iterator[MemberPart]:
    """The parts of members; those of the logs `loose_too` only if their bytes are the same by the logs' ETags.

    Raises `Unlike` at the first that is not, or is not there.
    """
    logs = iter(loose_too)
    log = next(logs, None)
    held: list[MemberPart] = []
    for part in parts:
        member, _, last = part
        suffix = suffix_of(member.name) or ""
        if log is not None and log.suffix < suffix:
            raise Unlike(log.suffix)
        if log is None or log.suffix != suffix:
            yield part
            continue
        held.append(part)
        if last:
            digest = md5(usedforsecurity=False)
            for _, data, _ in held:
                digest.update(data)
            if digest.digest() != log.md5:
                raise Unlike(log.suffix)
            yield from held
            held.clear()
            log = next(logs, None)
    if log is not None:
        raise Unlike(log.suffix)


def _note_doubles(members: Iterable[_Numbered], doubles: list[set[str]]) -> Iterator[_Numbered]:
    """Hand the members on, and note those that a rollup before had with the same size and digest."""
    same_suffix: list[IndexedMember] = []
    for number, member in members:
        if same_suffix and same_suffix[0].suffix != member.suffix:
            same_suffix.clear()
        if any((other.size, other.digest) == (member.size, member.digest) for other in same_suffix):
            doubles[number].add(member.suffix)
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


def find_holders(
    stores: Stores, group: DayGroup, elsewhere: str, log: ListedObject
) -> Iterator[tuple[Index, Originals | None]]:
    """Rollups that by their indexes hold a log by now, which was rolled up and deleted since it was listed.

    With each comes what its bytes are to be compared with, if the log's ETag is their MD5.
    """
    listed = Originals(group)
    listed.append(log.key[len(group.target_prefix) :], log.etag, log.size, log.mtime)
    (original,) = listed
    for rollup in rollups_of(stores, group, elsewhere):
        try:
            index = read_index(open_packed(holder(stores, group.bucket, rollup), rollup))
            members = list(index.members_between(original.suffix, original.suffix))
        except (DamagedRollup, NewerFormat):
            continue
        for member in members:
            if member.may_hold(original):
                comparable = member.etag is None and member.size <= MAX_COMPARED_BYTES
                yield index, listed if comparable else None
