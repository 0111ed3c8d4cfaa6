"""The errors that this program raises on purpose.

Each message is one line that says what failed, on which object, why, and what to do now.
Only the subclasses of `RollerError` are raised, never `RollerError` itself.
"""

from __future__ import annotations


def reason(error: Exception) -> str:
    """Why it failed, in the system's words, without the number and the path that an `OSError` repeats."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


class RollerError(Exception):
    """Base class of all errors that this program raises on purpose."""


class UsageError(RollerError):
    """The command line, the environment or an event asks for something impossible."""


class MalformedTask(RollerError):
    """A message in the queue is not a valid task. It is left for the dead-letter queue."""


class QueueError(RollerError):
    """An SQS call failed."""


class CredentialsError(RollerError):
    """Credentials are missing or have expired, or the role cannot be assumed."""


class NoCredentials(CredentialsError):
    """There are no credentials at all, so nothing else can succeed either."""


class WrongRegion(RollerError):
    """The bucket is not in the worker's region."""


class StorageError(RollerError):
    """An S3 call failed, retries included. `code` is S3's error code, or this program's own for a network fault."""

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class Unreachable(StorageError):
    """Nobody answers at the endpoint, so no other bucket there can be reached either."""


class DayChanged(StorageError):
    """Another program changed the day group meanwhile. Nothing was lost; reconcile lists the day group again."""


class ObjectGone(DayChanged):
    """The object was deleted or replaced after it was listed (404, or 412 on `If-Match`)."""


class ObjectArchived(StorageError):
    """The object is in an archive storage class and must be restored before it can be read."""

    def __init__(self, message: str, *, key: str) -> None:
        super().__init__(message, code="InvalidObjectState")
        self.key = key


class AlreadyExists(DayChanged):
    """A conditional write found that an object with this key exists (412 on `If-None-Match: *`, or 409)."""


class DamagedRollup(RollerError):
    """A rollup's content differs from its index, its name or the originals."""


class NewerFormat(RollerError):
    """A rollup that a newer version of this program wrote, and whose index this one cannot read."""


class DeleteRefused(RollerError):
    """S3 refused to delete some originals. The message names the keys and the reasons."""


class ManifestError(RollerError):
    """The manifest cannot be written, so nothing may be deleted that it should have a line for."""


class OutOfTime(RollerError):
    """The deadline came too close. Unfinished uploads were aborted; the task must run again."""
