"""What a listing shows of a day group: its originals, and what lies between."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from s3_log_roller.log_keys import DayGroup, parse_log_key
from s3_log_roller.rolling.sentences import warn_of_archived
from s3_log_roller.rollup.originals import Originals
from s3_log_roller.store import ReadStore, list_objects


@dataclass(frozen=True, slots=True)
class DayListing:
    """The originals of a day group, or as many of them as were asked for."""

    originals: Originals
    """In key order, without the archived ones."""
    archived: int
    """Originals in archive tiers."""
    nested: frozenset[DayGroup]
    """Day groups of other target prefixes whose keys lie among these."""
    go_on_after: str | None
    """The last key listed, if there may be more behind it."""

    @property
    def is_empty(self) -> bool:
        """Whether there is no log at all, archived ones included."""
        return not (len(self.originals) or self.archived or self.nested or self.go_on_after)


def list_originals(
    store: ReadStore, group: DayGroup, *, start_after: str, max_keys: int, unreadable: Collection[str]
) -> DayListing:
    """List a day group's originals behind `start_after`, of at most `max_keys` keys.

    Originals in archive tiers, and the `unreadable` ones, are counted and left out. Raises `StorageError` for a
    listing that no S3 gives.
    """
    originals = Originals(group)
    prefix_chars = len(group.target_prefix)
    archived, first_archived = 0, ""
    nested = set()
    last_key, go_on_after = start_after, None
    for number, entry in enumerate(list_objects(store, group.logs_prefix, start_after)):
        if number == max_keys:
            go_on_after = last_key
            break
        last_key = entry.key
        readable = not entry.archived and entry.key not in unreadable
        if readable and originals.append(entry.key[prefix_chars:], entry.etag, entry.size, entry.mtime):
            continue
        key = parse_log_key(entry.key)
        if key is None:
            continue
        if key.target_prefix == group.target_prefix:
            archived += 1
            first_archived = first_archived or entry.key
        else:
            nested.add(DayGroup(group.bucket, key.target_prefix, key.day))
    if archived:
        warn_of_archived(group, archived, first_archived)
    return DayListing(originals, archived, frozenset(nested), go_on_after)
