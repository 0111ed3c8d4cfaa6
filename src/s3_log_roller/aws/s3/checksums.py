"""Checksums that S3 holds an upload to, beside Content-MD5, and keeps with the object.

S3 makes the SHA-256 of an upload in parts *composite*: it is over the parts' own, with their number. CRC-64/NVME is the
whole object's either way, since CRCs of parts can be joined (S3 User Guide, "Checking object integrity").
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from s3_log_roller.aws.s3.signing import Headers
from s3_log_roller.stored_as import CRC64NVME, SHA256

_TYPES: Final = {SHA256: "COMPOSITE", CRC64NVME: "FULL_OBJECT"}
_PREFIX: Final = "x-amz-checksum-"


class Checksums:
    """The checksums of one upload. Without an algorithm there are none, and no headers."""

    def __init__(self, algorithm: str) -> None:
        self._algorithm = algorithm
        self._parts: list[str] = []
        self._crc = 0

    def of_object(self, body: bytes) -> Headers:
        """The header of a PUT."""
        return self._header(_encoded(self._algorithm, body)) if self._algorithm else ()

    def of_upload(self) -> Headers:
        """The headers that announce an upload in parts."""
        if not self._algorithm:
            return ()
        return ((f"{_PREFIX}algorithm", self._algorithm.upper()), (f"{_PREFIX}type", _TYPES[self._algorithm]))

    def of_part(self, body: bytes) -> Headers:
        """The header of the next part."""
        if not self._algorithm:
            return ()
        if self._algorithm == CRC64NVME:
            self._crc = _crc64nvme()(body, self._crc)
        self._parts.append(_encoded(self._algorithm, body))
        return self._header(self._parts[-1])

    def of_all_parts(self) -> Headers:
        """The headers of the completion, which S3 holds against what it joined. SHA-256 has none."""
        if self._algorithm != CRC64NVME:
            return ()
        whole = base64.b64encode(self._crc.to_bytes(8, "big")).decode()
        return (*self._header(whole), (f"{_PREFIX}type", _TYPES[CRC64NVME]))

    def elements(self) -> list[str]:
        """What the completion says of each part, as XML; empty where there are no checksums."""
        name = f"Checksum{self._algorithm.upper()}"
        return [f"<{name}>{checksum}</{name}>" for checksum in self._parts]

    def _header(self, checksum: str) -> Headers:
        return ((_PREFIX + self._algorithm, checksum),)


def _encoded(algorithm: str, body: bytes) -> str:
    digest = sha256(body).digest() if algorithm == SHA256 else _crc64nvme()(body, 0).to_bytes(8, "big")
    return base64.b64encode(digest).decode()


def _crc64nvme() -> Callable[[bytes, int], int]:
    """The library, which takes a tenth of a second to load, is loaded by those alone who use it."""
    from awscrt.checksums import crc64nvme

    found: Callable[[bytes, int], int] = crc64nvme
    return found
