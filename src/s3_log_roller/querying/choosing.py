"""Which rollups are to be exported, and which of their members an earlier rollup of the day has.

Rollups of a day can overlap: two workers may have packed the same logs at the same time. A member belongs to the file
of the rollup that was written first, by its LastModified and then by its key. Rollups are never rewritten, so one that
comes later changes nothing about the files that are there, whatever was exported in which order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice

from s3_log_roller.errors import DamagedRollup, NewerFormat, RollerError
from s3_log_roller.local_files import LOCAL
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.querying.exported import Exported, FileName
from s3_log_roller.reading.contents import Tails
from s3_log_roller.reading.groups import Group, OnFailure, Stores, place_of, rollups_of
from s3_log_roller.reading.overlaps import Packed, share_out
from s3_log_roller.reading.selection import Selection
from s3_log_roller.reading.shares import Share
from s3_log_roller.rollup.stored import TAIL_BYTES, Index, read_index
from s3_log_roller.store import ListedObject

ROLLUPS_AT_A_TIME = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportShare(Share):
    """A rollup to be exported, `packed` alone, and the earlier ones of its day if it shares members with them."""

    name: FileName
    members: int
    """So many members must come out of it, those that are left out included."""
    target_prefix: str
    earlier: tuple[Share, ...] = ()


@dataclass(slots=True)
class Overview:
    """What is said about the whole."""

    already_there: int = 0
    """Rollups that the target has."""
    not_rolled_up: list[DayGroup] = field(default_factory=list)
    """Days with loose logs and no rollup."""
    with_loose: int = 0
    """Days with loose logs beside their rollups."""


def find_exports(
    stores: Stores,
    groups: Iterable[Group],
    exported: Exported,
    dropped: tuple[str, ...],
    failed: OnFailure,
    overview: Overview,
) -> Iterator[ExportShare]:
    """The rollups of the groups that the target has not, in order."""
    for group, indexes in _indexed(stores, _counted(groups, overview), failed):
        named = {(rollup.place, rollup.key) for rollup in group.rollups}
        wanted: set[bytes] = set()
        days: dict[tuple[str, str], dict[bytes, Index]] = {}
        for index in indexes:
            content_digest, listed = index.footer.content_digest, index.file.listed
            wanted |= {content_digest} if (listed.place, listed.key) in named else set()
            day = days.setdefault((str(index.directory.day), index.directory.target_prefix), {})
            day.setdefault(content_digest, index)  # of a rollup and its copies, the first
        for day in days.values():
            yield from _missing(group, list(day.values()), wanted, exported, dropped, failed, overview)


def _counted(groups: Iterable[Group], overview: Overview) -> Iterator[Group]:
    """The groups with rollups; local files, whose days only their indexes tell, as one group in the end."""
    local: list[Group] = []
    for group in groups:
        if not group.rollups:
            overview.not_rolled_up += [group.day_group] if group.day_group else []
        elif group.bucket == LOCAL:
            local.append(group)
        else:
            overview.with_loose += group.has_loose
            yield group
    if local:
        yield replace(local[0], rollups=[rollup for group in local for rollup in group.rollups])


def _indexed(stores: Stores, groups: Iterable[Group], failed: OnFailure) -> Iterator[tuple[Group, list[Index]]]:
    """Each group with the indexes of all rollups of its day, whether wanted or not, in the order of their writing.

    Groups with a rollup that cannot be read at this time are left out: nobody knows what the others share with it.
    """
    groups = iter(groups)
    while batch := list(islice(groups, ROLLUPS_AT_A_TIME)):
        days = [(group, _rollups_of_day(stores, group)) for group in batch]
        files = [(group.bucket, rollup) for group, rollups in days for rollup in rollups]
        with closing(Tails(stores, files, lambda size: min(size, TAIL_BYTES))) as tails:
            for group, rollups in days:
                indexes = _read_indexes(tails, group, rollups, failed)
                if indexes is not None:
                    yield group, indexes


def _rollups_of_day(stores: Stores, group: Group) -> list[ListedObject]:
    rollups = group.rollups
    if group.loose_unseen and group.day_group is not None:  # a single rollup was named
        rollups = rollups_of(stores, group.day_group, group.elsewhere)
    return sorted(rollups, key=lambda rollup: (rollup.mtime, rollup.key, rollup.place))


def _read_indexes(tails: Tails, group: Group, rollups: Sequence[ListedObject], failed: OnFailure) -> list[Index] | None:
    indexes = []
    unreadable = False
    for rollup in rollups:
        try:
            indexes.append(read_index(tails.take()))
        except (DamagedRollup, NewerFormat) as error:
            failed(f"{place_of(group.bucket, rollup)} is not exported, since its index cannot be read: {error}")
        except RollerError as error:
            failed(f"{error}; the rollups of that day are not exported")
            unreadable = True
    return None if unreadable else indexes


def _missing(
    group: Group,
    day: Sequence[Index],
    wanted: set[bytes],
    exported: Exported,
    dropped: tuple[str, ...],
    failed: OnFailure,
    overview: Overview,
) -> Iterator[ExportShare]:
    reasons: list[str] = []
    shared = [packed.doubles for packed in share_out(list(day), None, reasons.append)[1]]
    if reasons:
        failed(f"{reasons[0]}; the rollups of that day are not exported")
        return
    names = [
        FileName(index.footer.content_digest.hex(), index.directory.day, dropped, left_out)
        for index, left_out in zip(day, shared, strict=True)
    ]
    states = [exported.state(name) for name in names]
    if "differs" in states:
        listed = day[states.index("differs")].file.listed
        failed(
            f"{place_of(group.bucket, listed)} was exported when its day had other rollups, or when they had other "
            "times, and shares logs with them: take the files of that day out of the target, then run again"
        )
        return
    for number, (index, name, state) in enumerate(zip(day, names, states, strict=True)):
        listed = index.file.listed
        if index.footer.content_digest not in wanted:
            continue
        if state == "there":
            overview.already_there += 1
            continue
        exported.expect(name)
        yield ExportShare(
            group.bucket,
            group.root,
            group.day_group,
            Selection(),
            (Packed(listed),),
            name=name,
            members=index.footer.members,
            target_prefix=index.directory.target_prefix,
            earlier=tuple(_only(group, one, name.left_out) for one in day[:number]) if name.left_out else (),
        )


def _only(group: Group, index: Index, suffixes: frozenset[str]) -> Share:
    """Those members of an earlier rollup."""
    names = frozenset(index.name_prefix + suffix for suffix in suffixes)
    return Share(group.bucket, group.root, group.day_group, Selection(names=names), (Packed(index.file.listed),))
