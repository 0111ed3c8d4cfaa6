"""The signer agrees with botocore's."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from hashlib import sha256
from unittest import mock
from urllib.parse import quote

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import given
from hypothesis import strategies as st

from s3_log_roller.s3.signing import Credentials, Signer

KEYS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=80)
QUERIES = st.dictionaries(
    st.text("abcXYZ-09", min_size=1), st.text(st.characters(exclude_categories=["Cs"])), max_size=4
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "content-md5": st.just("1B2M2Y8AsgTpgAmY7PhCfg=="),
        "if-match": st.just('"fba9dede5f27731c9771645a39863328"'),
        "if-none-match": st.just("*"),
        "range": st.just("bytes=0-99"),
    },
)


@given(
    key=KEYS | st.sampled_from(["a//b", "./x", "x/../y", "a b+c%d:e", "é/ü", "…", "~tilde"]),
    query=QUERIES,
    headers=HEADERS,
    body=st.binary(max_size=64),
    token=st.none() | st.just("FwoGZXIvYXdzE//token+with/slashes=="),
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD"]),
    host=st.sampled_from(["bucket.s3.us-west-2.amazonaws.com", "127.0.0.1:8333"]),
)
def test_signatures_are_botocores(
    key: str,
    query: dict[str, str],
    headers: dict[str, str],
    body: bytes,
    token: str | None,
    method: str,
    host: str,
) -> None:
    """For any key, query, headers, payload and session token, the signature is the one botocore computes."""
    path = "/bucket/" + quote(key, safe="/~")
    query_string = "&".join(f"{quote(k, safe='~')}={quote(v, safe='~')}" for k, v in sorted(query.items()))
    payload = sha256(body).hexdigest()
    moment = 1_656_652_543
    signer = Signer(host, "us-west-2", lambda: Credentials("AKIDEXAMPLE", "wJalr/secret+KEY", token), lambda: moment)

    ours = signer.sign(method, path, query_string, tuple(sorted(headers.items())), payload)

    url = f"https://{host}{path}" + (f"?{query_string}" if query_string else "")
    request = AWSRequest(method, url, headers={**headers, "X-Amz-Content-SHA256": payload}, data=body)
    auth = botocore.auth.S3SigV4Auth(BotoCredentials("AKIDEXAMPLE", "wJalr/secret+KEY", token), "s3", "us-west-2")
    frozen = datetime.fromtimestamp(moment, UTC)
    with mock.patch("botocore.auth.get_current_datetime", return_value=frozen.replace(tzinfo=None)):
        auth.add_auth(request)
    assert _authorization(ours) == request.headers["Authorization"].split("Signature=")[1]


def _authorization(lines: list[str]) -> str:
    (line,) = [line for line in lines if line.startswith("authorization: ")]
    return line.split("Signature=")[1]


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
