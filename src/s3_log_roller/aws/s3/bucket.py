"""One bucket through the transport: the calls the use cases are made of."""

from __future__ import annotations

import base64
import re
from collections import deque
from collections.abc import Callable, Generator, Iterable
from hashlib import md5
from itertools import islice
from typing import Final
from urllib.parse import quote

from s3_log_roller.aws.s3.failures import failure
from s3_log_roller.aws.s3.signing import Headers
from s3_log_roller.aws.s3.transport import Request, Transport
from s3_log_roller.aws.s3.xml import (
    DeleteAnswer,
    UnreadableAnswer,
    complete_request,
    delete_request,
    parse_delete_answer,
    parse_fields,
    parse_page,
    root_name,
)
from s3_log_roller.errors import AlreadyExists, StorageError
from s3_log_roller.store import ByteRange, DeleteFailure, DeleteReport, Page

READ_AHEAD_BYTES: Final = 8 << 20
"""Fetched and not yet taken by the consumer, at most (one piece more where a single one is larger)."""
PART_BYTES: Final = 5 << 20
MAX_PARTS: Final = 9_000
"""S3 allows 10,000 parts; the rest is reserve for an estimate that was too low."""
PARTS_IN_FLIGHT: Final = 1
DELETE_BATCH: Final = 1_000
DELETES_IN_FLIGHT: Final = 4
DELETE_ATTEMPTS: Final = 5
"""Of a whole batch, while single keys in it are put off."""
_PUMP_EVERY: Final = 16
"""Bodies handed out between two looks at the network, so that it stays busy while the consumer works."""

_UNRESERVED: Final = re.compile(r"[A-Za-z0-9_.~/-]*")
_MD5: Final = re.compile(r"[0-9a-f]{32}")


class S3Bucket:
    """`store.Store` on S3 and its likes."""

    def __init__(self, bucket: str, base_path: str, transport: Transport, region: str = "") -> None:
        self.bucket = bucket
        self.region = region
        """Where the bucket is; empty if nobody knows."""
        self._base_path = base_path
        self._transport = transport
        self._etags_are_md5 = False
        """As far as seen; where not, the answers' headers tell how an object is encrypted."""

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
        query = f"encoding-type=url&list-type=2&max-keys={max_keys}&prefix={_quote_query(prefix)}"
        if continuation_token:
            query = f"continuation-token={_quote_query(continuation_token)}&{query}"
        elif start_after:
            query += f"&start-after={_quote_query(start_after)}"
        page: list[Page] = []

        def check(request: Request) -> str | None:
            try:
                page[:] = [parse_page(request.answer)]
            except (UnreadableAnswer, UnicodeDecodeError, ValueError) as error:
                return f"unreadable listing: {error}"
            return None

        self._run(Request("s3:ListBucket", "GET", self._bucket_path, query, key=prefix, check=check))
        return page[0]

    def fetch(self, ranges: Iterable[ByteRange]) -> Generator[tuple[bytes, bytes], None, None]:
        """See `ReadStore.fetch`."""
        transport = self._transport
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
                    request = self._get(wanted)
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
                    raise failure(self.bucket, request)
                yield request.answer, request.digest
                handed_out += 1
                if handed_out % _PUMP_EVERY == 0:
                    transport.step(0)
        finally:
            for request, _ in window:
                transport.cancel(request)

    def _get(self, wanted: ByteRange) -> Request:
        headers: Headers = (("if-match", f'"{wanted.etag}"'),)
        if not wanted.whole:
            headers = (*headers, ("range", f"bytes={wanted.offset}-{wanted.offset + wanted.length - 1}"))
        request = Request("s3:GetObject", "GET", self._path(wanted.key), "", headers, wanted.key)
        request.wants_headers = not self._etags_are_md5  # they cost some CPU time

        def check(request: Request) -> str | None:
            answer = request.answer
            if len(answer) != wanted.length:
                return f"{len(answer)} bytes came instead of {wanted.length}"
            if wanted.whole:
                digest = md5(answer, usedforsecurity=False)
                request.digest = digest.digest()
                if digest.hexdigest() == wanted.etag:
                    self._etags_are_md5 = True
                elif _MD5.fullmatch(wanted.etag):
                    return self._unlike_etag(request)
            return None

        request.check = check
        return request

    def _unlike_etag(self, request: Request) -> str | None:
        """Tell a damaged body from an ETag that is no MD5, as with SSE-KMS and SSE-C, by the answer's headers."""
        if request.wants_headers and _is_encrypted_otherwise(request):
            self._etags_are_md5 = False
            return None
        request.wants_headers = True
        return "its MD5 differs from its ETag: damaged on the way, or in the bucket"

    def etag_is_md5(self, key: str) -> bool:
        """See `ReadStore.etag_is_md5`."""
        head = Request("s3:GetObject", "HEAD", self._path(key), key=key, wants_headers=True)
        return not _is_encrypted_otherwise(self._run(head))

    def upload(self, key: str, expected_bytes: int) -> S3Upload:
        """See `Store.upload`."""
        part_bytes = max(PART_BYTES, -(-expected_bytes // MAX_PARTS))
        return S3Upload(self, key, part_bytes)

    def delete(self, objects: Iterable[tuple[str, str]]) -> DeleteReport:
        """See `Store.delete`."""
        window: deque[_DeleteBatch] = deque()
        report = DeleteReport()
        source = iter(objects)
        try:
            while True:
                while len(window) < DELETES_IN_FLIGHT and (batch := dict(islice(source, DELETE_BATCH))):
                    window.append(_DeleteBatch(self._bucket_path, batch, self._transport.max_attempts))
                    self._transport.submit(window[-1].request)
                if not window:
                    return report
                self._wait(window[0].request)
                window.popleft().account(report)
        finally:
            for unfinished in window:
                self._transport.cancel(unfinished.request)

    @property
    def _bucket_path(self) -> str:
        return self._base_path.rstrip("/") or "/"

    def _path(self, key: str) -> str:
        if not _UNRESERVED.fullmatch(key):
            key = quote(key, safe="/~")
        return self._base_path + key

    def _run(self, request: Request) -> Request:
        self._transport.submit(request)
        return self._wait(request)

    def _wait(self, request: Request) -> Request:
        while not request.done:
            self._transport.step()
        if request.fault or request.status >= 300:
            raise failure(self.bucket, request)
        return request


class _DeleteBatch:
    """One DeleteObjects call: up to 1,000 keys with their ETags."""

    def __init__(self, path: str, etags: dict[str, str], max_attempts: int) -> None:
        body = delete_request(etags.items())
        headers = (("content-md5", _content_md5(body)),)
        first_key = next(iter(etags))
        self.request = Request("s3:DeleteObject", "POST", path, "delete=", headers, first_key, body, self._check)
        self._keys = etags.keys()
        self._attempts = min(DELETE_ATTEMPTS, max_attempts)
        self._answer: DeleteAnswer | None = None

    def _check(self, request: Request) -> str | None:
        try:
            self._answer = parse_delete_answer(request.answer)
        except UnreadableAnswer as error:
            return str(error)
        if self._answer.worth_retrying and request.attempts < self._attempts:
            return "some deletes were put off"
        return None

    def account(self, report: DeleteReport) -> None:
        """Add the answers for every key to the report; no answer is a failure."""
        answer = self._answer
        if answer is None:
            raise StorageError("a delete was accounted for before it was answered")
        report.deleted += len(self._keys & answer.deleted)
        report.markers += answer.markers
        report.failures += answer.failures
        self.request.check = None  # it refers back to this batch: a cycle that would wait for the garbage collector
        unanswered = self._keys - answer.deleted - {refused.key for refused in answer.failures}
        report.failures += [DeleteFailure(key, "S3 did not answer for this key") for key in sorted(unanswered)]


class S3Upload:
    """`store.Upload`: one PUT where the content is small, else a multipart upload that streams."""

    def __init__(self, store: S3Bucket, key: str, part_bytes: int) -> None:
        self._store = store
        self._key = key
        self._part_bytes = part_bytes
        self._pieces: list[bytes] = []
        self._missing_bytes = part_bytes
        """Until there is enough for a part."""
        self._upload_id = ""
        self._parts: list[Request] = []
        self._finished = False

    def write(self, data: bytes) -> None:
        """See `Upload.write`."""
        # Joined once, at its final size: a buffer that grows leaves the process with holes as large as all the others.
        while len(data) >= self._missing_bytes:
            self._pieces.append(data[: self._missing_bytes])
            data = data[self._missing_bytes :]
            self._send_part(self._take_pieces())
        self._pieces.append(data)
        self._missing_bytes -= len(data)

    def finish(self, last_look: Callable[[], object] = lambda: None) -> str:
        """See `Upload.finish`."""
        if not self._upload_id:
            request = self._put(self._take_pieces(), last_look)
        else:
            if self._missing_bytes < self._part_bytes:
                self._send_part(self._take_pieces())
            for part in self._parts:
                self._store._wait(part)
            request = self._complete(last_look)
        self._finished = True
        etag = request.header("etag") or parse_fields(request.answer).get("ETag", "")
        return etag.strip('"')

    def abort(self) -> None:
        """See `Upload.abort`."""
        under_way = [part for part in self._parts if not part.done]
        for part in under_way:
            self._store._transport.cancel(part)
        if self._upload_id and not self._finished:
            self._abort_once()
            if under_way:
                self._abort_once()  # S3 may have taken in a part meanwhile (API_AbortMultipartUpload)
            self._finished = True

    def _abort_once(self) -> None:
        query = f"uploadId={_quote_query(self._upload_id)}"
        try:
            self._store._run(self._request("s3:AbortMultipartUpload", "DELETE", query))
        except StorageError as error:
            if error.code != "NoSuchUpload":
                raise

    def _take_pieces(self) -> bytes:
        joined = b"".join(self._pieces)
        self._pieces.clear()
        self._missing_bytes = self._part_bytes
        return joined

    def _put(self, body: bytes, last_look: Callable[[], object]) -> Request:
        headers = (("content-md5", _content_md5(body)), ("if-none-match", "*"))
        return self._publish(self._request("s3:PutObject", "PUT", "", headers, body), last_look)

    def _publish(self, request: Request, last_look: Callable[[], object]) -> Request:
        self._store._transport.run_watched(request, last_look)
        return self._store._wait(request)

    def _send_part(self, body: bytes) -> None:
        if not self._upload_id:
            create = self._request("s3:PutObject", "POST", "uploads=")
            create.check = lambda done: None if _upload_id(done) else "S3 gave no upload id"
            self._upload_id = _upload_id(self._store._run(create))
        query = f"partNumber={len(self._parts) + 1}&uploadId={_quote_query(self._upload_id)}"
        part = self._request("s3:PutObject", "PUT", query, (("content-md5", _content_md5(body)),), body)
        self._parts.append(part)
        self._store._transport.submit(part)
        if len(self._parts) > PARTS_IN_FLIGHT:
            earlier = self._store._wait(self._parts[-1 - PARTS_IN_FLIGHT])
            earlier.body = b""

    def _complete(self, last_look: Callable[[], object]) -> Request:
        body = complete_request(part.header("etag") or "" for part in self._parts)
        query = f"uploadId={_quote_query(self._upload_id)}"
        request = self._request("s3:PutObject", "POST", query, (("if-none-match", "*"),), body)
        # S3 may answer 200 at once and tell of a failure in the body.
        request.check = _check_completed
        try:
            return self._publish(request, last_look)
        except StorageError as error:
            if error.code == "NoSuchUpload" and request.attempts > 1:
                # An earlier attempt may have completed it and lost the answer: the day's rollups will tell.
                raise AlreadyExists(f"s3://{self._store.bucket}/{self._key} may exist already") from error
            raise

    def _request(self, operation: str, method: str, query: str, headers: Headers = (), body: bytes = b"") -> Request:
        path = self._store._path(self._key)
        return Request(operation, method, path, query, headers, self._key, body, wants_headers=True)


def _upload_id(created: Request) -> str:
    return parse_fields(created.answer).get("UploadId", "")


def _check_completed(request: Request) -> str | None:
    if root_name(request.answer) == "CompleteMultipartUploadResult":
        return None
    fields = parse_fields(request.answer)
    return f"the upload was not completed: {fields.get('Code', '')}: {fields.get('Message', '')}".rstrip(": ")


def _is_encrypted_otherwise(request: Request) -> bool:
    """With anything but SSE-S3, says the answer's header; the ETag is then no MD5 of the content (API_Object)."""
    encryption = request.header("x-amz-server-side-encryption") or ""
    customer_key = request.header("x-amz-server-side-encryption-customer-algorithm")
    return encryption.startswith("aws:kms") or customer_key is not None


def _content_md5(body: bytes) -> str:
    return base64.b64encode(md5(body, usedforsecurity=False).digest()).decode()


def _quote_query(text: str) -> str:
    return quote(text, safe="~")
