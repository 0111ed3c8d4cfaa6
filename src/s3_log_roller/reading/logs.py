"""The logs of a share as one stream in key order, wherever each of them is."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from hashlib import md5
from heapq import heappop, heappush
from itertools import takewhile
from typing import Final, NamedTuple

from s3_log_roller.errors import DamagedRollup, ObjectGone, RollerError
from s3_log_roller.local_files import location
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.reading.groups import OnFailure, Stores
from s3_log_roller.reading.overlaps import rescue
from s3_log_roller.reading.packed import MayMatch, read_selected, read_through
from s3_log_roller.reading.selection import Selection, suffix_of
from s3_log_roller.reading.shares import Share
from s3_log_roller.reading.tarball import Member, OnOdd
from s3_log_roller.reading.tarball import Piece as TarPiece
from s3_log_roller.rollup import IndexedMember, NoIndex
from s3_log_roller.rollup.index import DIGEST_BYTES, damaged
from s3_log_roller.rollup.stored import READ_BYTES, Index, PackedFile, open_packed, read_index
from s3_log_roller.store import ListedObject, ReadStore, whole_or_split

MAX_READ_AHEAD: Final = 4
"""Rollups of one day whose next blocks are fetched ahead at a time; with more of them, one block at a time each."""


class Origin(NamedTuple):
    """Where a log was read from."""

    bucket: str
    key: str
    """Of the rollup, or of the log itself."""
    is_packed: bool
    proven: bool
    """What came was checked: against the blocks of an index, or against the log's ETag."""

    def name(self, member: Member) -> str:
        """The log as users are told of it: its URI, or `rollup:member`."""
        place = location(self.bucket, self.key)
        return f"{place}:{member.name}" if self.is_packed else place


Piece = tuple[Origin, Member, bytes, bool]
"""A piece of a log's content, and whether it is the last one. Every log has at least one."""


class Reader:
    """Reads shares. What is wrong with one of them is told to `failed` in one line; the others are read."""

    def __init__(
        self,
        stores: Stores,
        failed: OnFailure,
        *,
        may_match: MayMatch | None = None,
        packed_only: bool = False,
        prove: bool = False,
    ) -> None:
        self._stores = stores
        self._failed = failed
        self._may_match = may_match
        self._packed_only = packed_only
        self._prove = prove

    def read(self, shares: Iterable[Share]) -> Iterator[Piece]:
        """The logs of the shares, one share after the other; small rollups of all shares are fetched at once."""
        shares = list(shares)
        contents = _Contents(self._stores, [share for share in shares if share.is_one_request])
        with closing(contents):
            for share in shares:
                with reporting(self._failed):
                    if share.is_one_request:
                        yield from self._one(contents.take(), share)
                    else:
                        yield from self._merged(self._stores(share.bucket), share)

    def _one(self, file: PackedFile, share: Share, *, ahead: bool = True) -> Iterator[Piece]:
        """The wanted members of a rollup, or of a tarball without an index."""
        try:
            index = read_index(file)
        except NoIndex:
            yield from self._through(file, share.selection)
        except DamagedRollup as error:
            raise _blame(file, error) from error
        else:
            yield from self._indexed(index, share.selection, ahead=ahead)

    def _indexed(self, index: Index, selection: Selection, *, ahead: bool = True) -> Iterator[Piece]:
        file = index.file
        origin = Origin(file.store.bucket, file.listed.key, is_packed=True, proven=True)
        pieces = read_selected(
            index,
            selection,
            self._odd(file),
            lambda error: self._failed(f"{_blame(file, error)}; its members are left out, the others are not"),
            may_match=self._may_match,
            ahead=ahead,
        )
        try:
            if self._prove:
                pieces = _proven(pieces, index.members(), index.name_prefix)
            for member, data, last in pieces:
                yield origin, member, data, last
        except DamagedRollup as error:
            raise _blame(file, error) from error

    def _through(
        self, file: PackedFile, selection: Selection, seen: set[tuple[str, int]] | None = None
    ) -> Iterator[Piece]:
        origin = Origin(file.store.bucket, file.listed.key, is_packed=True, proven=False)
        try:
            for member, data, last in read_through(file, self._odd(file)):
                base = member.name.rpartition("/")[2]
                if selection.has(base, member.mtime) and (not seen or (base, member.size) not in seen):
                    yield origin, member, data, last
        except DamagedRollup as error:
            raise _blame(file, error) from error

    def _odd(self, file: PackedFile) -> OnOdd:
        where = location(file.store.bucket, file.listed.key)
        return lambda name, what: self._failed(f"{where}: {name!r} is {what}, no log: left out")

    def _merged(self, store: ReadStore, share: Share) -> Iterator[Piece]:
        sources: list[Iterator[Piece]] = []
        starts: list[str] = []
        opened = []
        for packed in share.packed:
            file = open_packed(store, packed.listed)
            try:
                opened.append((read_index(file), packed.skip))
            except NoIndex:
                share = replace(share, through=(*share.through, packed.listed))
            except DamagedRollup as error:
                self._failed(str(_blame(file, error)))
        ahead = len(opened) <= MAX_READ_AHEAD
        for index, skip in opened:
            pieces = self._indexed(index, share.selection, ahead=ahead)
            sources.append(_without(pieces, skip) if skip else pieces)
            starts.append(index.name_prefix + index.table.first_suffix)
        if share.loose and not self._packed_only and share.group is not None:
            sources.append(self._loose(store, share.group, share.loose))
            starts.append(share.loose[0].key.rpartition("/")[2])
        pieces = sources[0] if len(sources) == 1 else _merge(sources, starts)
        seen: set[tuple[str, int]] | None = set() if share.through and sources else None
        for piece in pieces:
            if seen is not None:
                seen.add((piece[1].name.rpartition("/")[2], piece[1].size))
            yield piece
        for listed in share.through:
            with reporting(self._failed):
                yield from self._through(PackedFile(store, listed), share.selection, seen)

    def _loose(self, store: ReadStore, group: DayGroup, logs: tuple[ListedObject, ...]) -> Iterator[Piece]:
        """Loose logs; those that were rolled up and deleted since they were listed come out of their rollup."""
        done, begun = 0, False
        while done < len(logs):
            try:
                for log, data, last in _fetch_logs(store, logs[done:]):
                    begun = not last
                    yield Origin(store.bucket, log.key, is_packed=False, proven=True), _member(log), data, last
                    done += last
            except ObjectGone:
                if begun:
                    raise
                log = logs[done]
                index = rescue(store, group, log)
                name = log.key.rpartition("/")[2]
                yield from self._indexed(index, Selection(names=frozenset({name})))
                done += 1


class _Contents:
    """Small rollups, fetched whole: many at once, handed out in order."""

    def __init__(self, stores: Stores, shares: list[Share]) -> None:
        self._files = deque(PackedFile(stores(share.bucket), share.packed[0].listed) for share in shares)
        self._store: ReadStore | None = None
        self._bodies: Generator[tuple[bytes, bytes], None, None] | None = None

    def take(self) -> PackedFile:
        """The next one. If it cannot be had, the one behind it is next."""
        file = self._files[0]
        if self._bodies is None or self._store is not file.store:
            self.close()
            self._store = file.store
            same = takewhile(lambda other: other.store is file.store, list(self._files))
            self._bodies = file.store.fetch(other.whole_range() for other in same)
        self._files.popleft()
        try:
            return file.with_tail(next(self._bodies)[0])
        except RollerError:
            self._bodies = None
            raise

    def close(self) -> None:
        """Stop fetching."""
        if self._bodies is not None:
            self._bodies.close()
            self._bodies = None


def _fetch_logs(store: ReadStore, logs: tuple[ListedObject, ...]) -> Iterator[tuple[ListedObject, bytes, bool]]:
    """The logs' contents in pieces; the pieces of one that is gone after some were handed out stop there."""
    ranges = whole_or_split(((log.key, log.etag, log.size) for log in logs), READ_BYTES)
    with closing(store.fetch(ranges)) as bodies:
        for log in logs:
            left = log.size
            while True:
                body, _ = next(bodies)
                left -= len(body)
                yield log, body, left <= 0
                if left <= 0:
                    break


def _member(log: ListedObject) -> Member:
    return Member(log.key.rpartition("/")[2], log.size, log.mtime)


def _without(pieces: Iterator[Piece], skip: frozenset[str]) -> Iterator[Piece]:
    return (piece for piece in pieces if (suffix_of(piece[1].name) or "") not in skip)


def _proven(pieces: Iterator[TarPiece], members: Iterator[IndexedMember], prefix: str) -> Iterator[TarPiece]:
    """The pieces of members that are as the index says; the last piece of another one does not come out."""
    current: Member | None = None
    expected: IndexedMember | None = None
    content = md5(usedforsecurity=False)
    for piece in pieces:
        member, data, last = piece
        if member is not current:
            current, content = member, md5(usedforsecurity=False)
            expected = next((one for one in members if prefix + one.suffix >= member.name), None)
        if expected is None or (prefix + expected.suffix, expected.size, expected.mtime) != member:
            damaged(f"{member.name!r} is not in the index, or not like that")
        content.update(data)
        if last:
            if content.digest()[:DIGEST_BYTES] != expected.digest:
                damaged(f"{member.name!r} has other content than the index says")
            current = None
        yield piece


def _merge(sources: list[Iterator[Piece]], starts: list[str]) -> Iterator[Piece]:
    """Streams that are in order by name, as one. A stream is begun when its first name is reached, not before."""
    heap: list[tuple[str, int, Piece | None]] = []
    for number, start in enumerate(starts):
        heappush(heap, (start, number, None))
    while heap:
        _, number, piece = heappop(heap)
        source = sources[number]
        while piece is not None:
            yield piece
            if piece[3]:
                break
            piece = next(source, None)
        following = next(source, None)
        if following is not None:
            heappush(heap, (following[1].name.rpartition("/")[2], number, following))


def _blame(file: PackedFile, error: DamagedRollup) -> DamagedRollup:
    return DamagedRollup(f"{location(file.store.bucket, file.listed.key)} is damaged: {error}")


@contextmanager
def reporting(failed: OnFailure) -> Iterator[None]:
    """Tell of an error in the `with` block instead of raising it."""
    try:
        yield
    except RollerError as error:
        failed(str(error))
