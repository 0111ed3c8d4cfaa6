from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import boto3
import pytest
from botocore.credentials import Credentials

from s3_log_roller.aws.sessions import Sessions
from s3_log_roller.errors import CredentialsError
from s3_log_roller.uris import Role

ROLE = Role("arn:aws:iam::123456789012:role/access", "shared-secret")


class Sts(ThreadingHTTPServer):
    """Answers AssumeRole with credentials that expire after so many seconds, or with an error code."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.requests: list[dict[str, str]] = []
        self.valid_seconds = 3600
        self.error = ""


class _Answer(BaseHTTPRequestHandler):
    server: Sts

    def do_POST(self) -> None:
        sts = self.server
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        sts.requests.append(
            {name: values[0] for name, values in form.items()} | {"auth": self.headers["Authorization"]}
        )
        if sts.error:
            self._send(
                403, f"<ErrorResponse><Error><Code>{sts.error}</Code><Message>m</Message></Error></ErrorResponse>"
            )
            return
        expires = datetime.now(UTC) + timedelta(seconds=sts.valid_seconds)
        number = len(sts.requests)
        self._send(
            200,
            f"<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIA{number}</AccessKeyId>"
            f"<SecretAccessKey>s{number}</SecretAccessKey><SessionToken>t{number}</SessionToken>"
            f"<Expiration>{expires.isoformat()}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>",
        )

    def _send(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def sts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sts]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIABASE",
        "AWS_SECRET_ACCESS_KEY": "base",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with Sts() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def credentials_of(session: boto3.Session) -> Credentials:
    credentials = session.get_credentials()
    assert credentials is not None
    return credentials


def test_a_role_is_assumed_once_under_the_programs_name(sts: Sts) -> None:
    """One AssumeRole per role, with the external id, in the region asked for, with the caller's own key."""
    sessions = Sessions(region="eu-west-1")
    session = sessions.get(ROLE)
    assert sessions.get(ROLE) is session
    credentials = credentials_of(session).get_frozen_credentials()
    assert (credentials.access_key, credentials.secret_key, credentials.token) == ("ASIA1", "s1", "t1")
    assert session.region_name == "eu-west-1"
    (request,) = sts.requests
    assert request["RoleArn"] == ROLE.arn
    assert request["RoleSessionName"] == "s3-log-roller"
    assert request["ExternalId"] == "shared-secret"
    assert "AKIABASE" in request["auth"]
    assert "/eu-west-1/sts/" in request["auth"]
    assert credentials_of(sessions.get()).access_key == "AKIABASE"


def test_role_credentials_refresh_themselves(sts: Sts) -> None:
    """A run longer than the role's session goes on with fresh credentials."""
    sts.valid_seconds = 60
    credentials = credentials_of(Sessions().get(ROLE))
    sts.valid_seconds = 3600
    assert credentials.get_frozen_credentials().access_key == "ASIA2"
    assert credentials.get_frozen_credentials().access_key == "ASIA2"
    assert len(sts.requests) == 2


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("AccessDenied", f"sts:AssumeRole on {ROLE.arn}: not allowed, or no such role"),
        ("ExpiredToken", "the credentials have expired"),
        ("InvalidClientTokenId", "not valid here"),
    ],
)
def test_a_refused_role_is_one_clear_line(sts: Sts, code: str, words: str) -> None:
    """What was refused, on which role, what to do; and never the external id."""
    sts.error = code
    with pytest.raises(CredentialsError, match=words) as caught:
        Sessions().get(ROLE)
    assert "\n" not in str(caught.value)
    assert "shared-secret" not in str(caught.value)


def test_a_refusal_in_the_middle_of_the_work_is_clear_too(sts: Sts) -> None:
    """The role was taken away during the run: the same error, not a library's."""
    sts.valid_seconds = 60
    credentials = credentials_of(Sessions().get(ROLE))
    sts.error = "AccessDenied"
    with pytest.raises(CredentialsError, match="not allowed"):
        credentials.get_frozen_credentials()


def test_an_unknown_profile_is_named(sts: Sts) -> None:
    """A typing error in --profile."""
    with pytest.raises(CredentialsError, match="nobody"):
        Sessions(profile="nobody").get()


def test_aws_region_counts_as_a_region(sts: Sts, monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 itself reads only AWS_DEFAULT_REGION; every other AWS tool reads AWS_REGION."""
    monkeypatch.setenv("AWS_REGION", "ap-south-1")
    assert Sessions().get().region_name == "ap-south-1"
    assert Sessions(region="eu-west-1").get().region_name == "eu-west-1"
