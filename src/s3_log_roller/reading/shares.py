"""What to read for the URIs a user named: day groups with their rollups and loose logs, cut into shares of work.

A user need not know which logs are rolled up. Everything is looked up in the order that keeps a worker that rolls up
and deletes meanwhile from hiding a log: first the loose logs, then the rollups.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import merge
from os.path import commonprefix
from typing import Final

from s3_log_roller.errors import DamagedRollup, DayChanged, RollerError, StorageError
from s3_log_roller.local_files import LOCAL, LocalFiles, location
from s3_log_roller.log_keys import DayGroup, after_day, parse_log_key, parse_rollup_key
from s3_log_roller.reading.selection import ABOVE, Selection
from s3_log_roller.rollup import Block, IndexedMember, NoIndex, Originals
from s3_log_roller.rollup.matching import match
from s3_log_roller.rollup.stored import READ_BYTES, Index, open_packed, read_index
from s3_log_roller.store import ListedObject, Pager, ReadStore, list_objects, list_pages
from s3_log_roller.uris import S3Uri

SHARE_BYTES: Final = 8 << 20
"""Packed bytes that one share of work is cut down to where that can be done."""
SHARE_LOGS: Final = 2_000
"""Loose logs in a share."""

Source = S3Uri | str
"""An S3 URI, or the path of a local file."""
Stores = Callable[[str], ReadStore]
"""Opens a bucket, or gives the one opened before; `LOCAL` stands for this machine's files."""
_Numbered = tuple[int, IndexedMember]
"""The number of a rollup, and a member of it."""
OnFailure = Callable[[str], None]
"""Called with one line on whatever cannot be read; the rest is read all the same."""

_LOG_START: Final = re.compile(
    r"(.*?)([0-9]{4}-(?:[0-9]{2}(?:-(?:[0-9]{2}(?:-[0-9]{2}){0,4}-?(?:[0-9A-F]{0,16}))?)?)?)"
)
"""A target prefix and how a log's name may begin: `example.com/2022-07`, `example.com/2022-07-01-05`, a whole key."""
_DAY_CHARS: Final = len("YYYY-MM-DD")
_TARBALL_ENDINGS: Final = (".tgz", ".tar.gz")


@dataclass(frozen=True, slots=True)
class Packed:
    """A rollup, and those of its members that another rollup of the day holds as well."""

    listed: ListedObject
    skip: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Share:
    """Logs that are read at one go, in key order: a piece of work that can be sent to another process."""

    bucket: str
    root: str
    """What users know the place by: keys are told and restored relative to it."""
    group: DayGroup | None
    """None where only the file itself may know, if anything does."""
    selection: Selection
    packed: tuple[Packed, ...] = ()
    loose: tuple[ListedObject, ...] = ()
    through: tuple[ListedObject, ...] = ()
    """Tarballs without an index."""

    @property
    def packed_bytes(self) -> int:
        """About what has to be fetched for it."""
        return sum(rollup.listed.size for rollup in self.packed) + sum(x.size for x in (*self.loose, *self.through))

    @property
    def is_one_request(self) -> bool:
        """It is one rollup, small enough to be fetched whole."""
        return (
            len(self.packed) == 1
            and not (self.loose or self.through)
            and self.packed[0].listed.size <= READ_BYTES
            and self.selection.is_all
        )


@dataclass(slots=True)
class Group:
    """A day of logs under a target prefix, as a listing showed it."""

    bucket: str
    root: str
    day_group: DayGroup | None
    selection: Selection
    has_loose: bool = False
    rollups: list[ListedObject] = field(default_factory=list)


def find_groups(stores: Stores, sources: Iterable[Source], selection: Selection, failed: OnFailure) -> Iterator[Group]:
    """The day groups of the sources that can hold something wanted, in key order.

    Raises `StorageError` for none, and the error of a source that is the only one.
    """
    found = 0
    sources = list(sources)
    for source in sources:
        try:
            for group in _groups_of(stores, source, selection):
                found += 1
                yield group
        except RollerError as error:
            if len(sources) == 1:
                raise
            found += 1
            failed(str(error))
    if not found:
        named = ", ".join(map(str, sources))
        raise StorageError(f"no log and no rollup is there, or none of the time asked for: {named}")


def _groups_of(stores: Stores, source: Source, selection: Selection) -> Iterable[Group]:
    if isinstance(source, str):
        listed = LocalFiles().find(source)
        return [Group(LOCAL, source, None, selection, rollups=[listed])]
    store = stores(source.bucket)
    part = _LOG_START.fullmatch(source.prefix)
    only: list[Group] = []
    if part is not None:
        # What is asked for is logs by their names, wherever they are by now.
        narrowed = selection.narrowed(part[2], part[2] + ABOVE)
        prefixes = (f"{part[1]}{part[2][:_DAY_CHARS]}", f"{part[1]}rollup-{part[2][:_DAY_CHARS]}")
        groups = _list_groups(store, prefixes, narrowed)
        only = [group for group in groups if group.day_group and group.day_group.target_prefix == part[1]]
    if not only:
        only = _list_groups(store, (source.prefix,), selection)
    if not only and source.prefix.endswith(_TARBALL_ENDINGS):
        only = _foreign_tarball(store, source.prefix, selection)
    for group in only:
        group.root = source.prefix[: source.prefix.rfind("/") + 1]
    return only


def _list_groups(store: ReadStore, prefixes: tuple[str, ...], selection: Selection) -> list[Group]:
    """The groups under some prefixes. Of a day's logs only as many are listed as it takes to know of them."""
    groups: dict[DayGroup, Group] = {}
    for prefix in prefixes:
        for entry in _list_days(store, prefix):
            rollup = parse_rollup_key(entry.key)
            log = None if rollup else parse_log_key(entry.key)
            parsed = rollup or log
            if parsed is None or not selection.has_day(parsed.day):
                continue
            key = DayGroup(store.bucket, parsed.target_prefix, parsed.day)
            group = groups.setdefault(key, Group(store.bucket, "", key, selection))
            if rollup:
                group.rollups.append(entry)
            else:
                group.has_loose = True
    return [groups[day_group] for day_group in sorted(groups)]


def _foreign_tarball(store: ReadStore, key: str, selection: Selection) -> list[Group]:
    page = store.list_page(key, max_keys=1)
    return [Group(store.bucket, "", None, selection, rollups=[x]) for x in page.objects if x.key == key]


def _list_days(store: ReadStore, prefix: str) -> Iterator[ListedObject]:
    """Every object under a prefix, in key order, but of the logs of a day only the first ones."""
    pager = Pager(store.bucket, prefix)
    for page in list_pages(store, pager):
        yield from page.objects
        pager.skip_to(after_day(pager.start_after))


def find_shares(stores: Stores, groups: Iterable[Group], failed: OnFailure, *, split: bool) -> Iterator[Share]:
    """What to read, in order. Large groups are cut up if `split`; else each is one share."""
    for group in groups:
        try:
            yield from _shares_of(stores(group.bucket), group, failed, split=split)
        except RollerError as error:
            failed(str(error))


def _shares_of(store: ReadStore, group: Group, failed: OnFailure, *, split: bool) -> Iterator[Share]:
    day_group = group.day_group
    loose = Originals(day_group) if group.has_loose and day_group else None
    rollups = group.rollups
    if loose is not None and day_group is not None:
        _list_loose(store, day_group, group.selection, loose, failed)
        rollups = list_rollups(store, day_group)
    readable = [rollup for rollup in rollups if not rollup.archived]
    for rollup in rollups:
        if rollup.archived:
            failed(f"{location(store.bucket, rollup.key)} is in an archive tier: restore it, then run again")
    share = Share(group.bucket, group.root, day_group, group.selection)
    if not loose and len(readable) == 1:
        yield from _shares_of_one(store, share, readable[0], split=split)
        return
    indexed, through = _settle(store, readable, failed)
    kept, packed = _drop_doubles(indexed, loose, failed)
    if packed or through:
        yield Share(
            share.bucket,
            share.root,
            day_group,
            share.selection,
            tuple(packed),
            tuple(_listed(kept)),
            tuple(through),
        )
    elif kept is not None:
        batch: list[ListedObject] = []
        for entry in _listed(kept):
            batch.append(entry)
            if len(batch) == SHARE_LOGS:
                yield Share(share.bucket, share.root, day_group, share.selection, loose=tuple(batch))
                batch = []
        if batch:
            yield Share(share.bucket, share.root, day_group, share.selection, loose=tuple(batch))


def _shares_of_one(store: ReadStore, share: Share, rollup: ListedObject, *, split: bool) -> Iterator[Share]:
    """One rollup and nothing else: the most frequent case, which needs no look at the members."""
    whole = Share(share.bucket, share.root, share.group, share.selection, (Packed(rollup),))
    if not split or rollup.size <= SHARE_BYTES or share.selection.names is not None:
        yield whole
        return
    try:
        index = read_index(open_packed(store, rollup))
    except NoIndex:
        yield whole
        return
    except DamagedRollup as error:
        raise DamagedRollup(f"{location(store.bucket, rollup.key)} is damaged: {error}") from error
    cuts = _cuts(index)
    for low, behind in zip(["", *cuts], [*cuts, None], strict=True):
        high = share.selection.high if behind is None else _just_below(behind)
        part = share.selection.narrowed(low, high)
        if part.low <= part.high:
            yield Share(share.bucket, share.root, share.group, part, (Packed(rollup),))


def _cuts(index: Index) -> list[str]:
    """Suffixes to cut at, each that of the first member in a block."""
    cuts: list[str] = []
    last: Block | None = None
    for block in index.table.blocks:
        if last is None or (block.offset - last.offset >= SHARE_BYTES and block.first_header == 0):
            if last is not None:
                cuts.append(block.suffix)
            last = block
    return cuts


def _just_below(suffix: str) -> str:
    """The last suffix before that one, of the same length."""
    below = int(suffix[20:], 16) - 1
    return f"{suffix[:20]}{below:016X}" if below >= 0 else suffix[:19]


def _list_loose(store: ReadStore, group: DayGroup, selection: Selection, loose: Originals, failed: OnFailure) -> None:
    """Take up the group's loose logs that are wanted."""
    prefix_chars = len(group.target_prefix)
    start = commonprefix([selection.low, selection.high])  # noqa: RUF071 - of characters is what is meant
    prefix = group.target_prefix + start if start.startswith(str(group.day)) else group.logs_prefix
    archived = 0
    for entry in list_objects(store, prefix):
        key = parse_log_key(entry.key)
        if key is None or key.target_prefix != group.target_prefix:
            continue
        if not selection.has(entry.key.rpartition("/")[2], entry.mtime):
            continue
        if entry.archived:
            archived += 1
        else:
            loose.append(entry.key[prefix_chars:], entry.etag, entry.size, entry.mtime)
    if archived:
        failed(f"{archived} logs of {group} are in an archive tier: restore them, then run again")


def list_rollups(store: ReadStore, group: DayGroup) -> list[ListedObject]:
    """The rollups of a day group."""
    found = []
    for entry in list_objects(store, group.rollups_prefix):
        key = parse_rollup_key(entry.key)
        if key is not None and key.target_prefix == group.target_prefix:
            found.append(entry)
    return found


def _settle(store: ReadStore, rollups: list[ListedObject], failed: OnFailure) -> tuple[list[Index], list[ListedObject]]:
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


def _drop_doubles(
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


def _listed(originals: Originals | None) -> Iterator[ListedObject]:
    if originals is not None:
        prefix = originals.group.target_prefix
        for original in originals:
            yield ListedObject(prefix + original.suffix, original.etag, original.size, original.mtime, archived=False)


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
