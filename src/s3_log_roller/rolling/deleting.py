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

FEW: Final = 3
"""If fewer day groups than this fail in the same way, each is named."""
_NAMED_FAILURES: Final = 5
_NEARLY_ALL: Final = 0.9
"""Where S3 refuses to delete this share of the originals, all with one code, it is not about single ones."""

logger = logging.getLogger(__name__)

CountDeleted = Callable[[int, Figures], None]
"""Called with the number of a rollup, from 0, and what was deleted of the originals it holds."""


def delete_verified(
    store: Store,
    proven: Sequence[Verified],
    manifest: Manifest,
    count_deleted: CountDeleted,
    *,
    versions: bool = False,
) -> list[DeleteRefused | None]:
    """Delete the originals that these rollups, at least one, were proven to hold, in common calls.

    Nothing is deleted before what the manifest was told of is safe there: raises `ManifestError`.
    Raises `DeleteRefused` where S3 refuses to delete nearly all originals of at least `FEW` day groups for one reason,
    or stops deleting: then it would be the same for every other day group.

    Returns, for each, the error if any of its originals were not deleted. `count_deleted` is called for each, also
    where an exception ends it all. Where a part of the deletes only wrote markers, it is their sum that is right.
    With `versions` the proven versions go for good where the bucket is versioned. One that is refused is told of and
    counted, and is no error of its rollup: the original is hidden already, so trying again finds nothing.
    """
    manifest.sync()
    report = DeleteReport()
    by_rollup: list[list[DeleteFailure]] = []
    try:
        store.delete(chain.from_iterable(map(_pairs, proven)), report, versions=versions)
    finally:
        refused = {failure.key: failure for failure in report.failures}
        by_rollup += [_take(refused, verified) if refused else [] for verified in proven]
        refused_versions = {failure.key: failure for failure in report.version_failures}
        deleted_left, markers_left, versions_left = report.deleted, report.markers, report.versions
        for number, (verified, failures) in enumerate(zip(proven, by_rollup, strict=True)):
            deleted = min(deleted_left, len(verified.originals) - len(failures))
            markers = min(deleted, markers_left)
            gone = min(deleted - markers, versions_left)
            deleted_left -= deleted
            markers_left -= markers
            versions_left -= gone
            figures = Figures(deleted=deleted, delete_markers=markers, versions_deleted=gone)
            if kept := _take(refused_versions, verified) if refused_versions else []:
                _tell("version_not_deleted", "got a delete marker, but its version stays", store.bucket, kept)
                figures += Figures(versions_kept=len(kept))
            count_deleted(number, figures if number else figures + Figures(other_versions=report.other_versions))
    by_rollup[0] += refused.values()  # of keys that nobody asked to delete: whatever it means, it is not success
    if (error := _common_refusal(store.bucket, proven, by_rollup, gave_up=report.gave_up)) is not None:
        raise error
    return [_refusal(store.bucket, failures) if failures else None for failures in by_rollup]


def _take(refused: dict[str, DeleteFailure], verified: Verified) -> list[DeleteFailure]:
    """Take the failures that are of this rollup's originals."""
    return [refused.pop(key) for key, _ in _pairs(verified) if key in refused]


def _pairs(verified: Verified) -> Iterator[tuple[str, str]]:
    prefix = verified.originals.group.target_prefix
    return ((prefix + original.suffix, original.etag) for original in verified.originals)


def _refusal(bucket: str, failures: list[DeleteFailure]) -> DeleteRefused:
    named = _tell("delete_refused", "was not deleted", bucket, failures)
    was = "was" if len(failures) == 1 else "were"
    return DeleteRefused(
        f"{count(len(failures), 'original')} in s3://{bucket} {was} not deleted ({named}); what was packed is "
        f"safe in a verified rollup: {_remedy(failures)}"
    )


def _common_refusal(
    bucket: str, proven: Sequence[Verified], by_rollup: list[list[DeleteFailure]], *, gave_up: bool
) -> DeleteRefused | None:
    """The error that stands for all of them. A line of the log for each key would say the same thousands of times."""
    failures = list(chain.from_iterable(by_rollup))
    groups = {one.originals.group for one, refused in zip(proven, by_rollup, strict=True) if refused}
    nearly_all = len(failures) >= _NEARLY_ALL * sum(len(one.originals) for one in proven)
    for_one_reason = gave_up or (nearly_all and len(set(map(_code, failures))) == 1)
    if len(groups) < FEW or not for_one_reason:
        return None
    logger.debug("deletes_refused", extra={"bucket": bucket, "keys": [failure.key for failure in failures]})
    return DeleteRefused(
        f"S3 refuses to delete in s3://{bucket}: {count(len(failures), 'original')} of {len(groups):,} day groups were "
        f"not deleted (the first is {failures[0].key}: {failures[0].reason}); what was packed is safe in verified "
        f"rollups: {_remedy(failures)}"
    )


def _code(failure: DeleteFailure) -> str:
    return failure.reason.partition(":")[0]


def _remedy(failures: list[DeleteFailure]) -> str:
    if "AccessDenied" in map(_code, failures):
        return "allow s3:DeleteObject (with an ETag it needs s3:GetObject, too), then run again"
    return "run again"


def _tell(event: str, what: str, bucket: str, failures: list[DeleteFailure]) -> str:
    """Every key goes to the log, the first few into the error."""
    for failure in failures:
        sentence = f"s3://{bucket}/{failure.key} {what}: {failure.reason}"
        extra = {"bucket": bucket, "key": failure.key, "why": failure.reason, "sentence": sentence}
        logger.error(event, extra=extra)
    named = "; ".join(f"{failure.key}: {failure.reason}" for failure in failures[:_NAMED_FAILURES])
    return named + (f"; and {len(failures) - _NAMED_FAILURES} more, see the log" if failures[_NAMED_FAILURES:] else "")
