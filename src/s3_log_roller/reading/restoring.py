"""Extracts originals from rollups as they were: name, bytes and, in a directory, time.

Never over something else: what is there and is the same is left alone, what is there and differs is told of. Never
outside the target: names come out of files that anybody may have made, so they are checked before anything is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from s3_log_roller.errors import DamagedRollup, reason
from s3_log_roller.local_files import LOCAL
from s3_log_roller.reading.directories import DirectoryPlace
from s3_log_roller.reading.doubles import LogPart, Origin
from s3_log_roller.reading.groups import OnFailure, Stores
from s3_log_roller.reading.logs import Reader
from s3_log_roller.reading.shares import Shares
from s3_log_roller.reading.tarball import Member
from s3_log_roller.reading.targets import BucketPlace, OpenBuckets, Outcome, Place, Target


@dataclass(slots=True)
class Restored:
    """What became of the logs of some shares."""

    logs: int = 0
    log_bytes: int = 0
    already_there: int = 0

    def add(self, other: Restored) -> None:
        """Add what became of other shares."""
        self.logs += other.logs
        self.log_bytes += other.log_bytes
        self.already_there += other.already_there


def safe_name(name: str) -> str:
    """A member's name without `./` in front. Raises `DamagedRollup` if it is none that a log can be restored as."""
    parts = name.split("/")
    while len(parts) > 1 and parts[0] == ".":
        parts.pop(0)
    if not name.isprintable() or any(part in ("", ".", "..") for part in parts):
        raise DamagedRollup(f"it has a member called {name!r}: such a name is not restored")
    return "/".join(parts)


class Restorer:
    """Restores the packed logs of shares. `restored` counts as it happens."""

    def __init__(self, stores: Stores, target: Target, open_buckets: OpenBuckets, failed: OnFailure) -> None:
        self.restored = Restored()
        self._failed = failed
        self._reader = Reader(stores, failed, packed_only=True, prove=True)
        self._place: Place = (
            DirectoryPlace(target.prefix) if target.bucket == LOCAL else BucketPlace(target, open_buckets)
        )

    def close(self) -> None:
        """Let go of connections."""
        self._place.close()

    def restore(self, shares: Shares) -> None:
        """Restore the members wanted of the shares; what cannot be done is told, the rest is done.

        Raises `TargetUnusable` where nothing more can be done.
        """
        for share in shares:
            for origin, member, content in _LogStream(self._reader.read((share,))):
                where = origin.name(member)
                try:
                    relative = _relative(origin, member, share.root)
                    outcomes = self._place.restore(where, relative, member, content)
                    self._count(outcomes)
                except DamagedRollup as error:
                    self._failed(f"{where}: {error}")
        self._count(self._place.finish())

    def _count(self, outcomes: Iterator[Outcome]) -> None:
        for where, member, outcome in outcomes:
            if isinstance(outcome, Exception):
                self._failed(f"{where}: {reason(outcome)}")
            elif outcome:
                self.restored.logs += 1
                self.restored.log_bytes += member.size
            else:
                self.restored.already_there += 1


class _LogStream:
    """Pieces of logs as logs, each with an iterator over its content, which raises if the content is cut off."""

    def __init__(self, pieces: Iterator[LogPart]) -> None:
        self._pieces = pieces
        self._next = next(pieces, None)

    def __iter__(self) -> Iterator[tuple[Origin, Member, Iterator[bytes]]]:
        while self._next is not None:
            origin, member, _, _ = self._next
            content = self._content(member)
            yield origin, member, content
            with suppress(DamagedRollup):
                for _ in content:
                    pass

    def _content(self, member: Member) -> Iterator[bytes]:
        while self._next is not None and self._next[1] is member:
            _, _, data, last = self._next
            self._next = next(self._pieces, None)
            yield data
            if last:
                return
        raise DamagedRollup("its content is cut off or wrong: not restored")


def _relative(origin: Origin, member: Member, root: str) -> str:
    """Where a log goes below the target: as its rollup lies below what the user named."""
    folder = "" if origin.bucket == LOCAL else origin.key[: origin.key.rfind("/") + 1].removeprefix(root)
    return folder + safe_name(member.name)
