"""Files on this machine as a store, so that whatever reads rollups in S3 reads copies of them, too."""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterable

from s3_log_roller.errors import ObjectGone, StorageError
from s3_log_roller.store import DeleteReport, ListedObject, Page, Piece, Upload

LOCAL = ""
"""The name of the bucket that local files are in."""


def location(bucket: str, key: str) -> str:
    """Where an object is, as users write it."""
    return f"s3://{bucket}/{key}" if bucket != LOCAL else key


class LocalFiles:
    """`store.Store`, for reading: keys are paths."""

    bucket = LOCAL

    def find(self, path: str) -> ListedObject:
        """The file as a listing would show it. Raises `StorageError`."""
        try:
            return _listed(path, os.stat(path))
        except OSError as error:
            raise StorageError(f"{path}: {error.strerror}") from error

    def fetch(self, pieces: Iterable[Piece]) -> Generator[tuple[bytes, bytes], None, None]:
        """See `Store.fetch`."""
        path, handle = "", -1
        try:
            for piece in pieces:
                if piece.key != path:
                    if handle >= 0:
                        os.close(handle)
                    path, handle = piece.key, _open(piece)
                data = os.pread(handle, piece.length, piece.offset)
                if len(data) != piece.length:
                    raise ObjectGone(f"{piece.key} became shorter while it was read")
                yield data, b""
        except OSError as error:
            raise StorageError(f"{path}: {error.strerror}") from error
        finally:
            if handle >= 0:
                os.close(handle)

    def list_page(self, prefix: str, start_after: str = "", max_keys: int = 1000) -> Page:
        """Nothing: a file stands for itself."""
        return Page([], truncated=False)

    def etag_is_md5(self, key: str) -> bool:
        """Never."""
        return False

    def upload(self, key: str, expected_bytes: int) -> Upload:
        """Never."""
        raise StorageError(f"{key}: local files are only read")

    def delete(self, objects: Iterable[tuple[str, str]]) -> DeleteReport:
        """Never."""
        raise StorageError("local files are only read")


def _open(piece: Piece) -> int:
    handle = os.open(piece.key, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _listed(piece.key, os.fstat(handle)).etag != piece.etag:
            raise ObjectGone(f"{piece.key} changed while it was read")
    except BaseException:
        os.close(handle)
        raise
    return handle


def _listed(path: str, found: os.stat_result) -> ListedObject:
    if not stat.S_ISREG(found.st_mode):
        raise StorageError(f"{path} is no file: name the .tgz files themselves")
    etag = f"{found.st_dev}-{found.st_ino}-{found.st_size}-{found.st_mtime_ns}"
    return ListedObject(path, etag, found.st_size, int(found.st_mtime), archived=False)
