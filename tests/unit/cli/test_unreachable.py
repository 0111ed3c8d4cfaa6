"""What nothing could succeed without is tried once, before anything else, and told in one message."""

from __future__ import annotations

import socket
import time

import pytest

from s3_log_roller.cli.main import main

PREFIXES = [f"s3://bucket-{number}/logs/" for number in range(200)]


@pytest.fixture(autouse=True)
def _nothing_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def roll(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, float]:
    started = time.monotonic()
    code = main(["roll", *PREFIXES, "--region", "us-west-2", "--log-format", "text", *arguments])
    captured = capsys.readouterr()
    return code, captured.err, time.monotonic() - started


def test_without_credentials_there_is_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    """Not one for each of 200 prefixes."""
    code, errors, seconds = roll(capsys)
    assert code == 1
    assert errors.count("no AWS credentials found") == 1
    assert seconds < 30  # it takes half a second, and looking for them 200 times would take minutes


@pytest.mark.parametrize("kind", ["refused", "silent"])
@pytest.mark.heavy
def test_an_endpoint_where_nobody_answers_is_given_up_once(
    kind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the time that --timeout says, and the message names that option."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        endpoint = f"http://127.0.0.1:{listening.getsockname()[1]}"
        if kind == "refused":
            listening.close()
        code, errors, seconds = roll(capsys, "--endpoint-url", endpoint, "--timeout", "3")
    assert code == 1
    assert errors.count("cannot be reached") == 1
    assert "--timeout (now 3 s)" in errors
    assert seconds < 60  # 3 to 7 seconds where others are at work; 200 times that otherwise
