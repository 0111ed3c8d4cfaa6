"""What nothing could succeed without is tried once, before anything else, and told in one message."""

from __future__ import annotations

import socket

import pytest
from botocore.credentials import CredentialResolver
from tests.support.calls import count_calls
from urllib3.util import connection

from s3_log_roller.aws.patience import ATTEMPTS
from s3_log_roller.cli.main import main

PREFIXES = [f"s3://bucket-{number}/logs/" for number in range(200)]


@pytest.fixture(autouse=True)
def _nothing_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def roll(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(["roll", *PREFIXES, "--region", "us-west-2", "--log-format", "text", *arguments])
    return code, capsys.readouterr().err


def test_without_credentials_there_is_one_message(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one for each of 200 prefixes, nor are they looked for so often."""
    looks = count_calls(monkeypatch, CredentialResolver, "load_credentials")
    code, errors = roll(capsys)
    assert code == 1
    assert errors.count("no AWS credentials found") == 1
    assert len(looks) == 1


@pytest.mark.parametrize("kind", ["refused", "silent"])
@pytest.mark.heavy
def test_an_endpoint_where_nobody_answers_is_given_up_once(
    kind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the attempts of one call, each of which ends by itself; the message names the option that says when."""
    attempts = count_calls(monkeypatch, connection, "create_connection")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))  # nobody else gets the port meanwhile
        if kind == "silent":
            listening.listen()
        endpoint = f"http://127.0.0.1:{listening.getsockname()[1]}"
        code, errors = roll(capsys, "--endpoint-url", endpoint, "--timeout", "3")
    assert code == 1
    assert errors.count("cannot be reached") == 1
    assert "--timeout (now 3 s)" in errors
    assert len(attempts) == ATTEMPTS
