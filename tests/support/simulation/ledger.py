"""Keeps the books of a schedule: what was delivered, what is held by which rollup, and which promise was broken."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections import defaultdict
from dataclasses import dataclass, field
from functools import lru_cache


@lru_cache(10_000)
def _read_tarball(content: bytes) -> dict[str, bytes]:
    """The files in it by name. Many schedules make the same small tarballs."""
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(content)), mode="r:") as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


class Broken(AssertionError):
    """A promise was broken: a log is lost, or was deleted unproven."""


@dataclass
class Ledger:
    """Of one bucket. Log keys are never used twice."""

    delivered: dict[str, bytes] = field(default_factory=dict)
    late: set[str] = field(default_factory=set)
    """Delivered while workers ran."""
    expired: set[str] = field(default_factory=set)
    """Deleted by a lifecycle rule, rolled up or not."""
    deletes: int = 0
    """Originals that workers deleted."""
    stale_listings: int = 0
    broken: list[str] = field(default_factory=list)
    _held: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)

    def members(self, key: str, etag: str, content: bytes) -> dict[str, bytes]:
        """The members of a rollup by log key, read by an ordinary tool."""
        if (key, etag) not in self._held:
            folder = key[: key.rfind("/") + 1]
            self._held[key, etag] = {folder + name: body for name, body in _read_tarball(content).items()}
        return self._held[key, etag]

    def check_delete(self, key: str, holders: list[tuple[str, str, bytes]], proven: set[tuple[str, str]]) -> None:
        """An original is deleted: a rollup holds its very bytes, and whoever deletes it has read that rollup back."""
        body = self.delivered[key]
        holding = {
            (name, etag) for name, etag, content in holders if self.members(name, etag, content).get(key) == body
        }
        if not holding:
            self.broken.append(f"{key} was deleted and no rollup holds it")
        elif not holding & proven:
            self.broken.append(f"{key} was deleted by somebody who has not read {sorted(holding)} back")

    def check_end(self, logs: dict[str, bytes], rollups: list[tuple[str, str, bytes]]) -> None:
        """Nothing is lost: every log that did not expire is there, or in a rollup, byte for byte.

        Raises `Broken`, also for what was noted before: the program would take an error at a delete for its own.
        """
        if self.broken:
            raise Broken("; ".join(self.broken))
        held: dict[str, bytes] = {}
        for name, etag, content in rollups:
            for key, body in self.members(name, etag, content).items():
                if self.delivered.get(key) != body:
                    raise Broken(f"{name} holds other bytes of {key}")
                held[key] = body
        missing = set(self.delivered) - set(held) - set(logs) - self.expired
        if missing:
            raise Broken(f"lost: {sorted(missing)}")

    def doubled(self, rollups: list[tuple[str, str, bytes]]) -> dict[str, list[str]]:
        """The logs that are in several rollups, and the first member of each of those."""
        firsts = defaultdict(list)
        for name, etag, content in rollups:
            members = self.members(name, etag, content)
            for key in members:
                firsts[key].append(min(members))
        return {key: sorted(found) for key, found in firsts.items() if len(found) > 1}

    def cause(self, firsts: list[str], doubled: dict[str, list[str]]) -> str:
        """Why two workers gave the same log to rollups that begin with those logs."""
        cause = self._own_cause(firsts)
        if cause != "something else":
            return cause
        # A worker that finds its first log in a rollup that is a double begins with the next one: for the same cause.
        others = [self._own_cause(doubled[first]) for first in firsts if first in doubled]
        return next((other for other in others if other != cause), cause)

    def _own_cause(self, firsts: list[str]) -> str:
        if self.stale_listings:
            return "a listing that was out of date"
        if len(set(firsts)) < len(firsts):
            return "two rollups with the same first log"
        if any(first in self.late for first in firsts[:-1]):
            return "a late log that sorts first"
        if any(first in self.expired for first in firsts[:-1]):
            return "a first log that expired"
        return "something else"
