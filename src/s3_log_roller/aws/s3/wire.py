"""How to reach a server, and libcurl set up for that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pycurl

from s3_log_roller.aws.s3.request import Request

MAX_BODY_BYTES: Final = 16 << 20
"""No answer is longer: pieces are 4 MiB, listings under 2 MiB."""
LOW_SPEED_BYTES: Final = 100
"""Slower than this a second, for the read time-out, and the transfer counts as stuck."""
SLOWEST_BYTES_PER_S: Final = 50_000


_DNS_SHUFFLE_ADDRESSES: Final = 275
"""CURLOPT_DNS_SHUFFLE_ADDRESSES, for which pycurl has no name. S3's names stand for several addresses, and libcurl
takes the first for all connections; AWS's own clients spread over them."""


@dataclass(frozen=True, slots=True)
class Wire:
    """How to reach the server, as boto3 works it out."""

    origin: str
    """`https://host[:port]`."""
    proxy: str = ""
    ca_bundle: str | None = None
    connect_timeout_s: float = 60
    read_timeout_s: float = 60
    max_attempts: int = 8
    silence_s: float = 120
    """A server from which nothing at all came for so long is given up, whatever attempts are left."""
    user_agent: str = "s3-log-roller"


class Handle:
    """A libcurl handle, with what is asked of it for every request at hand: libcurl's own object is slow to find it."""

    __slots__ = ("chunks", "curl", "getinfo", "header_lines", "setopt")

    def __init__(self) -> None:
        self.curl: Any = pycurl.Curl()
        self.setopt = self.curl.setopt
        self.getinfo = self.curl.getinfo
        self.chunks: list[bytes] = []
        """The answer, as it comes."""
        self.header_lines: list[bytes] = []


def new_handle(wire: Wire, *, with_headers: bool) -> Handle:
    """A handle for GETs. Header lines of answers come only `with_headers`."""
    handle = Handle()
    handle.setopt(_DNS_SHUFFLE_ADDRESSES, 1)
    handle.setopt(pycurl.DNS_CACHE_TIMEOUT, 0)  # each new connection looks the name up, and so is shuffled anew
    if with_headers:
        handle.setopt(pycurl.HEADERFUNCTION, handle.header_lines.append)
    for option, value in (
        (pycurl.WRITEFUNCTION, handle.chunks.append),
        (pycurl.NOSIGNAL, 1),
        (pycurl.PATH_AS_IS, 1),
        (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
        (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
        (pycurl.USERAGENT, wire.user_agent),
        (pycurl.PROXY, wire.proxy),
        (pycurl.NOPROXY, ""),
        (pycurl.CONNECTTIMEOUT_MS, max(1, int(wire.connect_timeout_s * 1000))),
        (pycurl.LOW_SPEED_LIMIT, LOW_SPEED_BYTES),
        (pycurl.LOW_SPEED_TIME, max(1, int(wire.read_timeout_s))),
        (pycurl.TIMEOUT, int(wire.connect_timeout_s + wire.read_timeout_s) + MAX_BODY_BYTES // SLOWEST_BYTES_PER_S),
        (pycurl.MAXFILESIZE, MAX_BODY_BYTES),
        (pycurl.SSL_VERIFYPEER, 1),
        (pycurl.SSL_VERIFYHOST, 2),
    ):
        handle.setopt(option, value)
    if wire.ca_bundle:
        handle.setopt(pycurl.CAINFO, wire.ca_bundle)
        handle.setopt(pycurl.PROXY_CAINFO, wire.ca_bundle)
    return handle


def prepare(handle: Handle, request: Request, lines: list[str]) -> None:
    """Make a handle ready for what is not a GET; may add to the header lines. It is good for that request only."""
    if request.method == "HEAD":
        handle.setopt(pycurl.NOBODY, 1)
    else:
        handle.setopt(pycurl.POSTFIELDS, request.body)
        handle.setopt(pycurl.CUSTOMREQUEST, request.method)
        lines += ["expect:", "content-type:"]
