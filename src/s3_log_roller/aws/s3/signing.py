"""AWS Signature Version 4 for S3, made for many alike requests a second.

Own code, because libcurl's signer costs more CPU than this one and refuses paths with `.` or `..` segments
(docs/decisions/0003-signing.md). A property test holds it equal to botocore's signer.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Final, NamedTuple

Headers = tuple[tuple[str, str], ...]
"""(lower-case name, value) pairs."""

OWNER_HEADER: Final = "x-amz-expected-bucket-owner"
"""S3 refuses a request for a bucket of another account."""
EMPTY_SHA256: Final = sha256(b"").hexdigest()
_PAYLOAD_HEADER: Final = "x-amz-content-sha256"
_ALGORITHM: Final = "AWS4-HMAC-SHA256"


class Credentials(NamedTuple):
    """A snapshot of the credentials to sign with."""

    access_key: str
    secret_key: str
    token: str | None


class _Second:
    """Everything that stays the same for the requests of one second."""

    def __init__(self, epoch_s: int, credentials: Credentials, region: str, always: Headers) -> None:
        self.amz_date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(epoch_s))
        day = self.amz_date[:8]
        scope = f"{day}/{region}/s3/aws4_request"
        key = f"AWS4{credentials.secret_key}".encode()
        for part in (day, region, "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        self.hmac = hmac.new(key, digestmod="sha256")
        self.to_sign = f"{_ALGORITHM}\n{self.amz_date}\n{scope}\n"
        self.authorization = f"authorization: {_ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders="
        self.headers = [("x-amz-date", self.amz_date), *always]
        if credentials.token:
            self.headers.append(("x-amz-security-token", credentials.token))
        self.header_lines = [f"{name}: {value}" for name, value in self.headers]
        self.tail = _tail(self.headers)


def _tail(headers: list[tuple[str, str]]) -> tuple[str, str]:
    """Of the names that are signed, and of the canonical headers, what comes with and behind the payload's digest."""
    headers = sorted(headers)
    return (
        ";".join((_PAYLOAD_HEADER, *(name for name, _ in headers))),
        "".join(f"{name}:{value}\n" for name, value in headers),
    )


class Signer:
    """Signs requests to one host. `credentials` is asked once a second, so refreshed ones are taken up.

    `always` is sent with every request; its names sort behind `x-amz-content-sha256`.
    """

    def __init__(
        self,
        host: str,
        region: str,
        credentials: Callable[[], Credentials],
        clock: Callable[[], float] = time.time,
        *,
        always: Headers = (),
    ) -> None:
        self.host = host
        """The host that requests are signed for. It changes if the server sends on to another one."""
        self._always = always
        self.expected_owner = dict(always).get(OWNER_HEADER, "")
        self._region = region
        self._credentials = credentials
        self._clock = clock
        self._second = 0
        self._prepared: _Second | None = None

    def sign(self, method: str, path: str, query: str, headers: Headers, payload_sha256: str) -> list[str]:
        """The header lines of a signed request, the given headers among them.

        `path` and `query` are percent-encoded already, the query sorted by name, as SigV4's canonical request wants.
        """
        now = int(self._clock())
        second = self._prepared
        if second is None or now != self._second:
            second = self._prepared = _Second(now, self._credentials(), self._region, self._always)
            self._second = now
        lines = second.header_lines.copy()
        canonical = f"{method}\n{path}\n{query}\n"
        names = ""
        signed_tail, canonical_tail = second.tail
        if headers and max(headers)[0] > _PAYLOAD_HEADER:  # in few requests; for the others the tail stays the same
            late = [header for header in headers if header[0] > _PAYLOAD_HEADER]
            headers = tuple(header for header in headers if header not in late)
            lines += [f"{name}: {value}" for name, value in late]
            signed_tail, canonical_tail = _tail([*second.headers, *late])
        for name, value in sorted((("host", self.host), *headers)):
            canonical += f"{name}:{value}\n"
            names += f"{name};"
            if name != "host":
                lines.append(f"{name}: {value}")
        names += signed_tail
        canonical += f"{_PAYLOAD_HEADER}:{payload_sha256}\n{canonical_tail}\n{names}\n{payload_sha256}"
        to_sign = second.to_sign + sha256(canonical.encode()).hexdigest()
        signature = second.hmac.copy()
        signature.update(to_sign.encode())
        lines.append(f"{_PAYLOAD_HEADER}: {payload_sha256}")
        lines.append(f"{second.authorization}{names}, Signature={signature.hexdigest()}")
        return lines
