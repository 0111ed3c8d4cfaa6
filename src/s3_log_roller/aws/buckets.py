"""Open buckets, shared by the tasks of one process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from s3_log_roller.aws.sessions import Sessions
from s3_log_roller.stored_as import BUCKET_DEFAULTS, StoredAs
from s3_log_roller.uris import Role

if TYPE_CHECKING:
    from s3_log_roller.aws.s3.bucket import S3Bucket

MAX_IDLE: Final = 16
"""Buckets kept open while no task uses them. Only the one used last keeps its connections: with up to 300 for each of
two in use, and its own, a process stays below the 1,024 descriptors that it often may have."""


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach AWS, or a server like it. Goes to child processes, so it holds settings only."""

    profile: str | None = None
    region: str | None = None
    endpoint_url: str | None = None
    """The URL of an S3-compatible server. SQS and STS have `AWS_ENDPOINT_URL_SQS` and `AWS_ENDPOINT_URL_STS`."""
    allow_cross_region: bool = False
    max_in_flight: int | None = None
    expected_bucket_owner: str | None = None
    """The account that buckets must belong to, if their tasks name no other."""
    timeout_s: float | None = None
    """After which a server that does not answer is given up; None for the default."""
    etags_are_md5: bool = True
    """Whether ETags that look like MD5s are believed to be some."""
    bucket_regions: Mapping[str, str] = field(default_factory=dict)
    """The regions of buckets that are known to be in another one than `region`, and may be worked on there."""


@dataclass(slots=True)
class _Open:
    store: S3Bucket
    users: int = 0


class Buckets:
    """Opens each bucket once per role, and closes those used longest ago when many are open.

    What is written to them is stored as `stored_as` says.
    """

    def __init__(
        self,
        connection: Connection,
        sessions: Sessions | None = None,
        stored_as: StoredAs = BUCKET_DEFAULTS,
    ) -> None:
        self._connection = connection
        self._sessions = sessions or Sessions(
            profile=connection.profile, region=connection.region, timeout_s=connection.timeout_s
        )
        self._stored_as = stored_as
        self._open: dict[tuple[str, Role | None, str | None], _Open] = {}

    @contextmanager
    def lease(self, bucket: str, role: Role | None, owner: str | None = None) -> Iterator[S3Bucket]:
        """The bucket, open at least as long as the `with` block. Raises what opening it raises.

        Every request asks S3 to refuse it unless the bucket belongs to `owner`, or to the connection's expected owner.
        An empty `owner` means anybody.
        """
        owner = self._connection.expected_bucket_owner if owner is None else owner
        name = (bucket, role, owner)
        opened = self._open.pop(name, None) or _Open(self._open_bucket(bucket, role, owner))
        self._open[name] = opened
        opened.users += 1
        try:
            yield opened.store
        finally:
            opened.users -= 1
            self._close_idle(MAX_IDLE)

    def close(self) -> None:
        """Close every bucket that is not in use."""
        self._close_idle(0)

    def _open_bucket(self, bucket: str, role: Role | None, owner: str | None) -> S3Bucket:
        from s3_log_roller.aws.s3 import open_bucket

        session = self._sessions.get(role)
        return open_bucket(
            session,
            bucket,
            worker_region=self._connection.bucket_regions.get(bucket, session.region_name),
            allow_cross_region=self._connection.allow_cross_region,
            endpoint_url=self._connection.endpoint_url,
            max_in_flight=self._connection.max_in_flight,
            expected_bucket_owner=owner,
            timeout_s=self._connection.timeout_s,
            etags_are_md5=self._connection.etags_are_md5,
            stored_as=self._stored_as,
        )

    def _close_idle(self, keep: int) -> None:
        idle = [name for name, opened in self._open.items() if not opened.users]
        for name in idle[:-1]:
            self._open[name].store.disconnect()
        for name in idle[: max(0, len(idle) - keep)]:
            self._open.pop(name).store.close()
