"""An S3 server that does, one quirk at a time, what servers, proxies and caches were seen to do unlike S3."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import unquote

from bench.s3_api import Call, S3Api

Answer = Callable[[Call], bytes]
Quirk = Callable[[Call, Answer], bytes]


class OddApi(S3Api):
    """S3's operations, but for one quirk."""

    def __init__(self, quirk: Quirk) -> None:
        super().__init__()
        self._quirk = quirk

    def answer(self, call: Call) -> bytes:
        return self._quirk(call, super().answer)


def reply(body: bytes, status: bytes = b"200 OK", *headers: bytes) -> bytes:
    """A whole answer."""
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, lines, len(body), body)


def refuse(status: bytes, code: bytes, message: bytes = b"") -> bytes:
    """An error as S3 writes it."""
    return reply(b"<Error><Code>%b</Code><Message>%b</Message></Error>" % (code, message), status)


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


def is_list(call: Call) -> bool:
    return call.method == "GET" and not call.key and "prefix=" in call.query


def in_listings(change: Callable[[bytes], bytes]) -> Quirk:
    """A quirk of the listings' text."""

    def quirk(call: Call, answer: Answer) -> bytes:
        return reply(change(body_of(answer(call)))) if is_list(call) else answer(call)

    return quirk


def without(call: Call, *parameters: str) -> Call:
    """The call as a server sees it that does not know those parameters."""
    kept = [part for part in call.query.split("&") if part.partition("=")[0] not in parameters]
    return replace(call, query="&".join(kept))


def ranges_from_the_start(call: Call, answer: Answer) -> bytes:
    """A cache that answers every range request with the beginning of the object, and says so."""
    asked = re.fullmatch(rb"bytes=(\d+)-(\d+)", call.header(b"range"))
    if asked is None:
        return answer(call)
    length = int(asked[2]) - int(asked[1]) + 1
    whole = body_of(answer(_without_range(call)))
    return reply(whole[:length], b"206 Partial Content", b"Content-Range: bytes 0-%d/%d" % (length - 1, len(whole)))


def ranges_without_a_name(call: Call, answer: Answer) -> bytes:
    """The same, without a `Content-Range`."""
    whole = ranges_from_the_start(call, answer)
    return re.sub(rb"Content-Range: [^\r]*\r\n", b"", whole)


def ranges_unknown(call: Call, answer: Answer) -> bytes:
    """A range request gets the whole object."""
    return answer(_without_range(call))


def parts_of_whole_objects(call: Call, answer: Answer) -> bytes:
    """A cache that has only a part and sends it, though nobody asked for a part."""
    whole = answer(call)
    return whole.replace(b"200 OK", b"206 Partial Content") if call.key and not call.header(b"range") else whole


def _without_range(call: Call) -> Call:
    lower_head = re.sub(rb"\r\nrange:[^\r]*", b"", call.lower_head)
    return replace(call, head=lower_head, lower_head=lower_head)


def keys_as_they_are(call: Call, answer: Answer) -> bytes:
    """`encoding-type` is not known."""
    return answer(without(call, "encoding-type"))


def version_1_without_a_word(call: Call, answer: Answer) -> bytes:
    """`list-type=2` and all that came with it is not known."""
    return answer(without(call, "list-type", "start-after", "continuation-token"))


def version_1_and_says_so(call: Call, answer: Answer) -> bytes:
    """`list-type=2` is refused."""
    if "list-type" in call.query:
        return refuse(b"501 Not Implemented", b"NotImplemented")
    return answer(call)


def empty_pages_between(call: Call, answer: Answer) -> bytes:
    """Before every page comes an empty one, with a token for it."""
    if is_list(call) and "continuation-token" not in call.query:
        found = re.search(r"start-after=([^&]*)", call.query)
        after = found[1] if found else ""
        return reply(
            b"<ListBucketResult><IsTruncated>true</IsTruncated><KeyCount>0</KeyCount><NextContinuationToken>"
            + f"go&amp;{after}".encode()
            + b"</NextContinuationToken></ListBucketResult>"
        )
    token = re.search(r"continuation-token=go%26([^&]*)&", call.query)
    if token is None:
        return answer(call)
    start_after = f"&start-after={unquote(token[1])}" if token[1] else ""
    call = without(call, "continuation-token")
    return answer(replace(call, query=call.query + start_after))


weak_etags = in_listings(lambda text: text.replace(b"<ETag>&quot;", b"<ETag>W/&quot;"))
"""A proxy that compresses makes every ETag a weak one."""


def weak_etags_everywhere(call: Call, answer: Answer) -> bytes:
    """The same in headers, too."""
    return weak_etags(call, answer) if is_list(call) else answer(call).replace(b'ETag: "', b'ETag: W/"')


empty_etags = in_listings(lambda text: re.sub(rb"<ETag>[^<]*</ETag>", b"<ETag></ETag>", text))

doubled_entries = in_listings(lambda text: re.sub(rb"(<Contents>.*?</Contents>)", rb"\1\1", text))

foreign_entries = in_listings(lambda text: re.sub(rb"<Key>[^<]*</Key>", b"<Key>elsewhere</Key>", text, count=1))


def archive(restore: bytes = b"", *, readable: bool = False) -> Quirk:
    """Every object is in Glacier, with that RestoreStatus, and can be read or not."""

    def quirk(call: Call, answer: Answer) -> bytes:
        if is_list(call):
            tells = call.header(b"x-amz-optional-object-attributes") == b"RestoreStatus"
            status = b"<StorageClass>GLACIER</StorageClass>" + (restore if tells else b"")
            return reply(body_of(answer(call)).replace(b"<StorageClass>STANDARD</StorageClass>", status))
        if call.method == "GET" and call.key and not readable:
            return refuse(b"403 Forbidden", b"InvalidObjectState", b"not valid for the object's storage class")
        return answer(call)

    return quirk


IN_PROGRESS = b"<RestoreStatus><IsRestoreInProgress>true</IsRestoreInProgress></RestoreStatus>"
RESTORED = (
    b"<RestoreStatus><IsRestoreInProgress>false</IsRestoreInProgress><RestoreExpiryDate>2022-08-10T00:00:00.000Z"
    b"</RestoreExpiryDate></RestoreStatus>"
)


def owned_by(account: bytes) -> Quirk:
    """The bucket belongs to that account, and requests that expect another one are refused."""

    def quirk(call: Call, answer: Answer) -> bytes:
        expected = call.header(b"x-amz-expected-bucket-owner")
        if expected not in (b"", account):
            return refuse(b"403 Forbidden", b"AccessDenied", b"Access Denied")
        return answer(call)

    return quirk


def no_conditional_writes(call: Call, answer: Answer) -> bytes:
    """`If-None-Match` is refused."""
    if call.header(b"if-none-match"):
        return refuse(b"501 Not Implemented", b"NotImplemented", b"A header you provided implies functionality")
    return answer(call)


def no_delete_objects(call: Call, answer: Answer) -> bytes:
    """Objects are deleted one by one only."""
    if call.method == "POST" and call.query.startswith("delete"):
        return refuse(b"501 Not Implemented", b"NotImplemented")
    return answer(call)
