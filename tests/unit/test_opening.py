"""boto3's answers on how to reach S3 are handed over to the bulk transport as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse

from s3_log_roller.errors import WrongRegion
from s3_log_roller.s3 import open_bucket
from s3_log_roller.s3.opening import DEFAULT_MAX_ATTEMPTS
from s3_log_roller.s3.transport import Request, Transport


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of this machine gets in."""
    for name in ("AWS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")


def answer(status: int = 200, **headers: str) -> Callable[..., AWSResponse]:
    """What S3 says to HeadBucket, without a network."""

    class Raw:
        def stream(self, *_: object, **__: object) -> list[bytes]:
            return []

        def read(self, *_: object) -> bytes:
            return b""

    return lambda request, **_: AWSResponse(request.url, status, headers, Raw())


def session(region: str = "us-west-2", token: str | None = None, **headers: str) -> boto3.Session:
    made = boto3.Session("AKIDEXAMPLE", "secret", token, region)
    made.events.register("before-send.s3.HeadBucket", answer(**({"x-amz-bucket-region": region} | headers)))
    return made


class Reached(Exception):
    pass


def reach(monkeypatch: pytest.MonkeyPatch, made: boto3.Session, bucket: str, **options: Any) -> tuple[str, str, Any]:
    """(URL of a GET of the key `k`, its authorization header, the wire settings), caught before it is sent."""
    seen: list[tuple[str, str, Any]] = []

    def catch(transport: Any, request: Request) -> None:
        lines = transport._signer.sign(request.method, request.path, request.query, request.headers, "x")
        authorization = next(line for line in lines if line.startswith("authorization"))
        seen.append((transport._wire.origin + request.path, authorization, transport._wire))
        raise Reached

    monkeypatch.setattr(Transport, "submit", catch)
    store = open_bucket(made, bucket, **options)
    with pytest.raises(Reached):
        store.etag_is_md5("k")
    return seen[0]


@pytest.mark.parametrize(
    ("bucket", "environment", "url"),
    [
        ("logs", {}, "https://logs.s3.us-west-2.amazonaws.com/k"),
        ("my.logs", {}, "https://s3.us-west-2.amazonaws.com/my.logs/k"),
        ("logs", {"AWS_USE_FIPS_ENDPOINT": "true"}, "https://logs.s3-fips.us-west-2.amazonaws.com/k"),
        ("logs", {"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "https://logs.s3.dualstack.us-west-2.amazonaws.com/k"),
        ("logs", {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9000"}, "http://127.0.0.1:9000/logs/k"),
        ("logs", {"AWS_ENDPOINT_URL": "https://storage.example:443/base/"}, "https://storage.example/base/logs/k"),
    ],
)
def test_endpoints_and_addressing_styles_are_boto3s(
    monkeypatch: pytest.MonkeyPatch, bucket: str, environment: dict[str, str], url: str
) -> None:
    """Virtual-host and path style, dotted names, FIPS, dual-stack and other endpoints."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert reach(monkeypatch, session(), bucket)[0] == url


def test_requests_are_signed_for_the_buckets_own_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 refuses a signature for another region than the bucket's."""
    made = session("us-west-2", **{"x-amz-bucket-region": "eu-central-1"})
    _, authorization, _ = reach(monkeypatch, made, "logs")
    assert "/eu-central-1/s3/aws4_request" in authorization


def test_a_policy_bound_to_a_prefix_does_not_keep_a_bucket_from_being_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """HeadBucket, refused, tells the region all the same; requests then go there."""
    made = boto3.Session("AKIDEXAMPLE", "secret", None, "us-west-2")
    made.events.register("before-send.s3.HeadBucket", answer(403, **{"x-amz-bucket-region": "eu-central-1"}))
    url, authorization, _ = reach(monkeypatch, made, "logs")
    assert url == "https://logs.s3.eu-central-1.amazonaws.com/k"
    assert "/eu-central-1/s3/aws4_request" in authorization
    with pytest.raises(WrongRegion, match=r"eu-central-1.*us-west-2"):
        open_bucket(made, "logs", worker_region="us-west-2")


def test_proxy_ca_bundle_and_attempts_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTPS_PROXY, AWS_CA_BUNDLE and AWS_MAX_ATTEMPTS mean what they mean to boto3."""
    _, _, plain = reach(monkeypatch, session(), "logs")
    assert (plain.proxy, plain.max_attempts) == ("", DEFAULT_MAX_ATTEMPTS)
    assert plain.ca_bundle
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("AWS_CA_BUNDLE", "/etc/ca.pem")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")
    _, _, wire = reach(monkeypatch, session(), "logs")
    assert (wire.proxy, wire.ca_bundle, wire.max_attempts) == ("http://proxy.example:3128", "/etc/ca.pem", 3)
    monkeypatch.setenv("NO_PROXY", "amazonaws.com")
    assert reach(monkeypatch, session(), "logs")[2].proxy == ""


def test_credentials_are_asked_for_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signer holds no credentials of its own: refreshed ones, with their session token, are used."""
    made = session(token="first-token")
    seen: list[list[str]] = []
    now = [1_700_000_000.0]

    def catch(transport: Any, request: Request) -> None:
        transport._signer._clock = lambda: now[0]
        seen.append(transport._signer.sign("GET", "/", "", (), "x"))
        raise Reached

    monkeypatch.setattr(Transport, "submit", catch)
    store = open_bucket(made, "logs")
    for _ in range(2):
        with pytest.raises(Reached):
            store.etag_is_md5("k")
        credentials = made.get_credentials()
        assert credentials is not None
        credentials.token = "second-token"
        now[0] += 1
    assert "x-amz-security-token: first-token" in seen[0]
    assert "x-amz-security-token: second-token" in seen[1]
