"""Everything that can go wrong, as one small tree.

Every message is one line that says what failed, on which object, why, and what to do now.
`RollerError` itself is never raised.
"""

from __future__ import annotations


class RollerError(Exception):
    """Base of every error this program raises on purpose."""


class UsageError(RollerError):
    """The command line, the environment or an event asks for something that cannot be."""


class MalformedTask(RollerError):
    """A message that is no task. It is left for the queue's dead-letter queue."""


class QueueError(RollerError):
    """An SQS call failed."""


class CredentialsError(RollerError):
    """No credentials, expired ones, or a role that may not be assumed."""


class WrongRegion(RollerError):
    """The bucket is in another region than the worker."""


class StorageError(RollerError):
    """An S3 call failed for good. `code` is S3's own error code, or one of this program's for network faults."""

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class DayChanged(StorageError):
    """Another program changed the day group meanwhile: look again, nothing was lost."""


class ObjectGone(DayChanged):
    """The object was deleted or replaced since it was listed (404, or 412 on `If-Match`)."""


class ObjectArchived(StorageError):
    """The object is in an archive tier and has to be restored before it can be read."""

    def __init__(self, message: str, *, key: str) -> None:
        super().__init__(message, code="InvalidObjectState")
        self.key = key


class AlreadyExists(DayChanged):
    """A conditional write found an object under that key (412 on `If-None-Match: *`, or 409)."""


class DamagedRollup(RollerError):
    """A rollup that does not hold what its index, its name or the originals say."""


class DeleteRefused(RollerError):
    """Some originals could not be deleted. The message names the keys and the reasons."""


class OutOfTime(RollerError):
    """The deadline came too close; everything unfinished was undone, the task has to run again."""
