"""What exported files are called, and which of them a target has already.

`bucket=<source bucket>/day=<day>/<content digest>-<columns>[-<left out>][-<n>of<m>].parquet`

The content digest is that of the rollup, as its index has it. `columns` stands for the layout of the table and the
columns that were dropped, `left out` for the members that an earlier rollup of the day has. So a name says what is in
the file. A rollup with records of several source buckets becomes a file for each, numbered `1of3`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from typing import Final, Literal
from urllib.parse import quote

from s3_log_roller.errors import UsageError
from s3_log_roller.reading.formats import COLUMNS
from s3_log_roller.reading.records import EXTRA
from s3_log_roller.store import ReadStore, list_objects

LAYOUT: Final = 1
"""Of the table. Another number is for files that do not fit beside those that are there."""
NO_BUCKET: Final = "__HIVE_DEFAULT_PARTITION__"
"""How Hive, Spark, Trino and DuckDB write NULL: of lines that are not records nobody knows the bucket."""
MAX_BUCKET_CHARS: Final = 200
"""Of a folder's name; file systems allow 255 bytes."""
_DROPPABLE: Final = frozenset({*COLUMNS, EXTRA} - {"bucket"})
_TAG_DIGITS: Final = 8
_TAG: Final = rf"[0-9a-f]{{{_TAG_DIGITS}}}"
_FILE: Final = re.compile(
    r"bucket=[^/]+/day=[0-9]{4}-[0-9]{2}-[0-9]{2}/"
    rf"([0-9a-f]{{64}})-({_TAG})(?:-({_TAG}))?(?:-([0-9]+)of([0-9]+))?\.parquet"
)


def check_dropped(columns: Iterable[str]) -> tuple[str, ...]:
    """Columns that a user wants to do without, each once. Raises `UsageError` for those that must stay."""
    wanted = tuple(sorted(set(columns)))
    for column in wanted:
        if column not in _DROPPABLE:
            raise UsageError(
                f"--drop {column!r} is not possible: any field of log records but bucket can be dropped, "
                "and key_decoded and extra"
            )
    return wanted


@dataclass(frozen=True, slots=True)
class FileName:
    """Names the files that a rollup becomes."""

    content_digest: str
    """64 hexadecimal digits."""
    day: date
    dropped: tuple[str, ...] = ()
    left_out: frozenset[str] = frozenset()
    """The suffixes of the members that an earlier rollup of the day has."""

    @property
    def left_out_tag(self) -> str:
        """Stands for them; empty if there are none."""
        return _tag(sorted(self.left_out)) if self.left_out else ""

    def path(self, bucket: str | None, number: int, of: int) -> str:
        """Where the file with the records of that source bucket lies below the target."""
        folder = NO_BUCKET if bucket is None else quote(bucket, safe="")
        parts = [self.content_digest, columns_tag(self.dropped), self.left_out_tag, f"{number}of{of}" if of > 1 else ""]
        return f"bucket={folder}/day={self.day}/{'-'.join(filter(None, parts))}.parquet"


def columns_tag(dropped: tuple[str, ...]) -> str:
    """Stands for the columns of a file."""
    return _tag([str(LAYOUT), *dropped])


def _tag(texts: Iterable[str]) -> str:
    return sha256("\n".join(texts).encode()).hexdigest()[:_TAG_DIGITS]


State = Literal["missing", "there", "differs"]


class Exported:
    """The rollups that a target has, by the names of its files."""

    def __init__(self, paths: Iterable[str], dropped: tuple[str, ...]) -> None:
        """Raises `UsageError` if files there have other columns: they would not make one table."""
        columns = columns_tag(dropped)
        parts: dict[tuple[str, str], set[tuple[int, int]]] = {}
        for path in paths:
            match = _FILE.fullmatch(path)
            if match is None:
                continue
            if match[2] != columns:
                raise UsageError(
                    f"the target has files with other columns ({path}): use the same --drop as then, or another target"
                )
            parts.setdefault((match[1], match[3] or ""), set()).add((int(match[4] or 1), int(match[5] or 1)))
        self._left_out_tags = _complete(parts)

    def state(self, name: FileName) -> State:
        """Whether the rollup is there as the name says, or without other members than that."""
        tags = self._left_out_tags.get(name.content_digest, ())
        return "there" if name.left_out_tag in tags else "differs" if tags else "missing"

    def expect(self, name: FileName) -> None:
        """The rollup will be there as the name says: a copy of it elsewhere is not wanted any more."""
        self._left_out_tags.setdefault(name.content_digest, set()).add(name.left_out_tag)


def _complete(parts: Mapping[tuple[str, str], set[tuple[int, int]]]) -> dict[str, set[str]]:
    """Of each content digest, the left-out tags under which all files are there."""
    tags: dict[str, set[str]] = {}
    for (digest, tag), numbers in parts.items():
        if any({(number, of) for number in range(1, of + 1)} <= numbers for of in {of for _, of in numbers}):
            tags.setdefault(digest, set()).add(tag)
    return tags


def list_bucket(store: ReadStore, prefix: str) -> Iterator[str]:
    """The paths below a prefix of what may be exported files."""
    for entry in list_objects(store, f"{prefix}bucket="):
        yield entry.key[len(prefix) :]


def list_directory(directory: str) -> Iterator[str]:
    """The paths below a directory of what may be exported files; nothing if it does not exist."""
    for folder, _, names in os.walk(directory):
        inner = os.path.relpath(folder, directory)
        for name in names:
            if name.endswith(".parquet"):
                yield f"{inner}/{name}"
