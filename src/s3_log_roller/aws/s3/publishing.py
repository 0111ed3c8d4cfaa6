"""Many small objects written at once, each only if its key is free."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from s3_log_roller.aws.s3.calls import Calls, content_md5
from s3_log_roller.aws.s3.checksums import Checksums
from s3_log_roller.aws.s3.failures import single_failure
from s3_log_roller.aws.s3.metadata import metadata_headers
from s3_log_roller.aws.s3.request import Request
from s3_log_roller.aws.s3.signing import Headers
from s3_log_roller.aws.s3.xml import bare_etag
from s3_log_roller.errors import StorageError
from s3_log_roller.store import NewObject


def publish_all(
    calls: Calls,
    objects: Mapping[str, NewObject],
    last_look: Callable[[Collection[str]], Collection[str]],
    headers: Headers = (),
    checksum: str = "",
) -> dict[str, str | StorageError]:
    """See `Store.publish_all`. Takes rounds of a look and one attempt each, until nothing is left to try again.

    `headers` say how each object is stored, and `checksum` with which checksum.
    """
    pending = {
        key: _put(
            calls,
            key,
            new.body,
            (*headers, *metadata_headers(new.metadata), *Checksums(checksum).of_object(new.body)),
        )
        for key, new in objects.items()
    }
    answers: dict[str, str | StorageError] = {}
    try:
        while pending:
            pending = {key: pending[key] for key in last_look(pending)}
            calls.transport.run_each(pending.values())
            put_off = {key: request for key, request in pending.items() if request.put_off}
            answers |= {key: _answer(calls, pending[key]) for key in pending if key not in put_off}
            pending = put_off
            calls.transport.wait_out(pending.values())
    finally:
        for request in pending.values():
            calls.transport.cancel(request)
    return answers


def _put(calls: Calls, key: str, body: bytes, headers: Headers) -> Request:
    headers = (("content-md5", content_md5(body)), ("if-none-match", "*"), *headers)
    request = Request("s3:PutObject", "PUT", calls.path(key), "", headers, key, body, wants_headers=True)
    request.watched = True
    return request


def _answer(calls: Calls, request: Request) -> str | StorageError:
    request.body = b""
    if request.fault or request.status >= 300:
        return single_failure(calls.bucket, request)
    return bare_etag(request.header("etag") or "")
