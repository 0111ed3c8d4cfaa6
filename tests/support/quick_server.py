"""The program as a process of its own, with the quick server of `bench/` for S3."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest
from bench.buckets import Bucket
from bench.s3_server import S3Server, serving

PROGRAM = [sys.executable, "-c", "import sys; from s3_log_roller.cli.main import main; sys.exit(main())"]


def environment(server: S3Server) -> dict[str, str]:
    """What makes the program find the server, and nothing of this machine's."""
    return {
        "PATH": os.environ["PATH"],
        "AWS_ENDPOINT_URL_S3": server.url,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
    }


@pytest.fixture
def quick_bucket() -> Bucket:
    """What `quick_server` has under the name `logs`."""
    return Bucket()


@pytest.fixture
def quick_server(quick_bucket: Bucket) -> Iterator[S3Server]:
    """The server, with one bucket."""
    with serving() as server:
        server.api.buckets["logs"] = quick_bucket
        yield server
