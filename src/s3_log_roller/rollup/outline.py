"""What the metadata of a stored rollup tells of its members.

Objects in archive tiers keep their metadata, and a HEAD reads it, when their content cannot be read. It is sent before
the rollup is whole, so it names what was taken on: nothing else is in the rollup. It never proves that a log is in it.
(docs/decisions/0012-archived-rollups.md)
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from s3_log_roller.log_keys import LOG_SUFFIX, DayGroup
from s3_log_roller.rollup.originals import Original, Originals

FIRST_MEMBER: Final = "rollup-first-member"
LAST_MEMBER: Final = "rollup-last-member"
MEMBERS: Final = "rollup-members"
NAMES: Final = "rollup-names"
CONTENT_SHA256: Final = "rollup-content-sha256"
"""The names of the metadata, behind `x-amz-meta-`."""

MAX_NAMES_BYTES: Final = 1024
"""S3 allows 2 KB of metadata in all, and this is written in Base64."""
MAX_NAMED: Final = 8192
"""With more members the filter would have less than a bit for each, and would tell hardly anything."""
_BYTES_PER_NAME: Final = 2
_MIXER: Final = 0x9E3779B97F4A7C15
"""Odd, and as good as random bits: unique strings need not be random on every server."""

_COUNT: Final = re.compile(r"[1-9][0-9]{0,11}")


@dataclass(frozen=True, slots=True)
class Outline:
    """The members of a rollup, as far as a few lines of text can tell."""

    first: str
    """The suffix of the first member, in key order."""
    last: str
    members: int
    names: bytes
    """A Bloom filter over the members' unique strings; empty where there are more than `MAX_NAMED`."""
    content_digest: bytes = b""
    """SHA-256, see `ContentDigest`; empty where it was not known yet."""

    @classmethod
    def of(cls, originals: Originals, content_digest: bytes = b"") -> Outline:
        """The outline of a rollup of these originals, at least one."""
        names = bytearray(_filter_bytes(len(originals)))
        for original in originals if names else ():
            for place in _places(original.unique, names):
                names[place >> 3] |= 1 << (place & 7)
        return cls(*originals.ends(), len(originals), bytes(names), content_digest)

    def may_hold(self, original: Original) -> bool:
        """False if the original is certainly not a member. True says nothing."""
        if not self.first <= original.suffix <= self.last:
            return False
        return all(self.names[place >> 3] >> (place & 7) & 1 for place in _places(original.unique, self.names))

    def encode(self) -> dict[str, str]:
        """The metadata of the rollup's object."""
        metadata = {FIRST_MEMBER: self.first, LAST_MEMBER: self.last, MEMBERS: str(self.members)}
        if self.names:
            metadata[NAMES] = b64encode(self.names).decode()
        if self.content_digest:
            metadata[CONTENT_SHA256] = self.content_digest.hex()
        return metadata


def decode_outline(metadata: Mapping[str, str], group: DayGroup) -> Outline | None:
    """The outline in the metadata of a rollup of that day group; None if it is not there in full, or not possible."""
    first, last = metadata.get(FIRST_MEMBER, ""), metadata.get(LAST_MEMBER, "")
    members = metadata.get(MEMBERS, "")
    try:
        names = b64decode(metadata.get(NAMES, ""), validate=True)
        content_digest = bytes.fromhex(metadata.get(CONTENT_SHA256, ""))
    except ValueError:
        return None
    possible = (
        all(LOG_SUFFIX.fullmatch(suffix) and suffix.startswith(f"{group.day}-") for suffix in (first, last))
        and first <= last
        and _COUNT.fullmatch(members)
        and len(names) == _filter_bytes(int(members))
    )
    return Outline(first, last, int(members), names, content_digest) if possible else None


def _filter_bytes(members: int) -> int:
    return min(_BYTES_PER_NAME * members, MAX_NAMES_BYTES) if members <= MAX_NAMED else 0


def _places(unique: int, names: bytes | bytearray) -> tuple[int, ...]:
    """The bits of the filter that stand for a unique string."""
    bits = 8 * len(names)
    if not bits:
        return ()
    mixed = unique * _MIXER & 0xFFFFFFFFFFFFFFFF
    start, step = mixed >> 32, mixed & 0xFFFFFFFF | 1
    return start % bits, (start + step) % bits, (start + 2 * step) % bits
