"""`--manifest FILE`: the file that gets a line for every rollup that a run proved."""

from __future__ import annotations

import fcntl
import logging
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from s3_log_roller.errors import DamagedRollup, ManifestError, UsageError, reason
from s3_log_roller.rollup.manifest import encode_line, is_cut_short, parse_line, where
from s3_log_roller.rollup.verify import Verified
from s3_log_roller.store import ListedObject

_NEW_FILE_MODE: Final = 0o666  # less the umask

logger = logging.getLogger(__name__)


class ManifestFile:
    """See `rolling.manifest.Manifest`. Any number of processes may append to the same file.

    Each line is written at once and whole: where there is no room for all of it, none of it stays.
    """

    wants_sha256 = True

    def __init__(self, path: str, now: Callable[[], datetime]) -> None:
        """Open the file, or make it. Raises `UsageError` for a file that is not a manifest or cannot be written."""
        self._path = path
        self._now = now
        self._waiting: list[bytes] = []
        """Lines that could not be written."""
        self._unsynced = False
        self._lost: ManifestError | None = None
        """Set once the system could not say which lines are safe."""
        try:
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _NEW_FILE_MODE)
        except OSError as error:
            raise UsageError(f"--manifest {path} cannot be written: {reason(error)}") from error
        try:
            self._listed = self._read()
        except OSError as error:
            self.close()
            raise UsageError(f"--manifest {path} cannot be read: {reason(error)}") from error
        except BaseException:
            self.close()
            raise
        _sync_folder(path)

    def lacks(self, bucket: str, rollup: ListedObject) -> bool:
        """See `Manifest.lacks`. Lines that other processes wrote meanwhile are not known."""
        return where(bucket, rollup) not in self._listed

    def add(self, verified: Verified) -> None:
        """See `Manifest.add`."""
        place = where(verified.bucket, verified.rollup)
        if self._listed.get(place, verified.sha256) != verified.sha256:
            sentence = f"s3://{place[0]}/{place[1]} was written anew: the manifest lists another rollup under this key"
            logger.warning("listed_rollup_was_gone", extra={"sentence": sentence})
        self._append(verified)

    def confirm(self, verified: Verified) -> None:
        """See `Manifest.confirm`."""
        place = where(verified.bucket, verified.rollup)
        listed = self._listed.get(place)
        if listed is None:
            self._append(verified)
        elif listed != verified.sha256:
            raise DamagedRollup(
                f"s3://{place[0]}/{place[1]} is not the rollup that {self._path} lists: its SHA-256 is "
                f"{verified.sha256.hex()}, not {listed.hex()}; no original was deleted on its account: find out who "
                "replaced it"
            )

    def sync(self) -> None:
        """See `Manifest.sync`."""
        if self._lost is not None:
            raise self._lost
        while self._waiting:
            self._write(self._waiting[0])
            del self._waiting[0]
        if not self._unsynced:
            return
        try:
            os.fsync(self._file)
        except OSError as error:
            self._lost = self._failure(error)
            raise self._lost from error
        self._unsynced = False

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _append(self, verified: Verified) -> None:
        self._waiting.append(encode_line(verified, self._now()))
        self._listed[where(verified.bucket, verified.rollup)] = verified.sha256
        self._write(self._waiting[-1])
        self._waiting.pop()

    def _write(self, line: bytes) -> None:
        """Append the line, or nothing."""
        try:
            with self._locked():
                size = os.fstat(self._file).st_size
                try:
                    while line:
                        line = line[os.write(self._file, line) :]
                except OSError:
                    os.ftruncate(self._file, size)
                    raise
        except OSError as error:
            raise self._failure(error) from error
        self._unsynced = True

    def _failure(self, error: OSError) -> ManifestError:
        return ManifestError(
            f"the manifest {self._path} cannot be written: {reason(error)}; nothing was deleted on account of a rollup "
            "that it does not list: make room for the file, then run again"
        )

    def _read(self) -> dict[tuple[str, str], bytes]:
        """The SHA-256 of every rollup that is listed, by bucket and key. A last line that was cut short is removed."""
        if not stat.S_ISREG(os.fstat(self._file).st_mode):
            raise UsageError(f"--manifest {self._path} is not a regular file, and only in one can lines be kept safe")
        listed = {}
        end = 0
        line = b"\n"
        with self._locked(), open(self._file, "rb", closefd=False) as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    entry = parse_line(line)
                except UsageError as error:
                    if not is_cut_short(line):
                        where = f"--manifest {self._path}: line {number}"
                        raise UsageError(f"{where} is not a line of a manifest: {error}") from error
                    self._cut(end)
                    break
                if entry is not None:
                    listed[entry.bucket, entry.key] = bytes.fromhex(entry.sha256)
                end += len(line)
            else:
                if not line.endswith(b"\n"):
                    os.write(self._file, b"\n")
        return listed

    def _cut(self, end: int) -> None:
        """Remove a last line of which a crash left a part only."""
        remedy = "a run that proves its rollup lists it again"
        sentence = f"the last line of {self._path} was cut short and is removed; {remedy}"
        logger.warning("manifest_line_cut_short", extra={"sentence": sentence})
        os.ftruncate(self._file, end)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep the other processes that have opened the file from changing it."""
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)


def _sync_folder(path: str) -> None:
    """Make sure that a file that was just made is still there after a crash."""
    with suppress(OSError):
        folder = os.open(Path(path).resolve().parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
