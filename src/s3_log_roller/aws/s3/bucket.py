"""One bucket through the transport: the calls the use cases are made of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence

from s3_log_roller.aws.s3.calls import Calls
from s3_log_roller.aws.s3.deletes import delete
from s3_log_roller.aws.s3.fetching import Fetcher
from s3_log_roller.aws.s3.listings import Lister
from s3_log_roller.aws.s3.metadata import metadata_headers, read_metadata
from s3_log_roller.aws.s3.ownership import Questions, check_ownership
from s3_log_roller.aws.s3.publishing import publish_all
from s3_log_roller.aws.s3.signing import Headers
from s3_log_roller.aws.s3.storing import creating_headers
from s3_log_roller.aws.s3.transport import Transport
from s3_log_roller.aws.s3.uploads import S3Upload
from s3_log_roller.aws.s3.versions import delete_for_good
from s3_log_roller.errors import StorageError
from s3_log_roller.store import (
    PAGE_KEYS,
    ByteRange,
    DeleteReport,
    Level,
    ListedObject,
    Metadata,
    NewObject,
    Page,
    Pager,
    no_metadata,
)
from s3_log_roller.stored_as import BUCKET_DEFAULTS, StoredAs


class S3Bucket:
    """`store.Store` on S3 and its likes."""

    def __init__(
        self,
        bucket: str,
        base_path: str,
        transport: Transport,
        region: str = "",
        *,
        tells_restores: bool = True,
        etags_are_md5: bool = True,
        stored_as: StoredAs = BUCKET_DEFAULTS,
        ask_owner: Callable[[Calls], Questions] | None = None,
    ) -> None:
        self.bucket = bucket
        self.region = region
        """Where the bucket is; empty if nobody knows."""
        self._transport = transport
        self._calls = Calls(bucket, base_path, transport)
        self._lister = Lister(self._calls, tells_restores=tells_restores)
        self._stored_as = stored_as
        self._questions = ask_owner(self._calls) if ask_owner is not None else None
        """Asked before the first write whose rollups will be; None where that makes no difference."""
        self._fetcher = Fetcher(self._calls, etags_are_md5=etags_are_md5)

    @property
    def requests_sent(self) -> int:
        """HTTP requests so far, repeated ones included."""
        return self._transport.requests_sent

    def disconnect(self) -> None:
        """Close all connections; they come back when they are needed."""
        self._transport.disconnect()

    def close(self) -> None:
        """Close all connections for good."""
        self._transport.close()

    def list_page(
        self, prefix: str, start_after: str = "", *, max_keys: int = PAGE_KEYS, continuation_token: str = ""
    ) -> Page:
        """See `ReadStore.list_page`."""
        return self._lister.list_page(prefix, start_after, max_keys, continuation_token)

    def next_pages(self, pagers: Sequence[Pager]) -> list[Page | StorageError]:
        """See `Store.next_pages`."""
        return self._lister.next_pages(pagers)

    def list_folders(self, prefix: str, start_after: str) -> Level:
        """See `Store.list_folders`."""
        return self._lister.list_folders(prefix, start_after)

    def fetch(self, ranges: Iterable[ByteRange]) -> Generator[tuple[bytes, bytes], None, None]:
        """See `ReadStore.fetch`."""
        return self._fetcher.fetch(ranges)

    def fetch_each(self, ranges: Iterable[ByteRange]) -> Generator[tuple[bytes, bytes] | StorageError, None, None]:
        """See `Store.fetch_each`."""
        return self._fetcher.fetch_each(ranges)

    def etag_is_md5(self, key: str) -> bool:
        """See `ReadStore.etag_is_md5`."""
        return self._fetcher.etag_is_md5(key)

    def read_metadata(self, objects: Iterable[ListedObject]) -> list[Metadata | StorageError]:
        """See `Store.read_metadata`."""
        return read_metadata(self._calls, objects)

    def upload(self, key: str, expected_bytes: int, metadata: Callable[[], Metadata] = no_metadata) -> S3Upload:
        """See `Store.upload`."""
        self._check_owner([key])

        def headers() -> Headers:
            return (*creating_headers(self._stored_as), *metadata_headers(metadata()))

        return S3Upload.of_size(self._calls, key, expected_bytes, headers, self._stored_as.checksum)

    def delete(
        self, objects: Iterable[tuple[str, str]], report: DeleteReport | None = None, *, versions: bool = False
    ) -> DeleteReport:
        """See `Store.delete`."""
        report = report or DeleteReport()
        return (delete_for_good if versions else delete)(self._calls, objects, report)

    def publish_all(
        self, objects: Mapping[str, NewObject], last_look: Callable[[Collection[str]], Collection[str]]
    ) -> dict[str, str | StorageError]:
        """See `Store.publish_all`."""
        self._check_owner(objects)
        return publish_all(self._calls, objects, last_look, creating_headers(self._stored_as), self._stored_as.checksum)

    def _check_owner(self, keys: Iterable[str]) -> None:
        questions, key = self._questions, next(iter(keys), "")
        if questions is not None and key:
            check_ownership(self.bucket, key, self._stored_as, questions)
            self._questions = None
