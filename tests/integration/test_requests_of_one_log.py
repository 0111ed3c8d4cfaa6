"""How many requests it takes to read one log, counted by the server: whoever reads many one by one pays for each."""

from __future__ import annotations

import subprocess
from collections import Counter
from datetime import date
from hashlib import md5

import pytest
from bench.buckets import Bucket
from bench.s3_server import S3Server
from tests.support.packing import DELIVERED, Log, pack
from tests.support.quick_server import PROGRAM, environment
from tests.support.records import a_line

from s3_log_roller.log_keys import DayGroup

PREFIX = "example.com/"
LOG = "2022-07-01-05-15-43-42117B9A70B0F1BA"
BODY = f"{a_line()}\n".encode()
ONE_LOG = Counter(HeadBucket=1, ListObjectsV2=2, GetObject=1)


def run(server: S3Server, *arguments: str) -> Counter[str]:
    """Run the program, which finds something; the requests it took."""
    server.api.requests.clear()
    done = subprocess.run([*PROGRAM, *arguments], env=environment(server), capture_output=True, check=True)
    assert BODY in done.stdout
    return server.api.requests


@pytest.mark.parametrize("arguments", [("cat",), ("grep", "-h", "curl"), ("grep", "-h", "--where", "status=200")])
@pytest.mark.parametrize("is_packed", [False, True])
def test_one_log_takes_one_head_two_lists_and_one_get(
    quick_server: S3Server, quick_bucket: Bucket, arguments: tuple[str, ...], is_packed: bool
) -> None:
    """Whether it is rolled up or not: the lists look for it in both places."""
    if is_packed:
        key, content = pack(DayGroup("logs", PREFIX, date(2022, 7, 1)), [Log(LOG, BODY)])
    else:
        key, content = f"{PREFIX}{LOG}", BODY
    quick_bucket.put(key, content, DELIVERED, etag=md5(content).hexdigest())
    assert run(quick_server, *arguments, f"s3://logs/{PREFIX}{LOG}") == ONE_LOG
