"""Restores into a directory, and never out of it, whoever changes the directory meanwhile.

Every folder is opened by its name in the folder above, without following links, and every file is made, compared and
published by its name in the folder that is open. So a link put in a folder's place is an error, never a way out.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import suppress
from hashlib import md5
from typing import Final

from s3_log_roller.errors import DamagedRollup, RollerError, StorageError
from s3_log_roller.reading.tarball import Member
from s3_log_roller.reading.targets import Outcome, TargetUnusable, same_or_raise

_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_OF_THIS_NAME: Final = frozenset({errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.EISDIR})
"""Errors that say nothing about other logs."""
_NOT_A_FOLDER: Final = frozenset({errno.ENOTDIR, errno.ELOOP})
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class DirectoryPlace:
    """See `targets.Place`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._root = -1
        self._parts: tuple[str, ...] = ()
        self._folder = -1
        """Open at `_parts` below the root: logs come folder by folder."""

    def restore(self, where: str, relative: str, member: Member, content: Iterator[bytes]) -> Iterator[Outcome]:
        """See `Place.restore`."""
        outcome: bool | Exception
        try:
            outcome = self._restore(relative, member, content)
        except OSError as error:
            if error.errno not in _OF_THIS_NAME:
                raise TargetUnusable(f"{self._path} cannot be written: {error.strerror}") from error
            outcome = error
        except (RollerError, OverflowError) as error:
            outcome = error
        yield where, member, outcome

    def finish(self) -> Iterator[Outcome]:
        """See `Place.finish`."""
        return iter(())

    def close(self) -> None:
        """See `Place.close`."""
        for handle in (self._folder, self._root):
            if handle >= 0:
                os.close(handle)
        self._folder = self._root = -1

    def _restore(self, relative: str, member: Member, content: Iterator[bytes]) -> bool:
        *parts, name = [part for part in relative.split("/") if part]
        if any(part in (".", "..") or "\0" in part for part in (*parts, name)):
            raise DamagedRollup(f"{relative!r} cannot be the name of a file: not restored")
        folder = self._open(tuple(parts))
        path = os.path.join(self._path, *parts, name)
        if _exists(folder, name):
            digest = md5(usedforsecurity=False)
            for data in content:
                digest.update(data)
            return same_or_raise(_is_same_file(folder, name, member.size, digest.digest()), path)
        return _write(folder, name, path, member, content)

    def _open(self, parts: tuple[str, ...]) -> int:
        """The descriptor of that folder below the root, which is made if it is not there."""
        if self._folder >= 0 and parts == self._parts:
            return self._folder
        if self._root < 0:
            os.makedirs(self._path, exist_ok=True)
            self._root = os.open(self._path, _FOLDER)
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1
        folder = os.dup(self._root)
        try:
            for depth in range(1, len(parts) + 1):
                inner = self._enter(folder, parts[:depth])
                os.close(folder)
                folder = inner
        except BaseException:
            os.close(folder)
            raise
        self._parts, self._folder = parts, folder
        return folder

    def _enter(self, folder: int, parts: tuple[str, ...]) -> int:
        with suppress(FileExistsError):
            os.mkdir(parts[-1], dir_fd=folder)
        try:
            return os.open(parts[-1], _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
        except OSError as error:
            if error.errno not in _NOT_A_FOLDER:
                raise
            path = os.path.join(self._path, *parts)
            raise StorageError(
                f"{path} is a link or a file: nothing is restored through a link or into a file; move it away"
            ) from error


def _write(folder: int, name: str, path: str, member: Member, content: Iterator[bytes]) -> bool:
    """Write the file under a temporary name, then give it its own."""
    temporary = f".s3-log-roller-{secrets.token_hex(8)}.part"
    digest = md5(usedforsecurity=False)
    try:
        if _write_temporary(folder, temporary, name, member, content, digest):
            return True
    except KeyboardInterrupt:
        # It may have come while the file was to be removed.
        _remove(folder, temporary)
        raise
    return same_or_raise(_is_same_file(folder, name, member.size, digest.digest()), path)


def _write_temporary(
    folder: int, temporary: str, name: str, member: Member, content: Iterator[bytes], digest: hashlib._Hash
) -> bool:
    """Whether the file got its name: there was none of it. The temporary name is gone in any case."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    is_ours = True  # from before it is made: an interruption may come before the next line
    try:
        try:
            handle = os.open(temporary, flags, 0o666, dir_fd=folder)
        except FileExistsError:
            is_ours = False
            raise
        with open(handle, "wb") as file:
            for data in content:
                digest.update(data)
                file.write(data)
            file.flush()
            os.utime(handle, (member.mtime, member.mtime))
        return _publish(folder, temporary, name)
    finally:
        if is_ours:
            _remove(folder, temporary)


def _remove(folder: int, temporary: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(temporary, dir_fd=folder)


def _exists(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _publish(folder: int, temporary: str, name: str) -> bool:
    """Give a file its name unless there is one of that name."""
    try:
        os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # A file system without hard links. What appears between these two lines is lost; there is no other way there.
        if _exists(folder, name):
            return False
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    return True


def _is_same_file(folder: int, name: str, size: int, digest: bytes) -> bool:
    """Whether a file of that name, not a link, holds just those bytes."""
    try:
        # Not to block: somebody may have put a FIFO there.
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            return False
        raise
    with open(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_size != size:
            return False
        return hashlib.file_digest(file, lambda: md5(usedforsecurity=False)).digest() == digest
