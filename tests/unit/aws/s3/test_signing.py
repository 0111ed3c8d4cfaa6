"""The signer agrees with botocore's, on everything that a bucket sends."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import UTC, datetime
from hashlib import sha256
from unittest import mock

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from botocore.utils import percent_encode
from hypothesis import given
from hypothesis import strategies as st

from s3_log_roller.aws.s3.bucket import S3Bucket
from s3_log_roller.aws.s3.metadata import metadata_headers
from s3_log_roller.aws.s3.request import Request
from s3_log_roller.aws.s3.signing import Credentials, Signer
from s3_log_roller.aws.s3.transport import Transport
from s3_log_roller.aws.s3.uploads import S3Upload
from s3_log_roller.aws.s3.wire import Wire
from s3_log_roller.aws.s3.xml import is_not_xml
from s3_log_roller.store import ByteRange

MOMENT = 1_656_652_543
ACCESS_KEY, SECRET_KEY = "AKIDEXAMPLE", "wJalr/secret+KEY"
MD5 = "fba9dede5f27731c9771645a39863328"
METADATA = {"rollup-members": "1", "rollup-names": "ab+/c=="}
UPLOAD_ID = "2~aB.c/d+e==&%é"
ANSWERS = {
    "s3:ListBucket": b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>",
    "s3:DeleteObject": b"<DeleteResult/>",
    "s3:PutObject": f"<Answer><UploadId>{UPLOAD_ID.replace('&', '&amp;')}</UploadId></Answer>".encode(),
}

ODD_TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80),
    st.text("aZ09/.-_~+%= &?#:;,@$!*'()\"<>\\^`{|}[]\0\t\n\r\x1f\x7fé…😀", min_size=1, max_size=40),
    st.sampled_from(["a//b", "/x", "//x", "x/", "./x", "x/../y", ".", "..", "a b+c%d:e", "%2F", "é/ü", "~t", "x\n"]),
)
PLACES = st.sampled_from(
    [
        ("https://bucket.s3.us-west-2.amazonaws.com", "/"),
        ("https://bucket.s3-fips.dualstack.us-gov-west-1.amazonaws.com", "/"),
        ("https://s3.cn-north-1.amazonaws.com.cn", "/dotted.bucket/"),
        ("https://storage.example:8443", "/base/bucket/"),
        ("http://127.0.0.1:8333", "/bucket/"),
        ("http://[::1]:9000", "/bucket/"),
    ]
)
"""(origin, base path) of a bucket."""


class Recorder(Transport):
    """Signs what it is to send, as the transport does, keeps it, and answers without a network."""

    def __init__(self, wire: Wire, signer: Signer, max_in_flight: int) -> None:
        super().__init__(wire, signer, max_in_flight)
        self.sent: list[tuple[Request, bytes, list[str]]] = []
        """Request, its body at that time, header lines."""

    def submit(self, request: Request) -> None:
        payload = sha256(request.body).hexdigest()
        lines = self._signer.sign(request.method, request.path, request.query, request.headers, payload)
        self.sent.append((request, request.body, lines))
        request.answer = ANSWERS.get(request.operation, b"")
        request.status, request.done = 200, True
        if request.check:
            request.check(request)


def call_everything(store: S3Bucket, key: str, start_after: str, body: bytes) -> list[tuple[str, dict[str, str]]]:
    """Make every call that a bucket knows; (key, query parameters) of each, in their order."""
    store.etag_is_md5(key)
    list(store.fetch([ByteRange(key, MD5, 0, 9, True), ByteRange(key, f"{MD5}-2", 5 << 20, 99, False)]))
    store.list_page(key)
    store.list_page(key, start_after, max_keys=7)
    store.list_page(key, continuation_token=start_after)
    store.delete([(key, MD5)])
    small = store.upload(key, len(body), lambda: METADATA)
    small.write(body)
    small.finish()
    large = S3Upload(store._calls, key, 1, lambda: metadata_headers(METADATA))
    large.write(b"ab")
    large.finish()
    given_up = S3Upload(store._calls, key, 1, tuple)
    given_up.write(b"a")
    given_up.abort()

    listing = {"list-type": "2", "encoding-type": "url", "prefix": key}
    create, upload = (key, {"uploads": ""}), {"uploadId": UPLOAD_ID}
    return [
        *[(key, {})] * 3,
        ("", listing | {"max-keys": "1000"}),
        ("", listing | {"max-keys": "7", "start-after": start_after}),
        ("", listing | {"max-keys": "1000", "continuation-token": start_after}),
        (key, {}) if is_not_xml(key) else ("", {"delete": ""}),
        (key, {}),
        *[create, (key, upload | {"partNumber": "1"}), (key, upload | {"partNumber": "2"}), (key, upload)],
        *[create, (key, upload | {"partNumber": "1"}), (key, upload)],
    ]


@given(
    key=ODD_TEXTS,
    start_after=ODD_TEXTS,
    body=st.binary(max_size=64),
    token=st.none() | st.just("FwoGZXIvYXdzE//token+with/slashes=="),
    region=st.sampled_from(["us-west-2", "us-east-1", "us-gov-west-1", "cn-north-1"]),
    place=PLACES,
)
@pytest.mark.heavy
def test_every_request_of_a_bucket_is_signed_as_botocore_signs_it(
    key: str, start_after: str, body: bytes, token: str | None, region: str, place: tuple[str, str]
) -> None:
    """For any key, prefix, body, host, region and token: the headers are those that botocore adds to its own URL."""
    assert_signed_as_botocore_does(key, start_after, body, token, region, place)


@pytest.mark.parametrize("token", [None, "FwoGZXIvYXdzE//token+with/slashes=="])
def test_requests_are_signed_as_botocore_signs_them(token: str | None) -> None:
    """The same for one odd key, with and without a session token."""
    place = ("https://bucket.s3.us-west-2.amazonaws.com", "/")
    assert_signed_as_botocore_does("a b/é+%2F", "a~", b"body", token, "us-west-2", place)


def assert_signed_as_botocore_does(
    key: str, start_after: str, body: bytes, token: str | None, region: str, place: tuple[str, str]
) -> None:
    origin, base_path = place
    host = origin.partition("://")[2]
    signer = Signer(host, region, lambda: Credentials(ACCESS_KEY, SECRET_KEY, token), lambda: MOMENT)
    transport = Recorder(Wire(origin), signer, 1)
    with closing(S3Bucket("bucket", base_path, transport)) as store:
        calls = call_everything(store, key, start_after, body)

    auth = S3SigV4Auth(BotoCredentials(ACCESS_KEY, SECRET_KEY, token), "s3", region)
    for (call_key, parameters), (request, sent_body, lines) in zip(calls, transport.sent, strict=True):
        path = base_path + percent_encode(call_key, safe="/~") if call_key else base_path.rstrip("/") or "/"
        theirs = AWSRequest(request.method, origin + path, dict(request.headers), sent_body, parameters)
        frozen = datetime.fromtimestamp(MOMENT, UTC).replace(tzinfo=None)
        with mock.patch("botocore.auth.get_current_datetime", return_value=frozen):
            auth.add_auth(theirs)
        ours = dict(line.split(": ", 1) for line in lines)
        assert ours == {name.lower(): value for name, value in theirs.headers.items()}


def test_every_character_is_quoted_as_botocore_quotes_it() -> None:
    """One odd character among plain ones does not slip through, in a key or in a prefix."""
    transport = Recorder(Wire("http://h"), Signer("h", "r", lambda: Credentials("a", "s", None)), 1)
    with closing(S3Bucket("bucket", "/bucket/", transport)) as store:
        for number in range(0x180):
            text = f"a{chr(number)}"
            store.etag_is_md5(text)
            assert transport.sent[-1][0].path == "/bucket/" + percent_encode(text, safe="/~")
            store.list_page(text)
            assert transport.sent[-1][0].query.endswith("&prefix=" + percent_encode(text))


def test_new_credentials_are_taken_up_within_a_second() -> None:
    """A refreshed session token is used from the next second on, without anything being told."""
    now = [time.time()]
    tokens = iter(["first", "second"])
    signer = Signer("h", "r", lambda: Credentials("a", "s", next(tokens)), lambda: now[0])
    before = signer.sign("GET", "/", "", (), "x")
    now[0] += 1
    after = signer.sign("GET", "/", "", (), "x")
    assert "x-amz-security-token: first" in before
    assert "x-amz-security-token: second" in after
