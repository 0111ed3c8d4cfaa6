"""How long the few calls that boto3 makes wait for a server that does not answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from botocore.config import Config

DEFAULT_TIMEOUT_S: Final = 50.0
"""A server that does not answer is given up after so long, all attempts together."""
MAX_CONNECT_TIMEOUT_S: Final = 10.0
ATTEMPTS: Final = 4
_SHARE: Final = 0.2
"""An attempt waits for this share of that time; the rest passes between the attempts."""


def connect_timeout_s(timeout_s: float) -> float:
    """How long to wait for a connection."""
    return min(MAX_CONNECT_TIMEOUT_S, timeout_s * _SHARE)


def patient(timeout_s: float | None = None, *, poll_s: int = 0) -> Config:
    """boto3's settings for calls that are given up after that time; a server may hold one back for `poll_s`."""
    from botocore.config import Config

    timeout_s = timeout_s or DEFAULT_TIMEOUT_S
    return Config(
        connect_timeout=connect_timeout_s(timeout_s),
        read_timeout=timeout_s * _SHARE + poll_s,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
    )


def advice(timeout_s: float | None) -> str:
    """Which option says how long to wait."""
    return f"--timeout (now {timeout_s or DEFAULT_TIMEOUT_S:g} s) says how long to wait"
