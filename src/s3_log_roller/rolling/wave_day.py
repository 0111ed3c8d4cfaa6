"""A small day group on its way through the steps of a wave."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO

from s3_log_roller.errors import RollerError, StorageError
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rolling.figures import Figures
from s3_log_roller.rolling.outcome import RollOutcome
from s3_log_roller.rolling.sentences import warn_of_archived
from s3_log_roller.rollup.originals import Original, Originals
from s3_log_roller.rollup.stored import PackedFile
from s3_log_roller.rollup.verify import Verified
from s3_log_roller.rollup.writer import RollupWriter


class NotForAPass(StorageError):
    """Nothing is wrong with the day group, but it must run alone."""


@dataclass(slots=True)
class Day:
    """A day group on its way through the steps."""

    originals: Originals
    rollups: list[PackedFile]
    loose: Originals
    """Originals that no rollup has."""
    unread: list[PackedFile] = field(default_factory=list)
    """The rollups that can't be read, because they are archived."""
    taken: int = 0
    """How many of the loose originals were asked for and came, or did not."""
    archived: set[str] = field(default_factory=set)
    """Suffixes of loose originals that list like others, and can't be read without a restore."""
    writer: RollupWriter | None = None
    packed: BytesIO = field(default_factory=BytesIO)
    """The rollup's bytes as far as they are written. Unlike parts to be joined, it hands them out without a copy."""
    md5s: dict[str, bytes] = field(default_factory=dict)
    """MD5s of the originals whose ETags are not MD5s, by suffix."""
    seen: Figures = field(default_factory=Figures)
    done: Figures = field(default_factory=Figures)
    proven: list[Verified] = field(default_factory=list)
    """What may be deleted."""
    written: list[str] = field(default_factory=list)
    """The rollups that were written and proven, see `RollupPlaces.name`."""
    error: RollerError | None = None

    @property
    def group(self) -> DayGroup:
        """Which day group it is."""
        return self.originals.group

    @property
    def stopped(self) -> bool:
        """Whether it is left to reconcile."""
        return self.error is not None

    def pack(self, original: Original, body: bytes, md5: bytes, level: int) -> int:
        """Add an original to the rollup; how many bytes of it came to those that were written before."""
        if self.writer is None:
            self.writer = RollupWriter(self.group, level)
        if md5 != original.md5:
            self.md5s[original.suffix] = md5
        return self.packed.write(self.writer.add(original, body, md5))

    def end_packing(self) -> int:
        """All loose originals were taken: end the rollup, if any of them could be read, and leave out the others.

        Returns how many bytes of the rollup came to those that were written before.
        """
        before = self.packed.tell()
        if self.archived:
            self.loose = self.loose.select(bytearray(one.suffix not in self.archived for one in self.loose))
            self.seen += Figures(archived=len(self.archived))
            warn_of_archived(self.group, len(self.archived), self.group.target_prefix + min(self.archived))
        if self.writer is not None:
            self.packed.writelines(self.writer.finish())
        return self.packed.tell() - before

    def stop(self, error: RollerError) -> None:
        """Leave the day group to reconcile. What is packed and not published is dropped."""
        self.error = error
        self.writer = None
        self.packed = BytesIO()

    def so_far(self) -> RollOutcome:
        """What was done, where the steps do not come to their end."""
        return RollOutcome(self.group, self.done, tuple(self.written), remaining=1)

    def outcome(self) -> RollOutcome:
        """Of a stopped day group only what was done counts: what was seen is seen again."""
        figures = self.done if self.stopped else self.done + self.seen
        return RollOutcome(self.group, figures, tuple(self.written), remaining=int(self.stopped))
