"""Delete originals: only those that a verified rollup holds, and only if S3 answers for every single one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Final

from s3_log_roller.amounts import count
from s3_log_roller.errors import DeleteRefused
from s3_log_roller.rolling.figures import Figures
from s3_log_roller.rolling.manifest import Manifest
from s3_log_roller.rollup.verify import Verified
from s3_log_roller.store import DeleteFailure, DeleteReport, Store

_NAMED_FAILURES: Final = 5

logger = logging.getLogger(__name__)

CountDeleted = Callable[[int, Figures], None]
"""Called with the number of a rollup, from 0, and what was deleted of the originals it holds."""


def delete_verified(
    store: Store, proven: Sequence[Verified], manifest: Manifest, count_deleted: CountDeleted
) -> list[DeleteRefused | None]:
    """Delete the originals that these rollups, at least one, were proven to hold, in common calls.

    Nothing is deleted before what the manifest was told of is safe there: raises `ManifestError`.

    Returns, for each, the error if any of its originals were not deleted. `count_deleted` is called for each, also
    where an exception ends it all. Where a part of the deletes only wrote markers, it is their sum that is right.
    """
    manifest.sync()
    report = DeleteReport()
    by_rollup: list[list[DeleteFailure]] = []
    try:
        store.delete(chain.from_iterable(map(_pairs, proven)), report)
    finally:
        refused = {failure.key: failure for failure in report.failures}
        by_rollup += [_take(refused, verified) if refused else [] for verified in proven]
        deleted_left, markers_left = report.deleted, report.markers
        for number, (verified, failures) in enumerate(zip(proven, by_rollup, strict=True)):
            deleted = min(deleted_left, len(verified.originals) - len(failures))
            markers = min(deleted, markers_left)
            deleted_left -= deleted
            markers_left -= markers
            count_deleted(number, Figures(deleted=deleted, delete_markers=markers))
    by_rollup[0] += refused.values()  # of keys that nobody asked to delete: whatever it means, it is not success
    return [_refusal(store.bucket, failures) if failures else None for failures in by_rollup]


def _take(refused: dict[str, DeleteFailure], verified: Verified) -> list[DeleteFailure]:
    """Take the failures that are of this rollup's originals."""
    return [refused.pop(key) for key, _ in _pairs(verified) if key in refused]


def _pairs(verified: Verified) -> Iterator[tuple[str, str]]:
    prefix = verified.originals.group.target_prefix
    return ((prefix + original.suffix, original.etag) for original in verified.originals)


def _refusal(bucket: str, failures: list[DeleteFailure]) -> DeleteRefused:
    """Every key goes to the log, the first few into the error."""
    for failure in failures:
        sentence = f"s3://{bucket}/{failure.key} was not deleted: {failure.reason}"
        extra = {"bucket": bucket, "key": failure.key, "why": failure.reason, "sentence": sentence}
        logger.error("delete_refused", extra=extra)
    named = "; ".join(f"{failure.key}: {failure.reason}" for failure in failures[:_NAMED_FAILURES])
    more = f"; and {len(failures) - _NAMED_FAILURES} more, see the log" if len(failures) > _NAMED_FAILURES else ""
    forbidden = any(failure.reason.startswith("AccessDenied") for failure in failures)
    remedy = "allow s3:DeleteObject (with an ETag it needs s3:GetObject, too), then run again"
    was = "was" if len(failures) == 1 else "were"
    return DeleteRefused(
        f"{count(len(failures), 'original')} in s3://{bucket} {was} not deleted ({named}{more}); what was packed is "
        f"safe in a verified rollup: {remedy if forbidden else 'run again'}"
    )
