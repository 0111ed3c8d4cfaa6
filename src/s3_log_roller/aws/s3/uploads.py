"""One object being written: in one request, or in parts as its content comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from s3_log_roller.aws.s3.calls import Calls, content_md5, quote_query
from s3_log_roller.aws.s3.checksums import Checksums
from s3_log_roller.aws.s3.request import Request
from s3_log_roller.aws.s3.signing import Headers
from s3_log_roller.aws.s3.xml import bare_etag, complete_request, parse_fields, root_name
from s3_log_roller.errors import AlreadyExists, StorageError

PART_BYTES: Final = 5 << 20
MAX_PARTS: Final = 9_000
"""S3 allows 10,000 parts; the rest is reserve for an estimate that was too low."""
PARTS_IN_FLIGHT: Final = 1


class S3Upload:
    """`store.Upload`: one PUT where the content is small, else a multipart upload that streams."""

    @classmethod
    def of_size(
        cls, calls: Calls, key: str, expected_bytes: int, headers: Callable[[], Headers], checksum: str = ""
    ) -> S3Upload:
        """With parts so large that there are not too many of them.

        `headers` say how the object is stored, and are asked for when the object is created; `checksum` is the
        algorithm of its checksum, if it gets one.
        """
        return cls(calls, key, max(PART_BYTES, -(-expected_bytes // MAX_PARTS)), headers, checksum)

    def __init__(
        self, calls: Calls, key: str, part_bytes: int, headers: Callable[[], Headers], checksum: str = ""
    ) -> None:
        self._calls = calls
        self._key = key
        self._part_bytes = part_bytes
        self._headers = headers
        self._checksums = Checksums(checksum)
        self._pieces: list[bytes] = []
        self._missing_bytes = part_bytes
        """How many bytes the next part still needs."""
        self._upload_id = ""
        self._parts: list[Request] = []
        self._finished = False

    def write(self, data: bytes) -> None:
        """See `Upload.write`."""
        # Joined once, at its final size: a buffer that grows leaves the process with holes as large as all the others.
        while len(data) >= self._missing_bytes:
            self._pieces.append(data[: self._missing_bytes])
            data = data[self._missing_bytes :]
            self._send_part()
        self._pieces.append(data)
        self._missing_bytes -= len(data)

    def finish(self, last_look: Callable[[], object] = lambda: None) -> str:
        """See `Upload.finish`."""
        if not self._upload_id:
            request = self._put(self._take_pieces(), last_look)
        else:
            if self._missing_bytes < self._part_bytes:
                self._send_part()
            for part in self._parts:
                self._calls.wait(part)
            request = self._complete(last_look)
        self._finished = True
        etag = request.header("etag") or parse_fields(request.answer).get("ETag", "")
        return bare_etag(etag)

    def settle(self) -> None:
        """See `Upload.settle`."""
        if self._parts:
            self._calls.wait(self._parts[-1]).body = b""

    def abort(self) -> None:
        """See `Upload.abort`."""
        under_way = [part for part in self._parts if not part.done]
        for part in under_way:
            self._calls.transport.cancel(part)
        if self._upload_id and not self._finished:
            self._abort_once()
            if under_way:
                self._abort_once()  # S3 may have taken in a part meanwhile (API_AbortMultipartUpload)
            self._finished = True

    def _abort_once(self) -> None:
        query = f"uploadId={quote_query(self._upload_id)}"
        try:
            self._calls.run(self._request("s3:AbortMultipartUpload", "DELETE", query))
        except StorageError as error:
            if error.code != "NoSuchUpload":
                raise

    def _take_pieces(self) -> bytes:
        joined = b"".join(self._pieces)
        self._pieces.clear()
        self._missing_bytes = self._part_bytes
        return joined

    def _put(self, body: bytes, last_look: Callable[[], object]) -> Request:
        checksum = self._checksums.of_object(body)
        headers = (("content-md5", content_md5(body)), ("if-none-match", "*"), *self._headers(), *checksum)
        return self._publish(self._request("s3:PutObject", "PUT", "", headers, body), last_look)

    def _publish(self, request: Request, last_look: Callable[[], object]) -> Request:
        self._calls.transport.run_watched(request, last_look)
        return self._calls.wait(request)

    def _send_part(self) -> None:
        if not self._upload_id:
            create = self._request("s3:PutObject", "POST", "uploads=", (*self._headers(), *self._checksums.of_upload()))
            create.check = lambda done: None if _upload_id(done) else "S3 gave no upload id"
            self._upload_id = _upload_id(self._calls.run(create))
        if len(self._parts) >= PARTS_IN_FLIGHT:
            earlier = self._calls.wait(self._parts[-PARTS_IN_FLIGHT])
            earlier.body = b""  # before the next one is joined: for a moment that is there twice
        body = self._take_pieces()
        query = f"partNumber={len(self._parts) + 1}&uploadId={quote_query(self._upload_id)}"
        headers = (("content-md5", content_md5(body)), *self._checksums.of_part(body))
        part = self._request("s3:PutObject", "PUT", query, headers, body)
        self._parts.append(part)
        self._calls.transport.submit(part)

    def _complete(self, last_look: Callable[[], object]) -> Request:
        etags = [bare_etag(part.header("etag") or "") for part in self._parts]
        body = complete_request(etags, self._checksums.elements())
        query = f"uploadId={quote_query(self._upload_id)}"
        request = self._request(
            "s3:PutObject", "POST", query, (("if-none-match", "*"), *self._checksums.of_all_parts()), body
        )
        # S3 may answer 200 at once and tell of a failure in the body.
        request.check = _check_completed
        try:
            return self._publish(request, last_look)
        except StorageError as error:
            if error.code == "NoSuchUpload" and request.attempts > 1:
                # An earlier attempt may have completed it and lost the answer: the day's rollups will tell.
                raise AlreadyExists(f"s3://{self._calls.bucket}/{self._key} may exist already") from error
            raise

    def _request(self, operation: str, method: str, query: str, headers: Headers = (), body: bytes = b"") -> Request:
        path = self._calls.path(self._key)
        return Request(operation, method, path, query, headers, self._key, body, wants_headers=True)


def _upload_id(created: Request) -> str:
    return parse_fields(created.answer).get("UploadId", "")


def _check_completed(request: Request) -> str | None:
    if root_name(request.answer) == "CompleteMultipartUploadResult":
        return None
    fields = parse_fields(request.answer)
    return f"the upload was not completed: {fields.get('Code', '')}: {fields.get('Message', '')}".rstrip(": ")
