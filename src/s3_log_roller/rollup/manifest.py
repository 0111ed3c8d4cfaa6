"""The lines of a manifest: one JSON object for each rollup that was read back and proven.

A manifest is a file that its owner keeps elsewhere. Whoever has it can say later which rollups are gone, and which no
longer have the bytes that were proven.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from s3_log_roller.errors import UsageError
from s3_log_roller.mirrored import split_place
from s3_log_roller.rollup.verify import Verified
from s3_log_roller.store import ListedObject

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_START: Final = b'{"bucket": "'
"""What every line begins with that this program writes."""


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """What a line says of where a rollup is and of its bytes. Its other fields are for people."""

    bucket: str
    key: str
    day: date
    sha256: str
    """The SHA-256 of the object's bytes, hexadecimal."""


def where(place: str, rollup: ListedObject) -> tuple[str, str]:
    """The bucket and the key of a rollup, which may lie in a place inside of a bucket (`mirrored`)."""
    return split_place(place, rollup.key)


def fields_of(verified: Verified) -> dict[str, str | int]:
    """The fields of a proven rollup's line, but for `time`. It must have been verified with its SHA-256."""
    rollup = verified.rollup
    bucket, key = where(verified.bucket, rollup)
    return {
        "bucket": bucket,
        "key": key,
        "day": verified.originals.group.day.isoformat(),
        "members": verified.members,
        "bytes": rollup.size,
        "content_digest": verified.content_digest.hex(),
        "sha256": verified.sha256.hex(),
        "etag": rollup.etag,
    }


def encode_line(verified: Verified, now: datetime) -> bytes:
    """The line of a rollup that was proven at that time."""
    time = now.astimezone(UTC).isoformat(timespec="seconds")
    return json.dumps(fields_of(verified) | {"time": time}).encode() + b"\n"


def parse_line(text: str | bytes) -> ManifestEntry | None:
    """What a line says, None for a blank one. Raises `UsageError`, which says what is wrong."""
    if not text.strip():
        return None
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise UsageError(f"it is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise UsageError("it is not a JSON object")
    bucket, key, sha256, day = (_text(fields, name) for name in ("bucket", "key", "sha256", "day"))
    sha256 = sha256.lower()
    if not _SHA256.fullmatch(sha256):
        raise UsageError(f"its sha256 is not 64 hexadecimal digits but {sha256!r}")
    try:
        return ManifestEntry(bucket, key, date.fromisoformat(day), sha256)
    except ValueError as error:
        raise UsageError(f"its day is not YYYY-MM-DD but {day!r}") from error


def is_cut_short(line: bytes) -> bool:
    """Whether a line that cannot be parsed is the first part of one that this program was writing when it ended."""
    start = line[: len(_START)]
    return not line.endswith(b"\n") and start == _START[: len(start)]


def _text(fields: dict[str, object], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise UsageError(f"it has no text called {name!r}")
    return value
