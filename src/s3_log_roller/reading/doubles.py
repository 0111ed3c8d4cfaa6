"""Logs of one name that come out of several files: the same content comes out once, and other content, too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Final, NamedTuple

from s3_log_roller.local_files import location
from s3_log_roller.reading.tarball import Member

MAX_HELD_BYTES: Final = 8 << 20
"""Of a log that is held until it is known to be another one than those of its name before. Larger ones all come out."""


class Origin(NamedTuple):
    """Where a log was read from."""

    bucket: str
    key: str
    """The key of the rollup, or of the log itself."""
    is_packed: bool

    def name(self, member: Member) -> str:
        """The log as users are told of it: its URI, or `rollup:member`."""
        place = location(self.bucket, self.key)
        return f"{place}:{member.name}" if self.is_packed else place


LogPart = tuple[Origin, Member, bytes, bool]
"""A piece of a log's content, and whether it is the last one. Every log has at least one."""


class Doubles:
    """Leaves out logs that came before under the same name: those of the same bytes, for an index proves nothing."""

    def __init__(self, may_repeat: Callable[[str], bool], failed: Callable[[str], None]) -> None:
        """Only logs whose base names `may_repeat` are looked at; `failed` is told where two of a name differ."""
        self._may_repeat = may_repeat
        self._failed = failed
        self._seen: dict[str, set[bytes]] = {}
        """SHA-256 of the contents that came out, by base name."""
        self._told: set[tuple[str, str, bool]] = set()

    def leave_out(self, parts: Iterator[LogPart], *, in_order: bool) -> Iterator[LogPart]:
        """The parts without doubles. Names that are `in_order` are forgotten as the next one comes."""
        held: list[LogPart] = []
        content = sha256()
        current: Member | None = None
        for part in parts:
            origin, member, data, last = part
            name = member.name.rpartition("/")[2]
            if not self._may_repeat(name):
                yield part
                continue
            if member is not current:
                yield from held  # of a log that was cut off, and told of
                held, content, current = [], sha256(), member
                if in_order and name not in self._seen:
                    self._seen.clear()
            content.update(data)
            seen = self._seen.setdefault(name, set())
            is_held = bool(seen) and member.size <= MAX_HELD_BYTES
            if is_held:
                held.append(part)
            else:
                yield part
            if not last:
                continue
            current = None
            is_double = content.digest() in seen
            if seen and (not is_double or not is_held):
                self._tell(origin, member, is_double=is_double)
            if not is_double:
                yield from held
            held = []
            seen.add(content.digest())
        yield from held

    def _tell(self, origin: Origin, member: Member, *, is_double: bool) -> None:
        """Once for each file."""
        about = origin.bucket, origin.key, is_double
        if about in self._told:
            return
        self._told.add(about)
        if is_double:
            what = f"is in another file, too, and with {member.size} bytes too large to be left out: it came twice"
        else:
            what = "does not hold the bytes of the log of that name in another file: both came; verify that day"
        self._failed(f"{origin.name(member)} {what} (perhaps others, too)")
