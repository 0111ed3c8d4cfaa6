"""The port to a manifest, where a run lists every rollup that it has proven before it deletes on its account."""

from __future__ import annotations

from typing import Final, Protocol

from s3_log_roller.rollup.verify import Verified
from s3_log_roller.store import ListedObject


class Manifest(Protocol):
    """Takes in proven rollups. Methods raise `ManifestError` if it cannot be written."""

    @property
    def wants_sha256(self) -> bool:
        """Whether rollups must be verified with their SHA-256."""

    def lacks(self, bucket: str, rollup: ListedObject) -> bool:
        """Whether it is known to have no line for a rollup, so that the rollup should be proven even if it is old."""

    def add(self, verified: Verified) -> None:
        """List a rollup that this run wrote."""

    def confirm(self, verified: Verified) -> None:
        """List a rollup that was there already and that this run proved, unless it is listed.

        Raises `DamagedRollup` if it is listed with other bytes.
        """

    def sync(self) -> None:
        """Return when every line is where a crash cannot take it away; what could not be written is tried again."""


class _NoManifest:
    """See `Manifest`."""

    wants_sha256 = False

    def lacks(self, bucket: str, rollup: ListedObject) -> bool:
        return False

    def add(self, verified: Verified) -> None:
        """Nobody wants to know."""

    def confirm(self, verified: Verified) -> None:
        """Nobody wants to know."""

    def sync(self) -> None:
        """There is nothing to keep."""


NO_MANIFEST: Final[Manifest] = _NoManifest()
"""For runs that keep none."""
