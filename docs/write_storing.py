"""Try every way to store a rollup on three servers, and write what went out and what they said into the guide.

    python docs/write_storing.py

A test tries them again and holds the table to it (tests/integration/test_storing.py).
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.moto import Moto
from tests.support.storing import ASKED, BODIES, Tried, make_bucket, try_it

from s3_log_roller.demo.servers import LocalServer, Ministack, SeaweedFS

PAGE: Final = Path(__file__).parent / "guide" / "storing.md"
BEGIN: Final = "<!-- Written by docs/write_storing.py. -->\n"
END: Final = "<!-- End of what is written. -->\n"
SERVERS: Final[tuple[type[LocalServer], ...]] = (SeaweedFS, Ministack, Moto)


def main() -> int:
    """Write the table."""
    with ExitStack() as stack:
        servers = [stack.enter_context(server()) for server in SERVERS]
        for server in servers:
            make_bucket(server, "storing")
        rows = [
            row(asked, kind, [try_it(server, "storing", asked, kind) for server in servers])
            for asked in ASKED
            for kind in BODIES
        ]
    before, _, rest = PAGE.read_text().partition(BEGIN)
    names = [server.name for server in SERVERS]
    head = [f"| asked for | upload | headers | {' | '.join(names)} |", "|---" * (3 + len(names)) + "|"]
    PAGE.write_text(before + BEGIN + "\n" + "\n".join([*head, *rows]) + "\n\n" + END + rest.partition(END)[2])
    return 0


def row(asked: str, kind: str, tried: list[Tried]) -> str:
    """A line of the table. The headers are those of the server that took the most requests."""
    fullest = max(tried, key=lambda one: len(set(one.sent)))
    return f"| {asked} | {kind} | {_headers(fullest)} | {' | '.join(one.answer for one in tried)} |"


def _headers(tried: Tried) -> str:
    """Each header once, checksums without their values."""
    found = {
        f"`{name}: {'…' if name.startswith('x-amz-checksum-') and name[15:] not in ('type', 'algorithm') else value}`"
        for headers in tried.sent
        for name, value in headers
    }
    return "<br>".join(sorted(found)) or "none"


if __name__ == "__main__":
    sys.exit(main())
