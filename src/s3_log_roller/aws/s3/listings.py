"""A bucket's listings, page by page, on S3 and on servers that know only some of what S3 knows."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Final

from s3_log_roller.aws.s3.calls import Calls, quote_query
from s3_log_roller.aws.s3.failures import failure, single_failure
from s3_log_roller.aws.s3.pages import parse_folders, parse_page
from s3_log_roller.aws.s3.request import Request
from s3_log_roller.aws.s3.signing import Headers
from s3_log_roller.aws.s3.xml import UnreadableAnswer
from s3_log_roller.errors import StorageError
from s3_log_roller.store import PAGE_KEYS, Level, Page, Pager

logger = logging.getLogger(__name__)

_WITH_RESTORES: Final[Headers] = (("x-amz-optional-object-attributes", "RestoreStatus"),)


class Lister:
    """Lists one bucket; learns whether its server lists in version 1 only."""

    def __init__(self, calls: Calls, *, tells_restores: bool) -> None:
        self.calls = calls
        self.tells_restores = tells_restores
        """The server is known to say which archived objects are restored."""
        self._version_1 = False

    def list_page(self, prefix: str, start_after: str, max_keys: int, continuation_token: str) -> Page:
        """See `ReadStore.list_page`."""
        call = self._call(prefix, start_after, max_keys, continuation_token)
        self.calls.transport.run(call.request)
        if self._learns_version_1([call]):
            return self.list_page(prefix, start_after, max_keys, "")
        return call.page()

    def next_pages(self, pagers: Sequence[Pager]) -> list[Page | StorageError]:
        """See `Store.next_pages`."""
        calls = [self._call(pager.prefix, pager.start_after, PAGE_KEYS, pager.continuation_token) for pager in pagers]
        self.calls.transport.run_each(call.request for call in calls)
        if self._learns_version_1(calls):
            return self.next_pages(pagers)
        return [call.page_for(pager) for call, pager in zip(calls, pagers, strict=True)]

    def list_folders(self, prefix: str, start_after: str) -> Level:
        """See `Store.list_folders`."""
        call = self._call(prefix, start_after, PAGE_KEYS, "", delimiter="/")
        self.calls.transport.run(call.request)
        if self._learns_version_1([call]):
            return self.list_folders(prefix, start_after)
        keys = [entry.key for entry in call.page().objects]
        return Level(parse_folders(call.request.answer), keys)

    def _call(
        self, prefix: str, start_after: str, max_keys: int, continuation_token: str, delimiter: str = ""
    ) -> _PageCall:
        """The parameters are in the order of their names, as the signature wants them."""
        query = f"delimiter={quote_query(delimiter)}&" if delimiter else ""
        query += "encoding-type=url"
        if self._version_1:
            query += f"&marker={quote_query(start_after)}" if start_after else ""
        else:
            query += "&list-type=2"
        query += f"&max-keys={max_keys}&prefix={quote_query(prefix)}"
        if continuation_token:
            query = f"continuation-token={quote_query(continuation_token)}&{query}"
        elif start_after and not self._version_1:
            query += f"&start-after={quote_query(start_after)}"
        return _PageCall(self, prefix, query)

    def _learns_version_1(self, calls: Sequence[_PageCall]) -> bool:
        if self._version_1 or not any(call.is_version_1 for call in calls):
            return False
        self._version_1 = True
        sentence = (
            f"The server of s3://{self.calls.bucket} knows only the first version of listings. It is asked in that "
            "version from now on, and nothing else changes."
        )
        logger.warning("lists_in_version_1", extra={"bucket": self.calls.bucket, "sentence": sentence})
        return True


_WEB_PAGE: Final = re.compile(rb"\s*<(!doctype|html)\b", re.IGNORECASE)


class _PageCall:
    """A call for a page, and the page when the request is done."""

    def __init__(self, lister: Lister, prefix: str, query: str) -> None:
        path = lister.calls.bucket_path
        self.request = Request("s3:ListBucket", "GET", path, query, _WITH_RESTORES, prefix, check=self._check)
        self._lister = lister
        self._page: Page | None = None

    @property
    def is_version_1(self) -> bool:
        """The server does not know `list-type=2`: it says so, or answers as if it had not been asked for it."""
        request = self.request
        answer = request.answer
        return request.status in (405, 501) or (b"<Marker" in answer and b"<KeyCount>" not in answer)

    def page(self) -> Page:
        """The page. Raises what the call failed with."""
        self.request.check = None  # it refers back to this call: a cycle that would wait for the garbage collector
        if self._page is None:
            raise failure(self._lister.calls.bucket, self.request)
        return self._page

    def page_for(self, pager: Pager) -> Page | StorageError:
        """The page, behind which the pager has moved on; or the error, if it is one of this listing alone."""
        if self._page is None:
            return single_failure(self._lister.calls.bucket, self.request)
        try:
            pager.take(self._page)
        except StorageError as error:
            return error
        return self.page()

    def _check(self, request: Request) -> str | None:
        try:
            page = parse_page(request.answer, tells_restores=self._lister.tells_restores)
        except (UnreadableAnswer, UnicodeDecodeError, ValueError) as error:
            if _WEB_PAGE.match(request.answer):
                request.hopeless = request.attempts > 1  # once it may have been a proxy's bad moment
                return "unreadable listing: it is a web page; check the endpoint and the proxy"
            return f"unreadable listing: {error}"
        for entry in page.objects:
            if not entry.key.startswith(request.key):
                return f"unreadable listing: {entry.key!r} is not under the prefix that was asked for"
        self._page = page
        logger.debug("listed", extra={"prefix": request.key, "keys": len(page.objects), "more": page.truncated})
        return None
