"""Where rollups go, and where rollups count: beside the logs, or also in another bucket."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from s3_log_roller.errors import StorageError
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.mirrored import MirroredStore, place_in, split_place
from s3_log_roller.rolling.looking import find_rollups
from s3_log_roller.rolling.producer import OpenStore
from s3_log_roller.rollup.stored import PackedFile, list_rollups
from s3_log_roller.store import ListedObject, RollupStore, Store
from s3_log_roller.uris import Role, S3Uri

Found = list[PackedFile] | StorageError


@dataclass(frozen=True, slots=True)
class Destination:
    """The place that the rollups of all buckets of a run go to, each bucket's below its name."""

    uri: S3Uri
    role: Role | None = None
    """The role to assume for it; without one it is reached with the run's own credentials."""
    owner: str = ""
    """The account that its bucket must belong to, if anybody said."""


@contextmanager
def open_destination(
    open_store: OpenStore, destination: Destination | None, bucket: str
) -> Iterator[RollupStore | None]:
    """The place where the rollups of that bucket's logs go, open for the length of the `with` block; None if there is
    no destination."""
    if destination is None:
        yield None
        return
    with open_store(destination.uri.bucket, destination.role, destination.owner) as store:
        yield MirroredStore(store, place_in(destination.uri, bucket))


class RollupPlaces:
    """Where the rollups of a bucket's logs are. They are written to one place, and those of all places count.

    A day may have rollups beside its logs from before there was a destination. Those hold what they hold.
    """

    def __init__(self, store: Store, destination: RollupStore | None) -> None:
        self.written: RollupStore = destination or store
        """The place that rollups are written to."""
        self.all: list[RollupStore] = [self.written] if destination is None else [destination, store]

    @property
    def are_elsewhere(self) -> bool:
        """Whether listing the logs doesn't show all rollups."""
        return len(self.all) > 1

    def list_rollups(self, group: DayGroup) -> list[PackedFile]:
        """The day group's rollups, place by place and in key order. Raises `StorageError`."""
        return [PackedFile(place, rollup) for place in self.all for rollup in list_rollups(place, group)]

    def find_rollups(self, groups: Iterable[DayGroup]) -> dict[DayGroup, Found]:
        """The same for many day groups, or why a day group's rollups can't be listed."""
        wanted = list(groups)
        found: dict[DayGroup, Found] = {group: [] for group in wanted}
        for place in self.all:
            for group, rollups in find_rollups(place, wanted).items():
                before = found[group]
                if isinstance(rollups, StorageError):
                    found[group] = rollups
                elif not isinstance(before, StorageError):
                    before += [PackedFile(place, rollup) for rollup in rollups]
        return found

    def name(self, rollup: ListedObject) -> str:
        """What a rollup that was written is told as: its key beside the logs, elsewhere its URI."""
        if not self.are_elsewhere:
            return rollup.key
        bucket, key = split_place(self.written.bucket, rollup.key)
        return f"s3://{bucket}/{key}"
