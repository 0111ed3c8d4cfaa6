"""Where the demo plays: an S3 and an SQS server with empty buckets and a queue, and what is done with them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import boto3

from s3_log_roller.aws.s3.request import Request
from s3_log_roller.aws.s3.signing import Credentials, Signer
from s3_log_roller.aws.s3.transport import Transport
from s3_log_roller.aws.s3.wire import Wire
from s3_log_roller.demo.scenario import BUCKETS, Place
from s3_log_roller.demo.servers import REGION, Ministack, SeaweedFS, isolated_environment

QUEUE: Final = "s3-rollup-us-west-2"
PUTS_IN_FLIGHT: Final = 32
PATIENCE_SECONDS: Final = 5
"""After so long without an answer a PUT is sent again."""

_ROLLER: Final = (sys.executable, "-c", "import sys; from s3_log_roller.cli.main import main; sys.exit(main())")
_STOPPING: Final = (signal.SIGINT, signal.SIGTERM)
_NO_SETTINGS: Final = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}


class Listed(NamedTuple):
    """An object in a listing."""

    etag: str
    size: int
    modified: datetime


Listing = dict[Place, Listed]


@dataclass(frozen=True, slots=True)
class Stage:
    """The servers, a folder, and a way to run programs there."""

    server: SeaweedFS
    s3: Any
    folder: Path

    def put(self, objects: Mapping[Place, bytes]) -> None:
        """Write the objects; many at a time, for one after the other would take longest of all in the demo."""
        credentials = Credentials(self.server.access_key, self.server.secret_key, None)
        host = self.server.endpoint.removeprefix("http://")
        wire = Wire(self.server.endpoint, connect_timeout_s=PATIENCE_SECONDS, read_timeout_s=PATIENCE_SECONDS)
        transport = Transport(wire, Signer(host, REGION, lambda: credentials), PUTS_IN_FLIGHT)
        try:
            waiting = [
                Request("s3:PutObject", "PUT", f"/{place.bucket}/{quote(place.key, safe='/~')}", body=content)
                for place, content in objects.items()
            ]
            for request in waiting:
                transport.submit(request)
            while waiting:
                transport.step()
                waiting = [request for request in waiting if not request.done]
        finally:
            transport.close()

    def get(self, place: Place) -> bytes:
        """An object's content."""
        content: bytes = self.s3.get_object(Bucket=place.bucket, Key=place.key)["Body"].read()
        return content

    def list_everything(self) -> Listing:
        """Every object of every bucket, in S3's order."""
        found = {
            Place(bucket, entry["Key"]): Listed(entry["ETag"].strip('"'), entry["Size"], entry["LastModified"])
            for bucket in BUCKETS
            for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
            for entry in page.get("Contents", [])
        }
        return dict(sorted(found.items()))  # SeaweedFS lists `a/b` before `a-b`

    def run_roller(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a command of the program, as a user does."""
        return self.run([*_ROLLER, *arguments])

    def run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run it in a process group of its own: Ctrl-C is for the demo, which ends what it runs."""
        return subprocess.run(  # noqa: S603
            command, cwd=self.folder, capture_output=True, text=True, process_group=0
        )


@contextmanager
def set_stage() -> Iterator[Stage]:
    """Start everything, and end it however the `with` block ends.

    Meanwhile this process's environment leads to the servers and nowhere else.
    """
    with ExitStack() as stack:
        stack.callback(_set_environment, dict(os.environ))
        for number in _STOPPING:
            stack.callback(signal.signal, number, signal.getsignal(number))
        _set_environment(isolated_environment() | _NO_SETTINGS)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="s3-log-roller-demo-")))
        s3_server = stack.enter_context(SeaweedFS(folder / "s3"))
        sqs_server = stack.enter_context(Ministack(folder / "sqs"))
        for number in _STOPPING:  # called back first: a second Ctrl-C would leave files behind
            stack.callback(signal.signal, number, signal.SIG_IGN)
        _set_environment(isolated_environment(s3_server, sqs_server) | {"TZ": "UTC"})
        s3 = boto3.client("s3")
        for bucket in BUCKETS:
            s3.create_bucket(Bucket=bucket)
        boto3.client("sqs").create_queue(QueueName=QUEUE)
        yield Stage(s3_server, s3, folder)


def _set_environment(environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
