"""Pack originals into a rollup and publish it: fetch, write and upload at once, in bounded memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from hashlib import md5
from itertools import tee
from typing import Final

from s3_log_roller.errors import RollerError, StorageError
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rolling.fetching import PIECE_BYTES, fetch_originals
from s3_log_roller.rollup.footer import BLOCK_BYTES
from s3_log_roller.rollup.originals import Original, Originals
from s3_log_roller.rollup.outline import Outline
from s3_log_roller.rollup.stored import PackedFile
from s3_log_roller.rollup.writer import RollupWriter
from s3_log_roller.store import ListedObject, Metadata, RollupStore, Store, Upload

_TICK_LOGS: Final = 100
_TICK_BYTES: Final = 16 << 20

logger = logging.getLogger(__name__)

Tick = Callable[[int, int], None]
"""Called with how many logs and bytes were packed since the last call; what it raises ends the packing."""


class Ticks:
    """Counts logs as they are packed, and calls a tick for many at a time."""

    def __init__(self, tick: Tick) -> None:
        self._tick = tick
        self._logs = self._bytes = 0

    def count(self, n_bytes: int) -> None:
        """Another log of so many bytes was packed."""
        self._logs += 1
        self._bytes += n_bytes
        if self._logs == _TICK_LOGS or self._bytes >= _TICK_BYTES:
            self.flush()

    def flush(self) -> None:
        """Tell what was counted since the last call."""
        logs, n_bytes = self._logs, self._bytes
        self._logs = self._bytes = 0
        self._tick(logs, n_bytes)


@dataclass(frozen=True, slots=True)
class Packed:
    """A rollup that was published, and nobody has read back yet."""

    rollup: ListedObject
    originals: Originals
    md5s: dict[str, bytes]
    """MD5s of the originals whose ETags are not MD5s, by suffix, taken while they were downloaded."""


def pack(
    store: Store,
    originals: Originals,
    destination: RollupStore,
    *,
    others: list[PackedFile],
    level: int,
    last_look: Callable[[], object],
    tick: Tick,
) -> Packed:
    """Upload one rollup of the originals to the destination, under the name that its first member gives it.

    `others` have their names.

    `last_look` is called when all that takes time is done, right before every attempt to publish. Whatever is raised,
    nothing half is visible and the upload is dropped.
    """
    group = originals.group
    writer = RollupWriter(group, level)
    key = name(originals, others)
    expected_bytes = originals.total_bytes + 600 * len(originals) + 4096
    upload = destination.upload(key, expected_bytes, lambda: outline(originals, writer))
    try:
        md5s = _Packing(store, group, writer, upload, tick).write(originals)
        etag = upload.finish(last_look)
    except BaseException:
        _abort(upload)
        raise
    return Packed(ListedObject(key, etag, writer.bytes_out, 0, archived=False), originals, md5s)


def outline(originals: Originals, writer: RollupWriter) -> Metadata:
    """The metadata of a rollup of these originals, with the content digest if all of them were written."""
    is_whole = writer.members == len(originals)
    return Outline.of(originals, writer.content_digest if is_whole else b"").encode()


def name(originals: Originals, others: list[PackedFile]) -> str:
    """The key of a rollup of these originals, beside the day's other rollups. Raises `StorageError`."""
    group = originals.group
    try:
        return group.rollup_key(next(iter(originals)).suffix, {rollup.listed.key for rollup in others})
    except ValueError as error:
        raise StorageError(f"{group} cannot be rolled up: {error}; move those rollups elsewhere") from error


class _Packing:
    """Writes originals through a writer into an upload."""

    def __init__(self, store: Store, group: DayGroup, writer: RollupWriter, upload: Upload, tick: Tick) -> None:
        self._store = store
        self._target_prefix = group.target_prefix
        self._writer = writer
        self._upload = upload
        self._tick = tick

    def write(self, originals: Originals) -> dict[str, bytes]:
        """Write the whole rollup; returns `Packed.md5s`."""
        writer, upload = self._writer, self._upload
        md5s = {}
        ticks = Ticks(self._tick)
        to_fetch, to_pack = tee(originals)
        with closing(fetch_originals(self._store, to_fetch, self._target_prefix)) as bodies:
            for original in to_pack:
                if original.size <= PIECE_BYTES:
                    body, digest = next(bodies)
                    packed = writer.add(original, body, digest)
                    if packed:
                        upload.write(packed)
                else:
                    digest = self._write_huge(original, bodies)
                if digest != original.md5:
                    md5s[original.suffix] = digest
                ticks.count(original.size)
        for packed in writer.finish():
            upload.write(packed)
        ticks.flush()
        return md5s

    def _write_huge(self, original: Original, bodies: Iterator[tuple[bytes, bytes]]) -> bytes:
        writer, upload = self._writer, self._upload
        content = md5(usedforsecurity=False)
        upload.write(writer.begin(original))
        for _ in range(0, original.size, PIECE_BYTES):
            body, _ = next(bodies)
            content.update(body)
            for at in range(0, len(body), BLOCK_BYTES):  # not 2 MiB several times over
                upload.write(writer.write(memoryview(body)[at : at + BLOCK_BYTES]))
        digest = content.digest()
        key = self._target_prefix + original.suffix
        if original.md5 is not None and digest != original.md5 and self._store.etag_is_md5(key):
            raise StorageError(
                f"s3://{self._store.bucket}/{key} does not match its ETag: damaged on the way, or in the bucket; "
                "nothing was lost, run again"
            )
        upload.write(writer.end(digest))
        return digest


def _abort(upload: Upload) -> None:
    try:
        upload.abort()
    except RollerError as error:
        # What made us abort is what the user has to hear of; a lifecycle rule removes the parts.
        sentence = (
            f"the parts of an upload that was dropped stay in the bucket until a lifecycle rule removes them: {error}"
        )
        logger.warning("upload_not_aborted", extra={"why": str(error), "sentence": sentence})
