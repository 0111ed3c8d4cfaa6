"""Numbers of things, and sizes, as people read them."""

from __future__ import annotations


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 log`, `1,234 logs`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def size(n_bytes: float) -> str:
    """A size in decimal units: `999 B`, `1.2 kB`, `4.6 GB`."""
    if n_bytes < 999.5:
        return f"{n_bytes:.0f} B"
    units = iter(("kB", "MB", "GB", "TB"))
    unit = next(units)
    n_bytes /= 1000
    while n_bytes >= 999.95 and unit != "TB":
        n_bytes, unit = n_bytes / 1000, next(units)
    return f"{n_bytes:,.1f} {unit}"
