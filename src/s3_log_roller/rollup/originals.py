"""The originals of one day group, as a table small enough for a million of them, and the digest over them."""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterator, Sequence
from itertools import compress
from typing import Final, NamedTuple

from s3_log_roller.errors import StorageError
from s3_log_roller.log_keys import LOG_SUFFIX, DayGroup

_MD5_ETAG: Final = re.compile(r"[0-9a-f]{32}")
_RECORD: Final = struct.Struct("<QQI16s")
"""Size and second of the day in one, unique string, mtime, MD5."""
_SECOND_BITS: Final = 17
_SECOND_MASK: Final = (1 << _SECOND_BITS) - 1
_TWO_DIGITS: Final = tuple(f"{number:02}" for number in range(60))
_NO_MD5: Final = bytes(16)
_LINES_PER_UPDATE: Final = 512

MAX_ETAG_CHARS: Final = 255


class Original(NamedTuple):
    """An access log object, as listed."""

    suffix: str
    """The key behind the target prefix, `YYYY-MM-DD-hh-mm-ss-UniqueString`."""
    size: int
    """The log's size in bytes."""
    mtime: int
    """LastModified, in whole seconds since the epoch."""
    etag: str
    md5: bytes | None
    """The ETag's 16 bytes; None if it does not look like an MD5. With SSE-KMS it looks like one, but is not."""
    second: int
    """The second of the day, from the key."""
    unique: int
    """The unique string as a number."""


def clock_prefix(day: str, second: int) -> str:
    """The suffix of a log of that day and second, up to its unique string: `YYYY-MM-DD-hh-mm-ss-`."""
    minute, second = divmod(second, 60)
    hour, minute = divmod(minute, 60)
    # Formatted by `:02` it takes four times as long, and where a day has few logs it is called for each of them.
    return f"{day}-{_TWO_DIGITS[hour]}-{_TWO_DIGITS[minute]}-{_TWO_DIGITS[second]}-"


class ContentDigest:
    """SHA-256 over the sorted members of a rollup: for each, the UTF-8 of `key NUL ETag NUL decimal size LF`.

    Where the ETag is not the MD5 of the content, `NUL MD5` stands before the LF, in 32 lower-case hexadecimal digits.
    """

    def __init__(self, target_prefix: str) -> None:
        self._target_prefix = target_prefix
        self._lines: list[str] = []
        self._sha256 = hashlib.sha256()

    def add(self, suffix: str, etag: str, size: int, md5: bytes | None = None) -> None:
        """Count in the next member in key order; with the MD5 of its content if the ETag is not that."""
        more = "" if md5 is None else f"\0{md5.hex()}"
        self._lines.append(f"{self._target_prefix}{suffix}\0{etag}\0{size}{more}\n")
        if len(self._lines) == _LINES_PER_UPDATE:
            self._flush()

    def digest(self) -> bytes:
        """The 32 bytes for what was added so far."""
        self._flush()
        return self._sha256.digest()

    def _flush(self) -> None:
        self._sha256.update("".join(self._lines).encode("utf-8", "surrogateescape"))
        self._lines.clear()


class Originals:
    """The originals of one day group in key order: 36 bytes each, and 1 more entry per ETag that is not an MD5.

    While an iteration is going on the table cannot grow (BufferError).
    """

    def __init__(self, group: DayGroup) -> None:
        self.group = group
        self.total_bytes = 0
        """Sum of the sizes."""
        self._day = str(group.day)
        self._records = bytearray()
        self._other_etags: dict[int, str] = {}
        self._last_suffix = ""

    def append(self, suffix: str, etag: str, size: int, mtime: int) -> bool:
        """Add the next original in key order. Returns False and adds nothing if it is not a log of that day.

        Raises `StorageError` when it is out of order or twice there, and for an ETag, a size or a time that no object
        has.
        """
        match = LOG_SUFFIX.fullmatch(suffix)
        if match is None or match[1] != self._day:
            return False
        if suffix <= self._last_suffix:
            raise self._odd(f"{suffix!r} comes behind {self._last_suffix!r}")
        second = int(match[2]) * 3600 + int(match[3]) * 60 + int(match[4])
        is_md5 = _MD5_ETAG.fullmatch(etag) is not None
        if not is_md5 and not (etag.isascii() and 0 < len(etag) <= MAX_ETAG_CHARS):
            raise self._odd(f"{suffix!r} has an ETag that no object has: {etag[:MAX_ETAG_CHARS]!r}")
        try:
            record = _RECORD.pack(
                size << _SECOND_BITS | second,
                int(match[5], 16),
                mtime,
                bytes.fromhex(etag) if is_md5 else _NO_MD5,
            )
        except struct.error as error:
            raise self._odd(f"{suffix!r} has an impossible size or time: {size}, {mtime}") from error
        if not is_md5:
            self._other_etags[len(self)] = etag
        self._records += record
        self._last_suffix = suffix
        self.total_bytes += size
        return True

    def _odd(self, what: str) -> StorageError:
        place = f"s3://{self.group.bucket}/{self.group.target_prefix}"
        return StorageError(f"the listing of {place} is not one that S3 gives: {what}; nothing was touched")

    def __len__(self) -> int:
        return len(self._records) // _RECORD.size

    def __iter__(self) -> Iterator[Original]:
        return self._iter_from(0)

    def rows_from(self, suffix: str) -> Iterator[tuple[int, Original]]:
        """(place in the table, original) of those whose suffix is not below that one, found by halving."""
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if next(self._iter_from(middle)).suffix < suffix:
                low = middle + 1
            else:
                high = middle
        return enumerate(self._iter_from(low), low)

    def _iter_from(self, first: int) -> Iterator[Original]:
        day = self._day
        other_etags = self._other_etags
        make = tuple.__new__  # the class's own `__new__` is a Python function, and takes half as long as the rest
        clock, last_minute = "", -1
        records = memoryview(self._records)[first * _RECORD.size :]
        for row, (size, unique, mtime, md5) in enumerate(_RECORD.iter_unpack(records), first):
            second = size & _SECOND_MASK
            size >>= _SECOND_BITS
            minute = second // 60
            if minute != last_minute:
                clock, last_minute = clock_prefix(day, minute * 60)[:-3], minute
            suffix = f"{clock}{_TWO_DIGITS[second - minute * 60]}-{unique:016X}"
            if row in other_etags:
                yield make(Original, (suffix, size, mtime, other_etags[row], None, second, unique))
            else:
                yield make(Original, (suffix, size, mtime, md5.hex(), md5, second, unique))

    def select(self, mask: Sequence[int]) -> Originals:
        """Those whose place in the mask is not zero. Raises ValueError if the mask has another length."""
        if len(mask) != len(self):
            raise ValueError(f"a mask of {len(mask)} for {len(self)} originals")
        return self._copy(compress(range(len(self)), mask))

    def ends(self) -> tuple[str, str]:
        """The suffixes of the first and of the last original; there is at least one."""
        return next(self._iter_from(0)).suffix, next(self._iter_from(len(self) - 1)).suffix

    def head(self, count: int) -> Originals:
        """The first `count` originals, or all if there are fewer."""
        return self._copy(iter(range(min(count, len(self)))))

    def content_digest(self) -> bytes:
        """The content digest of a rollup of these originals, but for MD5s that the listing does not tell."""
        content = ContentDigest(self.group.target_prefix)
        for original in self:
            content.add(original.suffix, original.etag, original.size)
        return content.digest()

    def _copy(self, rows: Iterator[int]) -> Originals:
        chosen = Originals(self.group)
        chosen._last_suffix = self._last_suffix
        for row in rows:
            start = row * _RECORD.size
            if row in self._other_etags:
                chosen._other_etags[len(chosen)] = self._other_etags[row]
            chosen._records += self._records[start : start + _RECORD.size]
        chosen.total_bytes = sum(size >> _SECOND_BITS for size, _, _, _ in _RECORD.iter_unpack(chosen._records))
        return chosen
