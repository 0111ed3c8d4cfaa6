"""Objects and parts of them, many at once, each held to what was asked for."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Generator, Iterable
from contextlib import closing
from hashlib import md5
from typing import Final

from s3_log_roller.aws.s3.calls import Calls
from s3_log_roller.aws.s3.failures import single_failure
from s3_log_roller.aws.s3.request import Request
from s3_log_roller.aws.s3.signing import Headers
from s3_log_roller.errors import StorageError
from s3_log_roller.store import ByteRange

READ_AHEAD_BYTES: Final = 8 << 20
"""Fetched and not yet taken by the consumer, at most (one range more where a single one is larger)."""
_PUMP_EVERY: Final = 16
"""Bodies handed out between two looks at the network, so that it stays busy while the consumer works."""

NO_MD5_OPTION: Final = "--etags-not-md5"
_MD5: Final = re.compile(r"[0-9a-f]{32}")


class Fetcher:
    """Fetches from one bucket; learns whether its ETags are MD5s."""

    def __init__(self, calls: Calls, *, etags_are_md5: bool = True) -> None:
        self._calls = calls
        self._may_be_md5 = etags_are_md5
        self._seen_md5 = False
        """An ETag was the MD5 of its body. Until then, the answers' headers tell how an object is encrypted."""

    def fetch(self, ranges: Iterable[ByteRange]) -> Generator[tuple[bytes, bytes], None, None]:
        """See `ReadStore.fetch`."""
        with closing(self.fetch_each(ranges)) as answers:
            for answer in answers:
                if isinstance(answer, StorageError):
                    raise answer
                yield answer

    def fetch_each(self, ranges: Iterable[ByteRange]) -> Generator[tuple[bytes, bytes] | StorageError, None, None]:
        """See `Store.fetch_each`."""
        transport = self._calls.transport
        source = iter(ranges)
        window: deque[tuple[Request, int]] = deque()
        max_window = 2 * transport.max_in_flight
        reserved_bytes = 0
        exhausted = False
        handed_out = 0
        try:
            while True:
                while not exhausted and len(window) < max_window and reserved_bytes < READ_AHEAD_BYTES:
                    wanted = next(source, None)
                    if wanted is None:
                        exhausted = True
                        break
                    request = self.request(wanted)
                    window.append((request, wanted.length))
                    reserved_bytes += wanted.length
                    transport.submit(request)
                if not window:
                    return
                request, length = window[0]
                while not request.done:
                    transport.step()
                window.popleft()
                reserved_bytes -= length
                if request.fault or request.status >= 300:
                    yield single_failure(self._calls.bucket, request)
                else:
                    yield request.answer, request.digest
                handed_out += 1
                if handed_out % _PUMP_EVERY == 0:
                    transport.step(0)
        finally:
            for request, _ in window:
                transport.cancel(request)

    def request(self, wanted: ByteRange) -> Request:
        """The GET of one range. Its check holds the body to what was asked for, and leaves its MD5 in `digest`."""
        headers: Headers = (("if-match", f'"{wanted.etag}"'),)
        if not wanted.whole:
            headers = (*headers, ("range", f"bytes={wanted.offset}-{wanted.offset + wanted.length - 1}"))
        request = Request("s3:GetObject", "GET", self._calls.path(wanted.key), "", headers, wanted.key)
        # Headers cost some CPU time. A part needs them, a whole object until it is known that ETags are MD5s.
        request.wants_headers = not wanted.whole or (self._may_be_md5 and not self._seen_md5)
        earlier: list[bytes] = []

        def check(request: Request) -> str | None:
            answer = request.answer
            if len(answer) != wanted.length:
                return f"{len(answer)} bytes came instead of {wanted.length}"
            if not wanted.whole:
                return _another_range(request, wanted)
            if request.status != 200:
                return f"a part of it came (status {request.status}), though all of it was asked for"
            digest = md5(answer, usedforsecurity=False)
            request.digest = digest.digest()
            if digest.hexdigest() == wanted.etag:
                self._seen_md5 = True
            elif self._may_be_md5 and _MD5.fullmatch(wanted.etag):
                earlier.append(request.digest)
                return self._unlike_etag(request, earlier)
            return None

        request.check = check
        return request

    def _unlike_etag(self, request: Request, digests: list[bytes]) -> str | None:
        """Tell a damaged body from an ETag that is not an MD5, as with SSE-KMS and SSE-C, by the answer's headers."""
        if request.wants_headers and _is_encrypted_otherwise(request):
            self._seen_md5 = False
            return None
        request.wants_headers = True
        if len(digests) > 1 and len(set(digests)) == 1:
            return (
                "the same bytes came every time, but their MD5 is not its ETag, and no header says why: the ETags of "
                f"this server cannot be relied on; with {NO_MD5_OPTION} logs are held to the MD5 of what was "
                "downloaded instead, as with SSE-KMS"
            )
        return "its MD5 differs from its ETag: damaged on the way, or in the bucket"

    def etag_is_md5(self, key: str) -> bool:
        """See `ReadStore.etag_is_md5`."""
        if not self._may_be_md5:
            return False
        head = Request("s3:GetObject", "HEAD", self._calls.path(key), key=key, wants_headers=True)
        return not _is_encrypted_otherwise(self._calls.run(head))


def _another_range(request: Request, wanted: ByteRange) -> str | None:
    """What is wrong with an answer of the right length to a range request: a cache may send other bytes of it.

    A status of 200 claims to be the whole object, and nothing in it says which bytes came.
    """
    asked = f"bytes {wanted.offset}-{wanted.offset + wanted.length - 1}/"
    came = request.header("content-range") or ""
    if request.status == 206 and came.startswith(asked):
        return None
    return f"another range came ({came or f'none named, status {request.status}'}) than was asked for ({asked[:-1]})"


def _is_encrypted_otherwise(request: Request) -> bool:
    """With anything but SSE-S3, says the answer's header; the ETag is then no MD5 of the content (API_Object)."""
    encryption = request.header("x-amz-server-side-encryption") or ""
    customer_key = request.header("x-amz-server-side-encryption-customer-algorithm")
    return encryption.startswith("aws:kms") or customer_key is not None
