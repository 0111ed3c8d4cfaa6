"""The logs of a share as one stream in key order, wherever each of them is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from hashlib import md5
from heapq import heappop, heappush
from typing import Final

from s3_log_roller.errors import DamagedRollup, DayChanged, ObjectGone, RollerError
from s3_log_roller.local_files import location
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.reading.contents import Tails, fetch_logs, whole_if_small
from s3_log_roller.reading.doubles import Doubles, LogPart, Origin
from s3_log_roller.reading.groups import OnFailure, Stores, holder
from s3_log_roller.reading.overlaps import Unlike, compared, find_holders
from s3_log_roller.reading.packed import NO_INDEX_TO_READ, MayMatch, loss_of, read_selected, read_through
from s3_log_roller.reading.selection import Selection, suffix_of
from s3_log_roller.reading.shares import Share
from s3_log_roller.reading.tarball import Member, MemberPart, OnLeftOut
from s3_log_roller.rollup import IndexedMember, Originals
from s3_log_roller.rollup.damage import damaged
from s3_log_roller.rollup.stored import Index, PackedFile, open_bytes, read_index
from s3_log_roller.store import ListedObject

MAX_TOLD: Final = 10
"""So many of a tarball's entries that are not files are named one by one."""
MAX_READ_AHEAD: Final = 4
"""Rollups of one day whose next blocks are fetched ahead at a time; with more of them, one block at a time each."""


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

    def read(self, shares: Iterable[Share]) -> Iterator[LogPart]:
        """The logs of the shares, one share after the other; small rollups of all shares are fetched at once."""
        for _, parts in self.read_each(shares):
            yield from parts

    def read_each(self, shares: Iterable[Share]) -> Iterator[tuple[Share, Iterator[LogPart]]]:
        """Each share with its logs, which must be begun before the next share is asked for."""
        shares = list(shares)
        small = [(share.bucket, share.packed[0].listed) for share in shares if share.is_one_request]
        merged = [(share.bucket, one.listed) for share in shares if not share.is_one_request for one in share.packed]
        with (
            closing(Tails(self._stores, small, whole_if_small)) as contents,
            closing(Tails(self._stores, merged, open_bytes)) as ends,
        ):
            for share in shares:
                yield share, self._reported(contents, ends, share)

    def _reported(self, contents: Tails, ends: Tails, share: Share) -> Iterator[LogPart]:
        with reporting(self._failed):
            if share.is_one_request:
                yield from self._one(contents.take(), share)
            else:
                yield from self._merged(share, ends.take_some(len(share.packed)))

    def _one(self, file: PackedFile, share: Share, *, ahead: bool = True) -> Iterator[LogPart]:
        """The wanted members of a rollup, or of a tarball without an index."""
        try:
            index = read_index(file)
        except NO_INDEX_TO_READ as error:
            self._tell_of_loss(file, error)
            yield from self._through(file, share.selection)
        except DamagedRollup as error:
            raise _blame(file, error) from error
        else:
            yield from self._indexed(index, share.selection, ahead=ahead)

    def _indexed(
        self, index: Index, selection: Selection, *, ahead: bool = True, loose_too: Originals | None = None
    ) -> Iterator[LogPart]:
        file = index.file
        origin = Origin(file.store.bucket, file.listed.key, is_packed=True)
        parts = read_selected(
            index,
            selection,
            lambda name, what: damaged(f"{name!r} is {what}, not a log"),
            lambda error: self._failed(f"{_blame(file, error)}; its members are left out, the others are not"),
            may_match=None if loose_too else self._may_match,
            ahead=ahead,
        )
        try:
            if loose_too:
                parts = compared(parts, loose_too)
            if self._prove:
                parts = _proven(parts, index.members(), index.name_prefix)
            for member, data, last in parts:
                yield origin, member, data, last
        except Unlike as error:
            log = f"{index.directory.target_prefix}{error.suffix}"
            self._failed(
                f"{location(file.store.bucket, file.listed.key)} does not hold the bytes of "
                f"{location(file.store.bucket, log)}, as it was listed: from here on, logs are read where they "
                "were listed, not as its members; verify it"
            )
            raise
        except DamagedRollup as error:
            raise _blame(file, error) from error

    def _through(self, file: PackedFile, selection: Selection) -> Iterator[LogPart]:
        origin = Origin(file.store.bucket, file.listed.key, is_packed=True)
        try:
            with self._left_out(file) as on_left_out:
                for member, data, last in read_through(file, on_left_out):
                    if selection.has(member.name.rpartition("/")[2], member.mtime):
                        yield origin, member, data, last
        except DamagedRollup as error:
            raise _blame(file, error) from error

    def _tell_of_loss(self, file: PackedFile, error: RollerError) -> None:
        loss = loss_of(file, error)
        if loss:
            self._failed(loss)

    @contextmanager
    def _left_out(self, file: PackedFile) -> Iterator[OnLeftOut]:
        """Tells of what is not a file, and of no more than a few: there may be millions."""
        where = location(file.store.bucket, file.listed.key)
        count = 0

        def tell(name: str, what: str) -> None:
            nonlocal count
            count += 1
            if count <= MAX_TOLD:
                self._failed(f"{where}: {name!r} is {what}, not a log: left out")

        yield tell
        if count > MAX_TOLD:
            self._failed(f"{where}: {count - MAX_TOLD} more are links, devices and the like, not logs: left out")

    def _merged(self, share: Share, files: list[PackedFile]) -> Iterator[LogPart]:
        try:
            yield from self._all_of(share, files)
        except Unlike as error:
            yield from self._all_of(share.with_loose_from(error.suffix), files)

    def _all_of(self, share: Share, files: list[PackedFile]) -> Iterator[LogPart]:
        sources: list[Iterator[LogPart]] = []
        starts: list[str] = []
        opened = []
        for file, packed in zip(files, share.packed, strict=True):
            try:
                opened.append((read_index(file), packed))
            except NO_INDEX_TO_READ as error:
                self._tell_of_loss(file, error)
                share = replace(share, through=(*share.through, packed.listed))
            except DamagedRollup as error:
                self._failed(str(_blame(file, error)))
        ahead = len(opened) <= MAX_READ_AHEAD
        for index, packed in opened:
            loose_too = None if self._packed_only else packed.loose_too
            parts = self._indexed(index, share.selection, ahead=ahead, loose_too=loose_too)
            sources.append(parts if self._packed_only or not packed.skip else _without(parts, packed.skip))
            starts.append(index.name_prefix + index.directory.first_suffix)
        if share.loose and not self._packed_only and share.group is not None:
            sources.append(self._loose(share, share.group))
            starts.append(share.loose[0].key.rpartition("/")[2])
        parts = sources[0] if len(sources) == 1 else _merge(sources, starts)
        doubles = self._doubles(share, any_may_be=bool(share.through and sources))
        yield from parts if doubles is None else doubles.leave_out(parts, in_order=not share.through)
        for listed in share.through:
            with reporting(self._failed):
                parts = self._through(PackedFile(holder(self._stores, share.bucket, listed), listed), share.selection)
                yield from parts if doubles is None else doubles.leave_out(parts, in_order=False)

    def _doubles(self, share: Share, *, any_may_be: bool) -> Doubles | None:
        if any_may_be:
            return Doubles(lambda name: True, self._failed)
        suffixes = frozenset[str]().union(*(packed.doubles for packed in share.packed))
        return Doubles(lambda name: (suffix_of(name) or "") in suffixes, self._failed) if suffixes else None

    def _loose(self, share: Share, group: DayGroup) -> Iterator[LogPart]:
        """Loose logs; those that were rolled up and deleted since they were listed come out of their rollup."""
        store, logs = self._stores(share.bucket), share.loose
        done, begun = 0, False
        member = Member("", 0, 0)
        while done < len(logs):
            try:
                for log, data, last in fetch_logs(store, logs[done:]):
                    member = member if begun else _member(log)  # the same one for all parts of a log
                    begun = not last
                    yield Origin(store.bucket, log.key, is_packed=False), member, data, last
                    done += last
            except ObjectGone:
                if begun:
                    raise
                yield from self._rescued(share, group, logs[done])
                done += 1

    def _rescued(self, share: Share, group: DayGroup, log: ListedObject) -> Iterator[LogPart]:
        """A log that is gone, out of the rollup that holds its bytes by now."""
        selection = Selection(names=frozenset({log.key.rpartition("/")[2]}))
        for index, loose_too in find_holders(self._stores, group, share.elsewhere, log):
            with suppress(Unlike):  # told of
                yield from self._indexed(index, selection, loose_too=loose_too)
                return
        raise DayChanged(
            f"{location(share.bucket, log.key)} is gone since it was listed, and is in no rollup of its day"
        )


def _member(log: ListedObject) -> Member:
    return Member(log.key.rpartition("/")[2], log.size, log.mtime)


def _without(parts: Iterator[LogPart], skip: frozenset[str]) -> Iterator[LogPart]:
    return (piece for piece in parts if (suffix_of(piece[1].name) or "") not in skip)


def _proven(parts: Iterator[MemberPart], members: Iterator[IndexedMember], prefix: str) -> Iterator[MemberPart]:
    """The parts of members that are as the index says; the last piece of another one does not come out."""
    current: Member | None = None
    expected: IndexedMember | None = None
    content = md5(usedforsecurity=False)
    for piece in parts:
        member, data, last = piece
        if member is not current:
            current, content = member, md5(usedforsecurity=False)
            expected = next((one for one in members if prefix + one.suffix >= member.name), None)
        if expected is None or (prefix + expected.suffix, expected.size, expected.mtime) != member:
            damaged(f"{member.name!r} is not in the index, or not like that")
        content.update(data)
        if last:
            if not content.digest().startswith(expected.digest):
                damaged(f"{member.name!r} has other content than the index says")
            current = None
        yield piece


def _merge(sources: list[Iterator[LogPart]], starts: list[str]) -> Iterator[LogPart]:
    """Streams that are in order by name, as one. A stream is begun when its first name is reached, not before."""
    heap: list[tuple[str, int, LogPart | None]] = []
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
