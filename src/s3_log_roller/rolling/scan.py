"""Find the day groups under a prefix without listing every object.

Log keys sort by target prefix, then by date. Where a page of the listing ends among the logs of a day, the rest of that
day is skipped, so the requests grow with the day groups, not with the objects, and are never more than those of a
full listing. Rollups are not skipped: a thousand of them cost one request (docs/decisions/0004-scan.md).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Generator, Mapping
from typing import NamedTuple

from s3_log_roller.log_keys import DayGroup, LogKey, after_day, looks_like_log, parse_log_key
from s3_log_roller.rolling.outcome import ScanOutcome
from s3_log_roller.rolling.tasks import ScanTask
from s3_log_roller.store import Pager, ReadStore, list_pages
from s3_log_roller.uris import S3Uri, describe_empty

logger = logging.getLogger(__name__)


def no_deadline() -> float:
    """The time left if there is no deadline."""
    return math.inf


class Sighting(NamedTuple):
    """A day group, as a scan comes to it."""

    group: DayGroup
    key: str
    """The day group's first key."""
    behind: str
    """A key that sorts behind everything of the day groups before and before everything of this one."""
    logs: int
    """Logs of the window that the scan has seen before, of all day groups."""
    keys: int
    """Keys of any kind that it has seen before."""
    nested: bool
    """Whether a day group before it may go on behind it."""
    in_order: bool
    """Whether all keys so far came in key order."""


def scan(
    store: ReadStore, task: ScanTask, *, time_left_s: Callable[[], float] = no_deadline, reserve_s: float = 0.0
) -> Generator[Sighting, None, ScanOutcome]:
    """Yield every day group of the task's window under its prefix, in key order.

    Returns where to go on if less than `reserve_s` seconds were left after a page.
    """
    uri = S3Uri(store.bucket, task.prefix)
    pager = Pager(store.bucket, task.prefix, task.start_after)
    last_key = task.start_after
    requests = found = logs = all_logs = keys = alike = 0
    first_alike = ""
    in_order = True
    warned = False
    open_groups: list[DayGroup] = []
    excluded: dict[str, set[LogKey]] = {}
    for page in list_pages(store, pager):
        requests += 1
        for entry in page.objects:
            key = entry.key
            in_order = in_order and key.encode() > last_key.encode()
            before, last_key = last_key, key
            keys += 1
            log = parse_log_key(key)
            if log is None:
                if looks_like_log(key):
                    alike += 1
                    first_alike = first_alike or key
                continue
            all_logs += 1
            if not task.window.has_day(log.day):
                continue
            if (exclusion := task.window.exclusion_of(log)) is not None:
                excluded.setdefault(exclusion, set()).add(log)
                continue
            logs += 1
            # Keys of other target prefixes may lie among those of a day (`a/2022-07-01-0/…`), hence the stack.
            while open_groups and not key.startswith(open_groups[-1].logs_prefix):
                open_groups.pop()
            if any(group.target_prefix == log.target_prefix for group in open_groups):
                continue
            group = DayGroup(store.bucket, log.target_prefix, log.day)
            behind = after_day(before)
            # Late by preference: what is yet to come behind the day groups before, rollups most of all, is theirs.
            behind = max(behind if behind < key else before, group.logs_prefix)
            yield Sighting(group, key, behind, logs - 1, keys - 1, nested=bool(open_groups), in_order=in_order)
            open_groups.append(group)
            found += 1
        if not in_order and not warned:
            # SeaweedFS lists `a/x` before `a-x`. Within a folder, all that skipping needs, its order is S3's.
            sentence = f"the server does not list {uri} in the order of keys; no log is missed"
            logger.warning(
                "listing_not_in_key_order",
                extra={"bucket": store.bucket, "prefix": task.prefix, "sentence": sentence},
            )
            warned = True
        pager.skip_to(after_day(last_key))
        last_key = pager.start_after
        # Behind an empty page no key says where to go on: then the time has to do.
        if not pager.ended and not pager.continuation_token and time_left_s() < reserve_s:
            return ScanOutcome(found, requests, pager.start_after, _counts(excluded))
    if alike > all_logs:
        _tell_alike(uri, alike, first_alike)
    if not last_key:
        logger.warning("nothing_under_prefix", extra={"prefix": str(uri), "sentence": describe_empty(uri)})
    return ScanOutcome(found, requests, excluded=_counts(excluded))


def _tell_alike(uri: S3Uri, keys: int, first: str) -> None:
    counted = "1 key looks like an access log and was" if keys == 1 else f"{keys:,} keys look like access logs and were"
    sentence = (
        f"under {uri} {counted} left alone (the first is {first}): the names of S3's logs end with a date and time "
        "that exist and 16 upper-case hexadecimal digits, so these logs are not S3's, or were renamed"
    )
    logger.warning("keys_like_logs", extra={"prefix": str(uri), "keys": keys, "first": first, "sentence": sentence})


def _counts(excluded: Mapping[str, set[LogKey]]) -> dict[str, int]:
    return {prefix: len(groups) for prefix, groups in excluded.items()}
