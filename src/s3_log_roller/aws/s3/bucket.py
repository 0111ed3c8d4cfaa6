"""One bucket through the transport: the calls the use cases are made of."""

from __future__ import annotations

from collections.abc import Generator, Iterable

from s3_log_roller.aws.s3.calls import Calls, quote_query
from s3_log_roller.aws.s3.deletes import delete
from s3_log_roller.aws.s3.fetching import Fetcher
from s3_log_roller.aws.s3.request import Request
from s3_log_roller.aws.s3.transport import Transport
from s3_log_roller.aws.s3.uploads import S3Upload
from s3_log_roller.aws.s3.xml import UnreadableAnswer, parse_page
from s3_log_roller.store import ByteRange, DeleteReport, Page


class S3Bucket:
    """`store.Store` on S3 and its likes."""

    def __init__(self, bucket: str, base_path: str, transport: Transport, region: str = "") -> None:
        self.bucket = bucket
        self.region = region
        """Where the bucket is; empty if nobody knows."""
        self._transport = transport
        self._calls = Calls(bucket, base_path, transport)
        self._fetcher = Fetcher(self._calls)

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
        self, prefix: str, start_after: str = "", *, max_keys: int = 1000, continuation_token: str = ""
    ) -> Page:
        """See `ReadStore.list_page`."""
        query = f"encoding-type=url&list-type=2&max-keys={max_keys}&prefix={quote_query(prefix)}"
        if continuation_token:
            query = f"continuation-token={quote_query(continuation_token)}&{query}"
        elif start_after:
            query += f"&start-after={quote_query(start_after)}"
        page: list[Page] = []

        def check(request: Request) -> str | None:
            try:
                page[:] = [parse_page(request.answer)]
            except (UnreadableAnswer, UnicodeDecodeError, ValueError) as error:
                return f"unreadable listing: {error}"
            return None

        self._calls.run(Request("s3:ListBucket", "GET", self._calls.bucket_path, query, key=prefix, check=check))
        return page[0]

    def fetch(self, ranges: Iterable[ByteRange]) -> Generator[tuple[bytes, bytes], None, None]:
        """See `ReadStore.fetch`."""
        return self._fetcher.fetch(ranges)

    def etag_is_md5(self, key: str) -> bool:
        """See `ReadStore.etag_is_md5`."""
        return self._fetcher.etag_is_md5(key)

    def upload(self, key: str, expected_bytes: int) -> S3Upload:
        """See `Store.upload`."""
        return S3Upload.of_size(self._calls, key, expected_bytes)

    def delete(self, objects: Iterable[tuple[str, str]]) -> DeleteReport:
        """See `Store.delete`."""
        return delete(self._calls, objects)
