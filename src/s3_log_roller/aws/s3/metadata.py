"""What is kept with an object beside its content: sent with it, and read with a HEAD, of archived objects, too."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from s3_log_roller.aws.s3.calls import Calls
from s3_log_roller.aws.s3.failures import single_failure
from s3_log_roller.aws.s3.request import Request
from s3_log_roller.aws.s3.signing import Headers
from s3_log_roller.aws.s3.xml import bare_etag
from s3_log_roller.errors import ObjectGone, StorageError
from s3_log_roller.store import CHECKSUM, ListedObject, Metadata

_PREFIX: Final = "x-amz-meta-"
_CHECKSUM_PREFIX: Final = "x-amz-checksum-"
_WITH_CHECKSUMS: Final[Headers] = (("x-amz-checksum-mode", "ENABLED"),)


def metadata_headers(metadata: Metadata) -> Headers:
    """The headers of the request that creates the object."""
    return tuple((_PREFIX + name, value) for name, value in metadata.items())


def read_metadata(calls: Calls, objects: Iterable[ListedObject]) -> list[Metadata | StorageError]:
    """See `Store.read_metadata`."""
    listed = list(objects)
    requests = [
        Request("s3:GetObject", "HEAD", calls.path(entry.key), "", _WITH_CHECKSUMS, entry.key, wants_headers=True)
        for entry in listed
    ]
    calls.transport.run_each(requests)
    return [_metadata(calls, entry, request) for entry, request in zip(listed, requests, strict=True)]


def _metadata(calls: Calls, entry: ListedObject, request: Request) -> Metadata | StorageError:
    if request.fault or request.status >= 300:
        return single_failure(calls.bucket, request)
    if bare_etag(request.header("etag") or "") != entry.etag:
        return ObjectGone(f"s3://{calls.bucket}/{entry.key} was replaced since it was listed")
    checksums = {CHECKSUM + name: value for name, value in request.headers_behind(_CHECKSUM_PREFIX) if name != "type"}
    return dict(request.headers_behind(_PREFIX)) | checksums
