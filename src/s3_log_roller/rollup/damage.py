"""How what reads rollups says that something is wrong with one."""

from __future__ import annotations

from typing import NoReturn

from s3_log_roller.errors import DamagedRollup


def damaged(reason: str) -> NoReturn:
    """Raise `DamagedRollup`; the caller who knows the rollup's key adds it."""
    raise DamagedRollup(reason)
