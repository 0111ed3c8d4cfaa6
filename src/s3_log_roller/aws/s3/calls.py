"""The requests of one bucket: where they go, and refusals as this program's errors."""

from __future__ import annotations

import base64
import re
from hashlib import md5
from typing import Final
from urllib.parse import quote

from s3_log_roller.aws.s3.failures import failure
from s3_log_roller.aws.s3.request import Request
from s3_log_roller.aws.s3.transport import Transport

_UNRESERVED: Final = re.compile(r"[A-Za-z0-9_.~/-]*")


class Calls:
    """A bucket on a transport."""

    def __init__(self, bucket: str, base_path: str, transport: Transport) -> None:
        self.bucket = bucket
        self.transport = transport
        self._base_path = base_path

    @property
    def bucket_path(self) -> str:
        """The path of requests for the bucket itself."""
        return self._base_path.rstrip("/") or "/"

    def path(self, key: str) -> str:
        """The path of requests for an object."""
        if not _UNRESERVED.fullmatch(key):
            key = quote(key, safe="/~")
        return self._base_path + key

    def run(self, request: Request) -> Request:
        """Submit a request and wait for its answer. Raises what `failure` makes of one without success."""
        self.transport.submit(request)
        return self.wait(request)

    def wait(self, request: Request) -> Request:
        """Wait for a request that was submitted, as `run` does."""
        while not request.done:
            self.transport.step()
        if request.fault or request.status >= 300:
            raise failure(self.bucket, request)
        return request


def content_md5(body: bytes) -> str:
    """The value of the header `Content-MD5`."""
    return base64.b64encode(md5(body, usedforsecurity=False).digest()).decode()


def quote_query(text: str) -> str:
    """A value in a query string, as SigV4 wants it."""
    return quote(text, safe="~")
