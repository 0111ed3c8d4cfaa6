"""boto3's answers on how to reach S3 are handed over to the bulk transport as they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import (
    CredentialRetrievalError,
    EndpointConnectionError,
    ParamValidationError,
    ProxyConnectionError,
)

from s3_log_roller.aws.patience import DEFAULT_TIMEOUT_S
from s3_log_roller.aws.s3 import open_bucket, opening
from s3_log_roller.aws.s3.opening import DEFAULT_MAX_ATTEMPTS
from s3_log_roller.aws.s3.ownership import AskAws
from s3_log_roller.aws.s3.request import Request
from s3_log_roller.aws.s3.signing import Credentials
from s3_log_roller.aws.s3.transport import Transport
from s3_log_roller.errors import CredentialsError, NoCredentials, StorageError, Unreachable, WrongRegion


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of this machine gets in."""
    for name in (
        "AWS_CA_BUNDLE",
        "REQUESTS_CA_BUNDLE",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "no_proxy",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")


def answer(status: int = 200, body: bytes = b"", /, **headers: str) -> Callable[..., Any]:
    """What S3 says to HeadBucket, without a network."""

    class Raw:
        def stream(self, *_: object, **__: object) -> list[bytes]:
            return [body]

        def read(self, *_: object) -> bytes:
            return body

    return lambda request, **_: AWSResponse(request.url, status, HTTPHeaders.from_dict(headers), Raw())


def session(region: str = "us-west-2", token: str | None = None, **headers: str) -> boto3.Session:
    made = boto3.Session("AKIDEXAMPLE", "secret", token, region)
    made.events.register("before-send.s3.HeadBucket", answer(**({"x-amz-bucket-region": region} | headers)))
    return made


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], boto3.Session]:
    """A session of a profile with these settings, besides a region."""

    def session_of(settings: str) -> boto3.Session:
        path = tmp_path / "config"
        path.write_text(f"[profile logs]\nregion = us-west-2\n{settings}\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(path))
        made = boto3.Session(profile_name="logs")
        made.events.register("before-send.s3.HeadBucket", answer(**{"x-amz-bucket-region": "us-west-2"}))
        return made

    return session_of


class Reached(Exception):
    pass


def reach(monkeypatch: pytest.MonkeyPatch, made: boto3.Session, bucket: str, **options: Any) -> tuple[str, str, Any]:
    """(URL of a GET of the key `k`, its authorization header, the wire settings), caught before it is sent."""
    seen: list[tuple[str, str, Any]] = []

    def catch(transport: Any, request: Request) -> None:
        lines = transport._signer.sign(request.method, request.path, request.query, request.headers, "x")
        authorization = next(line for line in lines if line.startswith("authorization"))
        seen.append((transport.wire.origin + request.path, authorization, transport.wire))
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
        (
            "logs",
            {"AWS_USE_FIPS_ENDPOINT": "true", "AWS_USE_DUALSTACK_ENDPOINT": "true"},
            "https://logs.s3-fips.dualstack.us-west-2.amazonaws.com/k",
        ),
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


KEYS = "aws_access_key_id = AKIDPROFILE\naws_secret_access_key = secret\n"


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ("", "https://logs.s3.us-west-2.amazonaws.com/k"),
        ("s3 =\n  addressing_style = path", "https://s3.us-west-2.amazonaws.com/logs/k"),
        ("s3 =\n  addressing_style = virtual\nendpoint_url = https://store.example", "https://logs.store.example/k"),
        ("use_fips_endpoint = true", "https://logs.s3-fips.us-west-2.amazonaws.com/k"),
        ("use_dualstack_endpoint = true", "https://logs.s3.dualstack.us-west-2.amazonaws.com/k"),
    ],
)
def test_a_profile_chooses_endpoint_and_addressing_style(
    monkeypatch: pytest.MonkeyPatch, profile: Callable[[str], boto3.Session], settings: str, url: str
) -> None:
    """What the profile file says of the way to S3 holds for the bulk requests."""
    assert reach(monkeypatch, profile(KEYS + settings), "logs")[0] == url


def test_ca_bundle_and_attempts_come_from_a_profile(
    monkeypatch: pytest.MonkeyPatch, profile: Callable[[str], boto3.Session]
) -> None:
    """`ca_bundle` and `max_attempts` of the profile hold until the environment says otherwise."""
    made = profile(KEYS + "ca_bundle = /etc/profile.pem\nmax_attempts = 5")
    _, authorization, wire = reach(monkeypatch, made, "logs")
    assert "Credential=AKIDPROFILE/" in authorization
    assert (wire.ca_bundle, wire.max_attempts) == ("/etc/profile.pem", 5)
    monkeypatch.setenv("AWS_CA_BUNDLE", "/etc/ca.pem")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")
    wire = reach(monkeypatch, profile(KEYS + "ca_bundle = /etc/profile.pem\nmax_attempts = 5"), "logs")[2]
    assert (wire.ca_bundle, wire.max_attempts) == ("/etc/ca.pem", 3)


def test_a_profile_may_ask_a_program_for_credentials(
    monkeypatch: pytest.MonkeyPatch, profile: Callable[[str], boto3.Session], tmp_path: Path
) -> None:
    """The keys that `credential_process` prints sign the requests."""
    printed = {"Version": 1, "AccessKeyId": "AKIDPROGRAM", "SecretAccessKey": "secret", "SessionToken": "token"}
    (tmp_path / "printed.json").write_text(json.dumps(printed))
    made = profile(f"credential_process = cat {tmp_path / 'printed.json'}")
    assert "Credential=AKIDPROGRAM/" in reach(monkeypatch, made, "logs")[1]


def test_requests_ca_bundle_counts_where_nothing_else_is_said(
    monkeypatch: pytest.MonkeyPatch, profile: Callable[[str], boto3.Session]
) -> None:
    """As with boto3, REQUESTS_CA_BUNDLE comes behind AWS_CA_BUNDLE and the profile."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/requests.pem")
    assert reach(monkeypatch, session(), "logs")[2].ca_bundle == "/etc/requests.pem"
    assert reach(monkeypatch, profile(KEYS + "ca_bundle = /etc/p.pem"), "logs")[2].ca_bundle == "/etc/p.pem"
    monkeypatch.setenv("AWS_CA_BUNDLE", "/etc/ca.pem")
    assert reach(monkeypatch, session(), "logs")[2].ca_bundle == "/etc/ca.pem"


class Clock:
    """A time that the test moves on, for botocore and for the signer."""

    def __init__(self) -> None:
        self.now = datetime(2022, 7, 1, tzinfo=UTC)

    def expiring(self, refresh: Callable[[], dict[str, str]]) -> boto3.Session:
        """A session whose keys, AKIDFIRST, end in an hour and are then asked of `refresh`."""
        made = session()
        own: Any = made._session
        own._credentials = RefreshableCredentials(
            "AKIDFIRST",
            "s",
            "first",
            self.now + timedelta(hours=1),
            refresh,
            "sts-assume-role",
            lambda: self.now,
        )
        return made


def test_expired_credentials_are_refreshed_without_opening_the_bucket_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signer holds no keys of its own: those that the session renewed, with their token, sign from then on."""
    clock = Clock()
    refreshed: list[datetime] = []
    seen: list[str] = []

    def refresh() -> dict[str, str]:
        refreshed.append(clock.now)
        end = clock.now + timedelta(hours=1)
        return {"access_key": "AKIDNEXT", "secret_key": "n", "token": "next", "expiry_time": end.isoformat()}

    def catch(transport: Any, request: Request) -> None:
        transport._signer._clock = lambda: clock.now.timestamp()
        seen.append("\n".join(transport._signer.sign("GET", "/", "", (), "x")))
        raise Reached

    monkeypatch.setattr(Transport, "submit", catch)
    store = open_bucket(clock.expiring(refresh), "logs")
    for minutes in (0, 30, 31):
        clock.now += timedelta(minutes=minutes)
        with pytest.raises(Reached):
            store.etag_is_md5("k")
    assert ["Credential=AKIDFIRST/" in headers for headers in seen] == [True, True, False]
    assert "Credential=AKIDNEXT/" in seen[2]
    assert "x-amz-security-token: next" in seen[2].splitlines()
    assert refreshed == [clock.now]


def test_credentials_that_cannot_be_refreshed_are_named_as_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long into a run, when the program that gave the first keys fails: one error of the right kind."""
    clock = Clock()

    def refresh() -> dict[str, str]:
        raise CredentialRetrievalError(provider="custom-process", error_msg="logged out")

    store = open_bucket(clock.expiring(refresh), "logs")
    clock.now += timedelta(hours=1)
    with pytest.raises(CredentialsError, match=r"cannot be refreshed: .*logged out"):
        store.etag_is_md5("k")


def test_a_server_that_sends_every_request_elsewhere_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 follows it until Python gives up; a network that wants a login does so."""

    def astray(*_: object) -> None:
        raise RecursionError

    monkeypatch.setattr(opening, "_locate", astray)
    with pytest.raises(Unreachable, match="s3://logs cannot be reached: the server sends every request elsewhere"):
        open_bucket(session(), "logs")


def unnamed_region(region: str | None) -> boto3.Session:
    """A session whose server does not say where the bucket is, as many that are not S3 do not."""
    made = boto3.Session("AKIDEXAMPLE", "secret", None, region)
    made.events.register("before-send.s3.HeadBucket", answer())
    return made


@pytest.mark.parametrize(
    ("worker", "of_session", "region"),
    [
        ("eu-west-1", "us-west-2", "eu-west-1"),
        (None, "us-west-2", "us-west-2"),
        (None, None, "us-east-1"),
    ],
)
def test_where_no_region_is_told_the_one_asked_for_signs(
    worker: str | None, of_session: str | None, region: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run's own, that of the session, or where all buckets once were."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000")
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    made = unnamed_region(of_session)
    assert open_bucket(made, "logs", worker_region=worker).region == region
    assert f"/{region}/s3/" in reach(monkeypatch, made, "logs", worker_region=worker)[1]


def test_the_buckets_owner_is_expected_in_every_request_if_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else no request says anything of it."""
    for owner in ("123456789012", None):
        signed = reach(monkeypatch, session(), "logs", expected_bucket_owner=owner)[1]
        assert ("x-amz-expected-bucket-owner" in signed) is (owner is not None)


def test_half_of_the_time_is_for_each_of_two_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    """And some of it for the time between them."""
    wire = reach(monkeypatch, session(), "logs", timeout_s=100.0)[2]
    assert (wire.connect_timeout_s, wire.read_timeout_s, wire.silence_s) == (10.0, 40.0, 100.0)
    assert reach(monkeypatch, session(), "logs")[2].silence_s == DEFAULT_TIMEOUT_S


@pytest.mark.parametrize(("endpoint", "asked"), [("", True), ("http://127.0.0.1:9000", False)])
def test_only_s3_is_asked_whose_the_rollups_will_be(endpoint: str, asked: bool) -> None:
    """Other servers have no such question."""
    store = open_bucket(session(), "logs", endpoint_url=endpoint or None)
    assert isinstance(store._questions, AskAws) is asked


@pytest.mark.parametrize(
    ("status", "kind", "code", "words"),
    [
        (404, StorageError, "NoSuchBucket", "the bucket s3://logs does not exist"),
        (407, Unreachable, "Network", r"the proxy wants a user name .*; s3://logs was not touched"),
        (500, StorageError, "500", r"s3:ListBucket on s3://logs failed: .*; nothing was touched, run again"),
    ],
)
def test_a_bucket_that_cannot_be_opened_is_one_error(
    status: int, kind: type[StorageError], code: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the kind that tells whether another bucket could be."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    made = boto3.Session("AKIDEXAMPLE", "secret", None, "us-west-2")
    made.events.register("before-send.s3.HeadBucket", answer(status))
    with pytest.raises(kind, match=words) as raised:
        open_bucket(made, "logs")
    assert type(raised.value) is kind
    assert raised.value.code == code


def test_a_refusal_without_a_reason_is_asked_for_the_reason() -> None:
    """The answer to HeadBucket has no body; that to a listing says what is wrong with the credentials."""
    made = boto3.Session("AKIDEXAMPLE", "secret", None, "us-west-2")
    made.events.register("before-send.s3.HeadBucket", answer(400))
    body = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
    made.events.register("before-send.s3.ListObjectsV2", answer(400, body))
    with pytest.raises(CredentialsError, match=r"refused the credentials, .*\(ExpiredToken\): renew the credentials"):
        open_bucket(made, "logs")


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (EndpointConnectionError(endpoint_url="x"), Unreachable, r"cannot be reached: .*--timeout \(now 7 s\)"),
        (ProxyConnectionError(proxy_url="x"), Unreachable, r"cannot be reached: .*the proxy and the network"),
        (ParamValidationError(report="odd"), StorageError, "s3:ListBucket on s3://logs: .*odd"),
        (ValueError("Invalid endpoint: x"), StorageError, "s3://logs cannot be reached: Invalid endpoint: x"),
    ],
)
def test_what_keeps_boto3_from_the_bucket_is_one_error(
    fault: Exception, kind: type[StorageError], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a traceback."""

    def fail(*_: object) -> None:
        raise fault

    monkeypatch.setattr(opening, "_locate", fail)
    with pytest.raises(kind, match=words) as raised:
        open_bucket(session(), "logs", timeout_s=7)
    assert type(raised.value) is kind


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ("", NoCredentials, "no AWS credentials found"),
        ("aws_access_key_id = AKID", CredentialsError, "the credentials cannot be read: Partial credentials"),
        (
            "credential_process = /nonexistent/program",
            CredentialsError,
            "the program that hands them out cannot be run, /nonexistent/program: No such file",
        ),
    ],
)
def test_credentials_that_cannot_be_had_are_one_error(
    settings: str,
    kind: type[CredentialsError],
    words: str,
    profile: Callable[[str], boto3.Session],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It says which of the ways to name some fails, and why."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(kind, match=words) as raised:
        open_bucket(profile(settings), "logs")
    assert type(raised.value) is kind


def test_the_signers_keys_are_those_of_the_session() -> None:
    """All three of them."""
    made = session(token="token")
    assert opening._credentials(made)() == Credentials("AKIDEXAMPLE", "secret", "token")
