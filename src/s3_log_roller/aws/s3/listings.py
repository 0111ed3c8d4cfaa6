"""One page of a listing."""

from __future__ import annotations

from s3_log_roller.aws.s3.calls import Calls, quote_query
from s3_log_roller.aws.s3.failures import failure, single_failure
from s3_log_roller.aws.s3.request import Request
from s3_log_roller.aws.s3.xml import UnreadableAnswer, parse_page
from s3_log_roller.errors import StorageError
from s3_log_roller.store import Page, Pager


class PageCall:
    """A ListObjectsV2 call, and its page when the request is done."""

    def __init__(self, calls: Calls, prefix: str, start_after: str, max_keys: int, continuation_token: str) -> None:
        query = f"encoding-type=url&list-type=2&max-keys={max_keys}&prefix={quote_query(prefix)}"
        if continuation_token:
            query = f"continuation-token={quote_query(continuation_token)}&{query}"
        elif start_after:
            query += f"&start-after={quote_query(start_after)}"
        self.request = Request("s3:ListBucket", "GET", calls.bucket_path, query, key=prefix, check=self._check)
        self._bucket = calls.bucket
        self._page: Page | None = None

    @classmethod
    def of(cls, calls: Calls, pager: Pager) -> PageCall:
        """The call for a pager's next page."""
        return cls(calls, pager.prefix, pager.start_after, 1000, pager.continuation_token)

    def page(self) -> Page:
        """The page. Raises what the call failed with."""
        self.request.check = None  # it refers back to this call: a cycle that would wait for the garbage collector
        if self._page is None:
            raise failure(self._bucket, self.request)
        return self._page

    def page_for(self, pager: Pager) -> Page | StorageError:
        """The page, behind which the pager has moved on; or the error, if it is one of this listing alone."""
        if self._page is None:
            return single_failure(self._bucket, self.request)
        try:
            pager.take(self._page)
        except StorageError as error:
            return error
        return self.page()

    def _check(self, request: Request) -> str | None:
        try:
            self._page = parse_page(request.answer)
        except (UnreadableAnswer, UnicodeDecodeError, ValueError) as error:
            return f"unreadable listing: {error}"
        return None
