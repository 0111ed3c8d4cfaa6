"""Where the CPU of a log goes: every step of a rollup on its own, in memory. `python -m bench.steps`.

The steps of the table in docs/decisions/0009-cpu-per-log.md, but for libcurl's share. Best of several rounds, all steps
in turns, so that a machine that changes its speed does so for all of them.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Generator, Iterable
from hashlib import md5
from itertools import islice
from typing import Final, cast
from urllib.parse import quote

from deflate import deflate_compress
from isal import isal_zlib

from bench.logs import FIRST_DAY, Content, LogSet, generate
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rollup.originals import Originals
from s3_log_roller.rollup.writer import RollupWriter
from s3_log_roller.s3.signing import EMPTY_SHA256, Credentials, Signer
from s3_log_roller.s3.xml import delete_request, parse_delete_answer, parse_page
from s3_log_roller.store import ListedObject, Piece, Store
from s3_log_roller.verify import verify

LOGS: Final = 20_000
ROUNDS: Final = 8
PREFIX: Final = "example.com/"
GROUP: Final = DayGroup("bucket1", PREFIX, FIRST_DAY)
_TIME: Final = "%Y-%m-%dT%H:%M:%S.000Z"


class _OneRollup:
    """As much of a store as `verify` needs."""

    bucket = GROUP.bucket

    def __init__(self, rollup: bytes) -> None:
        self._rollup = rollup

    def fetch(self, pieces: Iterable[Piece]) -> Generator[tuple[bytes, bytes], None, None]:
        """See `Store.fetch`."""
        for piece in pieces:
            yield self._rollup[piece.offset : piece.offset + piece.length], b""


def steps() -> dict[str, Callable[[], object]]:
    """Every step by name, each for all logs."""
    logs = sorted(generate(LogSet(logs=LOGS)), key=lambda log: log[0])
    bodies = [content.body for _, content, _ in logs]
    md5s = [bytes.fromhex(content.etag) for _, content, _ in logs]
    pages = [_listing(logs[start : start + 1000]) for start in range(0, LOGS, 1000)]
    answers = [_delete_answer(logs[start : start + 1000]) for start in range(0, LOGS, 1000)]
    signer = Signer("127.0.0.1:9000", "us-east-1", lambda: Credentials("AKIAEXAMPLE", "secret", None))
    requests = [(f"/bucket1/{key}", (("if-match", f'"{content.etag}"'),)) for key, content, _ in logs]
    tar = b"".join(bodies)
    blocks = [tar[start : start + (1 << 20)] for start in range(0, len(tar), 1 << 20)]

    def list_all() -> Originals:
        originals = Originals(GROUP)
        for page in pages:
            for entry in parse_page(page).objects:
                originals.append(entry.key[len(PREFIX) :], entry.etag, entry.size, entry.mtime)
        return originals

    def pack() -> bytes:
        writer = RollupWriter(GROUP, originals.content_digest(), 1)
        out = [writer.add(one, body, digest) for one, body, digest in zip(originals, bodies, md5s, strict=True)]
        return b"".join([*out, *writer.finish()])

    originals = list_all()
    rollup = pack()
    entry = ListedObject(GROUP.rollup_key(originals.content_digest()), "etag", len(rollup), 0, archived=False)
    store = cast("Store", _OneRollup(rollup))
    deflated = [deflate_compress(block, 8) for block in blocks]

    def delete() -> None:
        source = ((PREFIX + original.suffix, original.etag) for original in originals)
        while batch := dict(islice(source, 1000)):
            delete_request(batch.items())

    return {
        "LIST: entries parsed, put into the table": list_all,
        "content digest, for the name": originals.content_digest,
        "GET: signature": lambda: [signer.sign("GET", path, "", headers, EMPTY_SHA256) for path, headers in requests],
        "MD5 of the bodies": lambda: [md5(body, usedforsecurity=False).digest() for body in bodies],
        "packed at level 1, digest included": pack,
        "libdeflate, level 1": lambda: [deflate_compress(block, 1) for block in blocks],
        "libdeflate, level 7": lambda: [deflate_compress(block, 7) for block in blocks],
        "libdeflate, level 8": lambda: [deflate_compress(block, 8) for block in blocks],
        "inflate": lambda: [isal_zlib.decompress(data, -15) for data in deflated],
        "verify, inflate and MD5 included": lambda: verify(store, GROUP, entry, originals, {}),
        "DeleteObjects: requests": delete,
        "DeleteObjects: answers": lambda: [parse_delete_answer(answer) for answer in answers],
        "for scale: zlib, level 9": lambda: [zlib.compress(block, 9) for block in blocks],
    }


def _listing(logs: list[tuple[str, Content, int]]) -> bytes:
    entries = "".join(
        f"<Contents><Key>{quote(key)}</Key><LastModified>{time.strftime(_TIME, time.gmtime(mtime))}</LastModified>"
        f"<ETag>&quot;{content.etag}&quot;</ETag><Size>{len(content.body)}</Size>"
        "<StorageClass>STANDARD</StorageClass></Contents>"
        for key, content, mtime in logs
    )
    return f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>".encode()


def _delete_answer(logs: list[tuple[str, Content, int]]) -> bytes:
    keys = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key, _, _ in logs)
    return f"<DeleteResult>{keys}</DeleteResult>".encode()


def main() -> None:
    """Print µs of CPU per log, step by step."""
    best: dict[str, float] = {}
    todo = steps()
    for _ in range(ROUNDS):
        for name, step in todo.items():
            started = time.process_time()
            step()
            best[name] = min(best.get(name, 1e9), time.process_time() - started)
    for name, seconds in best.items():
        print(f"{name:42} {seconds / LOGS * 1e6:6.2f}")


if __name__ == "__main__":
    main()
