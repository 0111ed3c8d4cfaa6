"""The day groups that hold what a user named.

A user need not know which logs are rolled up. Everything is looked up in the order that keeps a worker that rolls up
and deletes meanwhile from hiding a log: first the loose logs, then the rollups.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from os.path import commonprefix
from typing import Final

from s3_log_roller.errors import RollerError, StorageError
from s3_log_roller.local_files import LOCAL, LocalFiles, location
from s3_log_roller.log_keys import DayGroup, after_day, parse_log_key, parse_rollup_key
from s3_log_roller.mirrored import place_in
from s3_log_roller.reading.selection import EVER, Selection
from s3_log_roller.rollup import Originals
from s3_log_roller.rollup.stored import list_rollups
from s3_log_roller.store import ListedObject, Pager, ReadStore, list_objects, list_pages
from s3_log_roller.uris import S3Uri

Source = S3Uri | str
"""An S3 URI, or the path of a local file."""
Stores = Callable[[str], ReadStore]
"""Opens a bucket, or gives the one opened before; `LOCAL` stands for this machine's files."""
OnFailure = Callable[[str], None]
"""Called with one line on whatever cannot be read; the rest is read all the same."""

_LOG_START: Final = re.compile(
    r"(.*?)([0-9]{4}-(?:[0-9]|[0-9]{2}(?:-(?:[0-9]|[0-9]{2}(?:-[0-9]{2}){0,4}-?(?:[0-9A-F]{0,16}))?)?)?)"
)
"""A target prefix and how a log's name may begin: `example.com/2022-07-0`, `example.com/2022-07-01-05`, a whole key."""
_YEAR_START: Final = re.compile(r"2|20[0-9]{0,2}")
"""How the year of a log may begin. A place that ends so may as well end inside a target prefix or a folder."""
_DAY_CHARS: Final = len("YYYY-MM-DD")
_TARBALL_ENDINGS: Final = (".tgz", ".tar.gz")


@dataclass(slots=True)
class Group:
    """A day of logs under a target prefix, as a listing showed it."""

    bucket: str
    root: str
    day_group: DayGroup | None
    selection: Selection
    has_loose: bool = False
    """Loose logs were seen."""
    loose_unseen: bool = True
    """Nobody looked for loose logs: a rollup was named."""
    rollups: list[ListedObject] = field(default_factory=list)
    loose: Originals | None = None
    """The loose logs wanted, if they were listed, and the rollups after them."""
    elsewhere: str = ""
    """Another place where rollups of the bucket's logs are, if there is one."""


class NothingThere(StorageError):
    """Everything was listed, and there are no logs and no rollups."""


def means_rollup(place: str, where: str) -> bool:
    """Whether that rollup is among what a source means, both by URI or path: it begins so, or the source is the
    beginning of logs of the rollup's day."""
    rollup = parse_rollup_key(where)
    if rollup is None or where.startswith(place):
        return where.startswith(place)
    part = _LOG_START.fullmatch(place)
    starts = _year_starts(place) if part is None else {part[1]: part[2][:_DAY_CHARS]}
    return str(rollup.day).startswith(starts.get(rollup.target_prefix, "-"))


def _year_starts(place: str) -> dict[str, str]:
    """The target prefixes of which a place may be the beginning of logs, each with the beginning of their year."""
    parts = ((place[:-chars], place[-chars:]) for chars in range(1, 5))
    return {target_prefix: start for target_prefix, start in parts if _YEAR_START.fullmatch(start)}


def holder(stores: Stores, bucket: str, rollup: ListedObject) -> ReadStore:
    """The store that a rollup of that bucket's logs is in."""
    return stores(rollup.place or bucket)


def place_of(bucket: str, rollup: ListedObject) -> str:
    """How users know a rollup of that bucket's logs: its URI or path."""
    return location(rollup.place or bucket, rollup.key)


def rollups_of(stores: Stores, group: DayGroup, elsewhere: str) -> list[ListedObject]:
    """The day group's rollups, beside the logs and elsewhere, if there is such a place."""
    found = list_rollups(stores(group.bucket), group)
    if elsewhere:
        found += [rollup._replace(place=elsewhere) for rollup in list_rollups(stores(elsewhere), group)]
    return found


def find_groups(
    stores: Stores,
    sources: Iterable[Source],
    selection: Selection,
    failed: OnFailure,
    rollups_in: S3Uri | None = None,
) -> Iterator[Group]:
    """The day groups of the sources that can hold something wanted, in key order.

    With `rollups_in` rollups of the sources' logs are looked for in that destination, too.

    Raises `NothingThere` for none, and the error of a source that is the only one.
    """
    found = 0
    sources = list(sources)
    for source in sources:
        try:
            for group in _groups_of(stores, source, selection, failed, rollups_in):
                found += 1
                yield group
        except RollerError as error:
            if len(sources) == 1:
                raise
            found += 1
            failed(str(error))
    if not found:
        named = ", ".join(map(str, sources))
        raise NothingThere(f"there are no logs and no rollups in {named}{selection.or_none}")


def _groups_of(
    stores: Stores, source: Source, selection: Selection, failed: OnFailure, rollups_in: S3Uri | None
) -> Iterable[Group]:
    if isinstance(source, str):
        return [group for path in _local_files(source) if (group := _local_group(path, selection)) is not None]
    places = [source.bucket] if rollups_in is None else [source.bucket, place_in(rollups_in, source.bucket)]
    part = _LOG_START.fullmatch(source.prefix)
    only: list[Group] = []
    if part is not None:
        # What is asked for is logs by their names, wherever they are by now.
        only = _named_logs(stores, places, part[1], part[2], selection.narrowed(part[2], part[2] + EVER), failed)
    if not only:
        years = {f"{start}rollup-{year}": start for start, year in _year_starts(source.prefix).items()}
        only = _list_groups(stores, places, {source.prefix: None, **years}, selection, may_be_refused=set(years))
    if not only and source.prefix.endswith(_TARBALL_ENDINGS):
        only = _foreign_tarball(stores(source.bucket), source.prefix, selection)
    for group in only:
        group.elsewhere = "".join(places[1:])
        group.root = source.prefix[: source.prefix.rfind("/") + 1]
        group.loose_unseen = group.day_group is None or not group.day_group.logs_prefix.startswith(source.prefix)
    return only


def _local_files(path: str) -> list[str]:
    """The file, or those of a directory that are named like logs or tarballs, in order."""
    if not os.path.isdir(path):
        return [path]
    names = sorted(name for name in os.listdir(path) if parse_log_key(name) or name.endswith(_TARBALL_ENDINGS))
    return [os.path.join(path, name) for name in names]


def _local_group(path: str, selection: Selection) -> Group | None:
    """A tarball, or a log that was not rolled up; None for a log that is not wanted."""
    listed = LocalFiles().find(path)
    log = parse_log_key(path)
    if log is None:
        return Group(LOCAL, path, None, selection, rollups=[listed])
    if not selection.has(os.path.basename(path), listed.mtime):
        return None
    loose = Originals(DayGroup(LOCAL, log.target_prefix, log.day))
    loose.append(path[len(log.target_prefix) :], listed.etag, listed.size, listed.mtime)
    return Group(LOCAL, path, loose.group, selection, has_loose=True, loose=loose)


def _named_logs(
    stores: Stores, places: Sequence[str], target_prefix: str, start: str, selection: Selection, failed: OnFailure
) -> list[Group]:
    """The groups of logs whose names begin so."""
    log = parse_log_key(f"{target_prefix}{start[:_DAY_CHARS]}-00-00-00-{0:016X}")
    if log is None:
        prefixes = {f"{target_prefix}{start}": target_prefix, f"{target_prefix}rollup-{start}": target_prefix}
        return _list_groups(stores, places, prefixes, selection)
    bucket, *elsewhere = places
    day_group = DayGroup(bucket, target_prefix, log.day)
    if not selection.has_day(log.day):
        return []
    loose = Originals(day_group)
    list_loose(stores(bucket), day_group, selection, loose, failed)
    group = Group(bucket, "", day_group, selection, bool(loose), loose=loose)
    group.rollups = rollups_of(stores, day_group, "".join(elsewhere))
    return [group] if loose or group.rollups else []


def _list_groups(
    stores: Stores,
    places: Sequence[str],
    prefixes: Mapping[str, str | None],
    selection: Selection,
    may_be_refused: Collection[str] = (),
) -> list[Group]:
    """The groups under some prefixes: those of the target prefix that is given for it, or all.

    Under `may_be_refused` there is nothing where the credentials may not list it.

    Of a day's logs only as many are listed as it takes to know of them. Logs are in the first of the places, the
    bucket; rollups may be in all.
    """
    groups: dict[DayGroup, Group] = {}
    bucket = places[0]
    for place, prefix in product(places, prefixes):
        for entry in _list_days(stores(place), prefix, may_be_refused=prefix in may_be_refused):
            rollup = parse_rollup_key(entry.key)
            log = None if rollup or place != bucket else parse_log_key(entry.key)
            parsed = rollup or log
            if parsed is None or not selection.has_day(parsed.day):
                continue
            if prefixes[prefix] not in (None, parsed.target_prefix):
                continue
            key = DayGroup(bucket, parsed.target_prefix, parsed.day)
            group = groups.setdefault(key, Group(bucket, "", key, selection))
            if rollup:
                group.rollups.append(entry if place == bucket else entry._replace(place=place))
            else:
                group.has_loose = True
    return [groups[day_group] for day_group in sorted(groups)]


def _foreign_tarball(store: ReadStore, key: str, selection: Selection) -> list[Group]:
    page = store.list_page(key, max_keys=1)
    return [Group(store.bucket, "", None, selection, rollups=[x]) for x in page.objects if x.key == key]


def _list_days(store: ReadStore, prefix: str, *, may_be_refused: bool) -> Iterator[ListedObject]:
    """Every object under a prefix, in key order, but of the logs of a day only the first ones."""
    pager = Pager(store.bucket, prefix)
    try:
        for page in list_pages(store, pager):
            yield from page.objects
            pager.skip_to(after_day(pager.start_after))
    except StorageError as error:
        if not may_be_refused or error.code != "AccessDenied":
            raise


def loose_prefix(group: DayGroup, selection: Selection) -> str:
    """What the keys of the group's logs that are wanted begin with."""
    start = commonprefix([selection.low, selection.high])  # noqa: RUF071 - of characters is what is meant
    return group.target_prefix + start if start.startswith(str(group.day)) else group.logs_prefix


def list_loose(store: ReadStore, group: DayGroup, selection: Selection, loose: Originals, failed: OnFailure) -> None:
    """Take up the group's loose logs that are wanted."""
    prefix_chars = len(group.target_prefix)
    archived = 0
    for entry in list_objects(store, loose_prefix(group, selection)):
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
