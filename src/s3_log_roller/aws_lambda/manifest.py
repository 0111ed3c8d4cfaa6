"""The manifest of the function: an event in its log for every rollup that it proved."""

from __future__ import annotations

import logging

from s3_log_roller.rollup.manifest import fields_of
from s3_log_roller.rollup.verify import Verified
from s3_log_roller.store import ListedObject

EVENT = "rollup_proven"

logger = logging.getLogger(__name__)


class LoggedManifest:
    """See `rolling.manifest.Manifest`. With a log level above INFO nobody gets the events, and nothing is hashed."""

    @property
    def wants_sha256(self) -> bool:
        """See `Manifest`."""
        return logger.isEnabledFor(logging.INFO)

    def lacks(self, bucket: str, rollup: ListedObject) -> bool:
        """See `Manifest.lacks`: earlier events are not known."""
        return False

    def add(self, verified: Verified) -> None:
        """See `Manifest.add`."""
        logger.info(EVENT, extra=fields_of(verified))

    def confirm(self, verified: Verified) -> None:
        """See `Manifest.confirm`. What proves a rollup again writes its event again."""
        self.add(verified)

    def sync(self) -> None:
        """See `Manifest.sync`: Lambda takes in each line as it is written."""
