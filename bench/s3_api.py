"""S3's operations on buckets in memory: a request in, the bytes of its answer out.

Honest where it matters to the roller: real listing order and paging, conditional reads, writes and deletes, checksums
of bodies, S3's error codes. Signatures are not checked. Anything it does not know is answered with 501.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from html import unescape
from itertools import islice
from typing import Final
from urllib.parse import parse_qsl, quote, unquote
from xml.sax.saxutils import escape

from bench.buckets import Bucket, MadeUpBucket, MultipartUpload, StoredObject

REGION: Final = "us-east-1"
MAX_KEYS: Final = 1_000
MIN_PART_BYTES: Final = 5 << 20

_XML: Final = b'<?xml version="1.0" encoding="UTF-8"?>\n'
_NAMESPACE: Final = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
_HOST_ID: Final = "wVrdkPZ/gGVbRxnAqxC9eHJ9Qk6f0vZ1lM4QJm8XxTg3kT0r5cJ7yqkzQ2n6Yv4BWm3u1dS8pEo="
_REASONS: Final = {
    200: "OK",
    204: "No Content",
    206: "Partial Content",
    304: "Not Modified",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    412: "Precondition Failed",
    416: "Requested Range Not Satisfiable",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Slow Down",
}
_DELETED_OBJECT: Final = re.compile(r"<Object>(.*?)</Object>", re.DOTALL)
_PART: Final = re.compile(r"<Part>(.*?)</Part>", re.DOTALL)
_LIST_V1_FIELDS: Final = {"prefix", "marker", "max-keys", "encoding-type", "delimiter"}
_PLAIN: Final = re.compile(r"[A-Za-z0-9/._-]*")
_RANGE: Final = re.compile(rb"bytes=(\d*)-(\d*)")


class S3Error(Exception):
    """An error answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


PRECONDITION_FAILED: Final = S3Error(
    412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold"
)
SLOW_DOWN: Final = S3Error(503, "SlowDown", "Please reduce your request rate.")
ARCHIVED: Final = S3Error(403, "InvalidObjectState", "The operation is not valid for the object's storage class")
ARCHIVE_CLASSES: Final = ("GLACIER", "DEEP_ARCHIVE")
NO_SUCH_KEY: Final = S3Error(404, "NoSuchKey", "The specified key does not exist.")


@dataclass(slots=True)
class Call:
    """One HTTP request, read to its end."""

    method: str
    bucket: str
    key: str
    query: str
    head: bytes
    """The request line and the headers."""
    lower_head: bytes
    body: bytes = b""

    def header(self, name: bytes) -> bytes:
        """A header by its lower-case name; empty where it was not sent."""
        start = self.lower_head.find(b"\r\n" + name + b":")
        if start < 0:
            return b""
        start += len(name) + 3
        end = self.head.find(b"\r\n", start)
        return self.head[start : end if end >= 0 else None].strip()

    def metadata(self) -> bytes:
        """The header lines of the object's metadata."""
        lines = self.head.split(b"\r\n") if b"\r\nx-amz-meta-" in self.lower_head else []
        return b"".join(line + b"\r\n" for line in lines if line.lower().startswith(b"x-amz-meta-"))


@lru_cache(maxsize=200_000)
def http_date(epoch_s: int) -> bytes:
    """RFC 9110's date format."""
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(epoch_s)).encode()


@lru_cache(maxsize=200_000)
def _iso_date(epoch_s: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(epoch_s))


class S3Api:
    """All buckets, and the count of requests by operation."""

    def __init__(self) -> None:
        self.buckets: dict[str, Bucket | MadeUpBucket] = {}
        self.requests: Counter[str] = Counter()
        self.may_delete: Callable[[], bool] = lambda: True
        """Asked for each key of a DeleteObjects; where it says no, the key's answer is SlowDown."""
        self._answers = 0

    def answer(self, call: Call) -> bytes:
        """The whole answer to a call."""
        try:
            if not call.bucket:
                self.requests["ListBuckets"] += 1
                return self._xml(f"<ListAllMyBucketsResult {_NAMESPACE}><Buckets/></ListAllMyBucketsResult>")
            if call.method == "GET" and call.key and not call.query:
                self.requests["GetObject"] += 1
                return self._get_object(call)
            return self._dispatch(call)
        except S3Error as error:
            return self.error(call, error)

    def error(self, call: Call, error: S3Error) -> bytes:
        """An error answer; without a body where the request was a HEAD."""
        head_only = call.method == "HEAD"
        body = (
            b""
            if head_only
            else _XML
            + (
                f"<Error><Code>{error.code}</Code><Message>{escape(str(error))}</Message><Key>{escape(call.key)}</Key>"
                f"<BucketName>{escape(call.bucket)}</BucketName><RequestId>{self._answers:016X}</RequestId>"
                f"<HostId>{_HOST_ID}</HostId></Error>"
            ).encode()
        )
        return self._reply(error.status, b"Content-Type: application/xml\r\n", body)

    def _dispatch(self, call: Call) -> bytes:
        query = dict(parse_qsl(call.query, keep_blank_values=True))
        query.pop("x-id", None)  # names the operation once more; newer SDKs send it
        where = "key" if call.key else "bucket"
        match call.method, where:
            case "GET", "bucket" if "location" in query:
                return self._count("GetBucketLocation", self._xml(f"<LocationConstraint {_NAMESPACE}/>"))
            case "GET", "bucket" if "versioning" in query:
                return self._count("GetBucketVersioning", self._xml(f"<VersioningConfiguration {_NAMESPACE}/>"))
            case "GET", "bucket" if "uploads" in query:
                return self._count("ListMultipartUploads", self._list_uploads(call))
            case "GET", "bucket" if query.get("list-type") == "2":
                self.requests["ListObjectsV2"] += 1
                return self._list_objects(call, query)
            case "GET", "bucket" if "list-type" not in query and query.keys() <= _LIST_V1_FIELDS:
                self.requests["ListObjects"] += 1
                return self._list_objects(call, query)
            case "HEAD", "bucket":
                self.requests["HeadBucket"] += 1
                self._bucket(call)
                return self._reply(200, f"x-amz-bucket-region: {REGION}\r\n".encode())
            case "PUT", "bucket" if not query:
                self.requests["CreateBucket"] += 1
                self.buckets.setdefault(call.bucket, Bucket())
                return self._reply(200, f"Location: /{call.bucket}\r\n".encode())
            case "POST", "bucket" if "delete" in query:
                self.requests["DeleteObjects"] += 1
                return self._delete_objects(call)
            case "GET", "key":
                self.requests["GetObject"] += 1
                return self._get_object(call)
            case "HEAD", "key":
                self.requests["HeadObject"] += 1
                return self._get_object(call)
            case "DELETE", "key" if "uploadId" in query:
                self.requests["AbortMultipartUpload"] += 1
                self._upload(call, query)
                del self._bucket(call).uploads[query["uploadId"]]
                return self._reply(204)
            case "DELETE", "key":
                self.requests["DeleteObject"] += 1
                self._delete_object(call)
                return self._reply(204)
            case "POST", "key" if "uploads" in query:
                self.requests["CreateMultipartUpload"] += 1
                return self._create_upload(call)
            case "POST", "key" if "uploadId" in query:
                self.requests["CompleteMultipartUpload"] += 1
                return self._complete_upload(call, query)
            case "PUT", "key" if "partNumber" in query:
                self.requests["UploadPart"] += 1
                return self._upload_part(call, query)
            case "PUT", "key" if not query:
                self.requests["PutObject"] += 1
                return self._put_object(call)
        self.requests["unknown"] += 1
        raise S3Error(501, "NotImplemented", f"{call.method} {call.query} is not known to this server")

    def _count(self, operation: str, answer: bytes) -> bytes:
        self.requests[operation] += 1
        return answer

    def _bucket(self, call: Call) -> Bucket | MadeUpBucket:
        bucket = self.buckets.get(call.bucket)
        if bucket is None:
            raise S3Error(404, "NoSuchBucket", "The specified bucket does not exist")
        return bucket

    def _writable(self, call: Call) -> Bucket:
        bucket = self._bucket(call)
        if bucket.read_only or not isinstance(bucket, Bucket):
            raise S3Error(403, "AccessDenied", "Access Denied: this bucket's listing is made up")
        return bucket

    # Reading

    def _get_object(self, call: Call) -> bytes:
        stored = self._bucket(call).find(call.key)
        if stored is None:
            raise NO_SUCH_KEY
        wanted = call.header(b"if-match")
        if wanted and wanted.strip(b'"').decode() != stored.etag and wanted != b"*":
            raise PRECONDITION_FAILED
        if stored.storage_class in ARCHIVE_CLASSES and call.method == "GET":
            raise ARCHIVED
        status, extra, body = 200, b"", stored.body
        ranged = call.header(b"range")
        if ranged:
            first, last = _span(ranged, len(body))
            extra = b"Content-Range: bytes %d-%d/%d\r\n" % (first, last, len(body))
            body = body[first : last + 1]
            status = 206
        headers = b'Last-Modified: %b\r\nETag: "%b"\r\n%bAccept-Ranges: bytes\r\nContent-Type: text/plain\r\n' % (
            http_date(stored.mtime),
            stored.etag.encode(),
            extra + stored.metadata,
        )
        return self._reply(status, headers, body, head_only=call.method == "HEAD")

    def _list_objects(self, call: Call, query: dict[str, str]) -> bytes:
        bucket = self._bucket(call)
        prefix = query.get("prefix", "")
        version_1 = "list-type" not in query
        start_after = query.get("marker" if version_1 else "start-after", "")
        token = query.get("continuation-token")
        after = start_after if token is None else base64.b64decode(token).decode()
        max_keys = min(int(query.get("max-keys", MAX_KEYS)), MAX_KEYS)
        url = query.get("encoding-type") == "url"
        encode = _url_encoded if url else escape
        delimiter = query.get("delimiter", "")
        entries = _down_to(delimiter, bucket, prefix, after) if delimiter else bucket.entries(prefix, after)
        page = list(islice(entries, max_keys + 1))
        truncated = len(page) > max_keys
        if truncated:
            page.pop()
        found = [
            f"<Contents><Key>{encode(key)}</Key><LastModified>{_iso_date(stored.mtime)}</LastModified>"
            f"<ETag>&quot;{stored.etag}&quot;</ETag><Size>{len(stored.body)}</Size>"
            f"<StorageClass>{stored.storage_class}</StorageClass></Contents>"
            if stored is not None
            else f"<CommonPrefixes><Prefix>{encode(key)}</Prefix></CommonPrefixes>"
            for key, stored in page
        ]
        head = f"<Name>{call.bucket}</Name><Prefix>{encode(prefix)}</Prefix>"
        if version_1:
            head += f"<Marker>{encode(start_after)}</Marker>"
        else:
            if start_after:
                head += f"<StartAfter>{encode(start_after)}</StartAfter>"
            if token is not None:
                head += f"<ContinuationToken>{token}</ContinuationToken>"
            if truncated and page:
                next_token = base64.b64encode(page[-1][0].encode()).decode()
                head += f"<NextContinuationToken>{next_token}</NextContinuationToken>"
            head += f"<KeyCount>{len(page)}</KeyCount>"
        head += f"<MaxKeys>{max_keys}</MaxKeys>"
        head += "<EncodingType>url</EncodingType>" if url else ""
        head += f"<IsTruncated>{'true' if truncated else 'false'}</IsTruncated>"
        return self._xml(f"<ListBucketResult {_NAMESPACE}>{head}{''.join(found)}</ListBucketResult>")

    # Writing

    def _put_object(self, call: Call) -> bytes:
        bucket = self._writable(call)
        _check_body(call)
        _require_free(call, bucket)
        stored = bucket.put(call.key, call.body, int(time.time()))
        stored.metadata = call.metadata()
        return self._reply(200, _etag_header(stored.etag))

    def _create_upload(self, call: Call) -> bytes:
        bucket = self._writable(call)
        upload_id = hashlib.sha256(f"{call.key} {self._answers}".encode()).hexdigest()
        bucket.uploads[upload_id] = MultipartUpload(call.key, call.metadata())
        return self._xml(
            f"<InitiateMultipartUploadResult {_NAMESPACE}><Bucket>{call.bucket}</Bucket><Key>{escape(call.key)}</Key>"
            f"<UploadId>{upload_id}</UploadId></InitiateMultipartUploadResult>"
        )

    def _upload(self, call: Call, query: dict[str, str]) -> MultipartUpload:
        upload = self._bucket(call).uploads.get(query["uploadId"])
        if upload is None or upload.key != call.key:
            raise S3Error(404, "NoSuchUpload", "The specified upload does not exist.")
        return upload

    def _upload_part(self, call: Call, query: dict[str, str]) -> bytes:
        upload = self._upload(call, query)
        _check_body(call)
        etag = hashlib.md5(call.body, usedforsecurity=False).hexdigest()
        upload.parts[int(query["partNumber"])] = (call.body, etag)
        return self._reply(200, _etag_header(etag))

    def _complete_upload(self, call: Call, query: dict[str, str]) -> bytes:
        bucket = self._writable(call)
        upload = self._upload(call, query)
        _require_free(call, bucket)
        bodies: list[bytes] = []
        digests = b""
        listed = [_fields(part) for part in _PART.findall(call.body.decode())]
        for fields in listed:
            number, etag = int(fields["PartNumber"]), fields["ETag"].strip('"')
            body, part_etag = upload.parts.get(number, (b"", ""))
            if etag != part_etag:
                raise S3Error(400, "InvalidPart", "One or more of the specified parts could not be found.")
            if bodies and len(bodies[-1]) < MIN_PART_BYTES:
                raise S3Error(400, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
            bodies.append(body)
            digests += bytes.fromhex(etag)
        if not bodies or [int(fields["PartNumber"]) for fields in listed] != sorted(upload.parts)[: len(listed)]:
            raise S3Error(400, "InvalidPartOrder", "The list of parts was not in ascending order.")
        etag = f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(bodies)}"
        bucket.put(call.key, b"".join(bodies), int(time.time()), etag).metadata = upload.metadata
        del bucket.uploads[query["uploadId"]]
        return self._xml(
            f"<CompleteMultipartUploadResult {_NAMESPACE}><Location>/{call.bucket}/{quote(call.key)}</Location>"
            f"<Bucket>{call.bucket}</Bucket><Key>{escape(call.key)}</Key><ETag>&quot;{etag}&quot;</ETag>"
            "</CompleteMultipartUploadResult>"
        )

    def _list_uploads(self, call: Call) -> bytes:
        uploads = "".join(
            f"<Upload><Key>{escape(upload.key)}</Key><UploadId>{upload_id}</UploadId></Upload>"
            for upload_id, upload in self._bucket(call).uploads.items()
        )
        return self._xml(
            f"<ListMultipartUploadsResult {_NAMESPACE}><Bucket>{call.bucket}</Bucket>"
            f"<IsTruncated>false</IsTruncated>{uploads}</ListMultipartUploadsResult>"
        )

    # Deleting

    def _delete_object(self, call: Call) -> None:
        bucket = self._writable(call)
        wanted = call.header(b"if-match").decode().strip('"')
        stored = bucket.find(call.key)
        if wanted and (refusal := _refused(stored, wanted)):
            raise refusal
        bucket.remove(call.key)

    def _delete_objects(self, call: Call) -> bytes:
        bucket = self._writable(call)
        if not _check_body(call):
            raise S3Error(400, "InvalidRequest", "Missing required header for this request: Content-MD5")
        text = call.body.decode()
        objects = _DELETED_OBJECT.findall(text)
        if not 0 < len(objects) <= MAX_KEYS:
            raise S3Error(400, "MalformedXML", "The XML you provided was not well-formed")
        quiet = "<Quiet>true</Quiet>" in text
        answers: list[str] = []
        for entry in objects:
            fields = _fields(entry)
            key, wanted = fields["Key"], fields.get("ETag", "").strip('"')
            refusal = _refused(bucket.find(key), wanted) if wanted else None
            if refusal is None and not self.may_delete():
                refusal = SLOW_DOWN
            if refusal is not None:
                answers.append(
                    f"<Error><Key>{escape(key)}</Key><Code>{refusal.code}</Code><Message>{refusal}</Message></Error>"
                )
                continue
            bucket.remove(key)
            if not quiet:
                answers.append(f"<Deleted><Key>{escape(key)}</Key></Deleted>")
        return self._xml(f"<DeleteResult {_NAMESPACE}>{''.join(answers)}</DeleteResult>")

    # Answers

    def _xml(self, text: str) -> bytes:
        return self._reply(200, b"Content-Type: application/xml\r\n", _XML + text.encode())

    def _reply(self, status: int, headers: bytes = b"", body: bytes = b"", *, head_only: bool = False) -> bytes:
        self._answers += 1
        return b"".join(
            (
                b"HTTP/1.1 %d %b\r\nx-amz-id-2: %b\r\nx-amz-request-id: %016X\r\nDate: %b\r\n"
                b"x-amz-server-side-encryption: AES256\r\n"
                % (
                    status,
                    _REASONS[status].encode(),
                    _HOST_ID.encode(),
                    self._answers,
                    http_date(int(time.time())),
                ),
                headers,
                b"" if status == 204 else b"Content-Length: %d\r\n" % len(body),
                b"Server: AmazonS3\r\n\r\n",
                b"" if head_only else body,
            )
        )


def _down_to(
    delimiter: str, bucket: Bucket | MadeUpBucket, prefix: str, after: str
) -> Iterator[tuple[str, StoredObject | None]]:
    """The entries of a listing with a delimiter; a common prefix stands without an object."""
    while (entry := next(bucket.entries(prefix, after), None)) is not None:
        key, _ = entry
        place = key.find(delimiter, len(prefix))
        if place < 0:
            yield entry
            after = key
        else:
            folder = key[: place + len(delimiter)]
            yield folder, None
            after = folder + "\U0010ffff"


def _url_encoded(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else quote(text, safe="/!'()*-._~")


def _fields(entry: str) -> dict[str, str]:
    return {name: unescape(text) for name, text in re.findall(r"<(\w+)>([^<]*)</\1>", entry)}


def _etag_header(etag: str) -> bytes:
    return f'ETag: "{etag}"\r\n'.encode()


def _refused(stored: StoredObject | None, wanted_etag: str) -> S3Error | None:
    """Why a conditional delete is not done."""
    if stored is None:
        return NO_SUCH_KEY
    return PRECONDITION_FAILED if wanted_etag not in ("*", stored.etag) else None


def _require_free(call: Call, bucket: Bucket) -> None:
    if call.header(b"if-none-match") == b"*" and bucket.find(call.key) is not None:
        raise PRECONDITION_FAILED


def _span(header: bytes, length: int) -> tuple[int, int]:
    """The first and last byte that a Range header asks for."""
    match = _RANGE.fullmatch(header)
    if match is None or match[1] == match[2] == b"":
        raise S3Error(501, "NotImplemented", f"this server does not know the range {header!r}")
    if not match[1]:
        first, last = max(0, length - int(match[2])), length - 1
    else:
        first, last = int(match[1]), min(int(match[2] or length - 1), length - 1)
    if first > last:
        raise S3Error(416, "InvalidRange", "The requested range is not satisfiable")
    return first, last


def _check_body(call: Call) -> bool:
    """Compare the body with whatever checksums came with it; says whether one of S3's own did."""
    checked = False
    if md5 := call.header(b"content-md5"):
        if base64.b64encode(hashlib.md5(call.body, usedforsecurity=False).digest()) != md5:
            raise S3Error(400, "BadDigest", "The Content-MD5 you specified did not match what we received.")
        checked = True
    if crc32 := call.header(b"x-amz-checksum-crc32"):
        if base64.b64encode(zlib.crc32(call.body).to_bytes(4, "big")) != crc32:
            raise S3Error(400, "BadDigest", "The CRC32 you specified did not match the calculated checksum.")
        checked = True
    sha256 = call.header(b"x-amz-content-sha256")
    if len(sha256) == 64 and binascii.unhexlify(sha256) != hashlib.sha256(call.body).digest():
        raise S3Error(400, "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match")
    return checked or b"x-amz-checksum-" in call.lower_head or b"\r\nx-amz-trailer:" in call.lower_head


def parse_target(target: bytes) -> tuple[str, str, str]:
    """(bucket, key, query) of a path-style request target."""
    path, _, query = target.decode("latin-1").partition("?")
    bucket, _, key = path[1:].partition("/")
    return bucket, unquote(key) if "%" in key else key, query
