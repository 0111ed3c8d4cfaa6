"""A counting server with a bucket `logs`, and the program run against it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from bench.buckets import Bucket
from bench.s3_server import S3Server, serving


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with serving() as server:
        server.api.buckets["logs"] = Bucket()
        yield server
