"""libcurl handles: set up for a request, relieved of its answer, and used again for GETs."""

from __future__ import annotations

import itertools
import logging
from hashlib import sha256
from typing import Any

import pycurl

from s3_log_roller.aws.s3.redirects import moved_to
from s3_log_roller.aws.s3.request import Request
from s3_log_roller.aws.s3.signing import EMPTY_SHA256, Signer
from s3_log_roller.aws.s3.wire import Handle, Wire, new_handle, prepare

logger = logging.getLogger(__name__)


class Handles:
    """The handles of a transport; they know where requests go, and how they are signed."""

    def __init__(self, wire: Wire, signer: Signer) -> None:
        self._wire = wire
        self._signer = signer
        self._scheme = wire.origin.partition("://")[0]
        self._host = wire.origin.partition("://")[2]
        self._busy: dict[Any, Handle] = {}
        """By libcurl's own objects."""
        self._idle: tuple[list[Handle], list[Handle]] = ([], [])
        """Handles that wait for a GET whose answer's headers are not wanted, and for one whose headers are."""

    def take(self, request: Request) -> Any:
        """A handle of libcurl that is ready to make the request."""
        is_get = request.method == "GET"
        idle = self._idle[request.wants_headers]
        if is_get and idle:
            handle = idle.pop()
        else:
            handle = new_handle(self._wire, with_headers=request.wants_headers or not is_get)
        payload_sha256 = sha256(request.body).hexdigest() if request.body else EMPTY_SHA256
        lines = self._signer.sign(request.method, request.path, request.query, request.headers, payload_sha256)
        if not is_get:
            prepare(handle, request, lines)
        query = f"?{request.query}" if request.query else ""
        handle.setopt(pycurl.URL, f"{self._scheme}://{self._host}{request.path}{query}")
        handle.setopt(pycurl.HTTPHEADER, lines)
        self._busy[handle.curl] = handle
        return handle.curl

    def give_back(self, curl: Any, request: Request) -> None:
        """Take the answer out of a handle and into its request."""
        handle = self._busy.pop(curl)
        request.status = handle.getinfo(pycurl.RESPONSE_CODE)
        chunks = handle.chunks
        request.answer = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        if handle.header_lines:
            request.header_lines = handle.header_lines.copy()
            handle.header_lines.clear()
        if request.method == "GET":
            self._idle[request.wants_headers].append(handle)
        else:
            curl.close()

    def drop(self, curl: Any) -> None:
        """Close a handle whose answer nobody wants."""
        del self._busy[curl]
        curl.close()

    def move(self, answer: bytes) -> bool:
        """Whether S3 says that another of its own names answers for the bucket; all requests go there from then on."""
        host = moved_to(self._host, answer)
        if not host:
            return False
        logger.debug("moved", extra={"from": self._host, "to": host})
        self._host = self._signer.host = host
        return True

    def close(self) -> None:
        """Close those that are idle."""
        for handle in itertools.chain(*self._idle):
            handle.curl.close()
        self._idle = ([], [])
