"""Delete originals: only those that a verified rollup holds, and only if S3 answers for every single one."""

from __future__ import annotations

import logging
from typing import Final

from s3_log_roller.errors import DeleteRefused
from s3_log_roller.rolling.figures import Figures
from s3_log_roller.rollup.verify import Verified
from s3_log_roller.store import DeleteFailure, Store

_NAMED_FAILURES: Final = 5

logger = logging.getLogger(__name__)


def delete_verified(store: Store, verified: Verified) -> tuple[Figures, DeleteRefused | None]:
    """Delete the originals that the rollup was proven to hold; what was deleted, and the error if any were not."""
    prefix = verified.originals.group.target_prefix
    report = store.delete((prefix + original.suffix, original.etag) for original in verified.originals)
    figures = Figures(deleted=report.deleted, delete_markers=report.markers)
    return figures, _refusal(store.bucket, report.failures) if report.failures else None


def _refusal(bucket: str, failures: list[DeleteFailure]) -> DeleteRefused:
    """Every key goes to the log, the first few into the error."""
    for failure in failures:
        sentence = f"s3://{bucket}/{failure.key} was not deleted: {failure.reason}"
        logger.error(
            "delete_refused",
            extra={"bucket": bucket, "key": failure.key, "why": failure.reason, "sentence": sentence},
        )
    named = "; ".join(f"{failure.key}: {failure.reason}" for failure in failures[:_NAMED_FAILURES])
    more = f"; and {len(failures) - _NAMED_FAILURES} more, see the log" if len(failures) > _NAMED_FAILURES else ""
    return DeleteRefused(
        f"{len(failures)} originals in s3://{bucket} were not deleted ({named}{more}); they are safe in a verified "
        "rollup: allow s3:DeleteObject (with an ETag it needs s3:GetObject, too), then run again"
    )
