"""Where the CPU of a log goes: every step of a rollup on its own. `python -m bench.steps`.

The table of docs/decisions/0009-cpu-per-log.md. The steps are the roller's own calls against the benchmarks' server, so
libcurl's share is in them; the parts of them are in memory. Best of several rounds, all in turns, so that a machine
that changes its speed does so for all of them.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from hashlib import md5, sha256
from typing import Final

import boto3
from isal import isal_zlib

from bench.logs import FIRST_DAY, LogSet, generate
from bench.measure import BUCKET, Server
from s3_log_roller.aws.s3.bucket import S3Bucket
from s3_log_roller.aws.s3.opening import open_bucket
from s3_log_roller.aws.s3.signing import EMPTY_SHA256, Credentials, Signer
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rollup.compression import DEFAULT_LEVEL, deflate_block
from s3_log_roller.rollup.originals import Originals
from s3_log_roller.rollup.verify import verify
from s3_log_roller.rollup.writer import RollupWriter
from s3_log_roller.store import ByteRange, ListedObject

LOGS: Final = LogSet(logs=20_000)
ROUNDS: Final = 5
PREFIX: Final = "example.com/"
GROUP: Final = DayGroup(BUCKET, PREFIX, FIRST_DAY)

Step = Callable[[], object]


def whole_steps(store: S3Bucket, bodies: list[bytes], md5s: list[bytes]) -> dict[str, Step]:
    """Every step by name, in the order of a run, each for all logs of a filled bucket."""
    originals = Originals(GROUP)
    rollup = b""
    uploaded = ListedObject("", "", 0, 0, archived=False)

    def list_all() -> None:
        nonlocal originals
        originals = Originals(GROUP)
        start_after, more = "", True
        while more:
            page = store.list_page(GROUP.logs_prefix, start_after)
            for entry in page.objects:
                originals.append(entry.key[len(PREFIX) :], entry.etag, entry.size, entry.mtime)
            start_after, more = page.objects[-1].key, page.truncated

    def fetch() -> None:
        pieces = (ByteRange(PREFIX + one.suffix, one.etag, 0, one.size, whole=True) for one in originals)
        for _ in store.fetch(pieces):
            pass

    def pack() -> None:
        nonlocal rollup
        writer = RollupWriter(GROUP, DEFAULT_LEVEL)
        out = [writer.add(one, body, its_md5) for one, body, its_md5 in zip(originals, bodies, md5s, strict=True)]
        rollup = b"".join([*out, *writer.finish()])

    def upload() -> None:
        nonlocal uploaded
        key = GROUP.rollup_key(next(iter(originals)).suffix)
        started = store.upload(key, len(rollup))
        started.write(rollup)
        uploaded = ListedObject(key, started.finish(), len(rollup), 0, archived=False)

    def read_back() -> None:
        verify(store, GROUP, uploaded, originals, {})

    def delete() -> None:
        store.delete((PREFIX + original.suffix, original.etag) for original in originals)

    return {
        "LIST: pages parsed, put into the table": list_all,
        "GET: libcurl, signature, MD5 of what came": fetch,
        "pack: digest for the name, tar, deflate": pack,
        "upload: MD5, SHA-256, PUT": upload,
        "verify: read back, inflate, MD5s, digest": read_back,
        "delete: requests, answers": delete,
    }


def parts(bodies: list[bytes], keys: list[str]) -> dict[str, Step]:
    """What the steps spend most on, each for all logs."""
    signer = Signer("127.0.0.1:9000", "us-east-1", lambda: Credentials("AKIAEXAMPLE", "secret", None))
    tar = b"".join(bodies)
    blocks = [tar[start : start + (1 << 20)] for start in range(0, len(tar), 1 << 20)]
    deflated = [deflate_block(block, DEFAULT_LEVEL, last=True) for block in blocks]
    requests = [(f"/{BUCKET}/{key}", (("if-match", f'"{"0" * 32}"'),)) for key in keys]

    def deflate(level: int) -> Step:
        return lambda: [deflate_block(block, level, last=False) for block in blocks]

    return {
        "GET: signature": lambda: [signer.sign("GET", path, "", headers, EMPTY_SHA256) for path, headers in requests],
        "GET, verify: MD5 of the bodies, each time": lambda: [
            md5(one, usedforsecurity=False).digest() for one in bodies
        ],
        "pack: zlib-ng, level 8": deflate(8),
        "upload: MD5 and SHA-256": lambda: [(md5(one, usedforsecurity=False), sha256(one)) for one in deflated],
        "verify: inflate": lambda: [isal_zlib.decompress(data, -15) for data in deflated],
        "for scale: zlib-ng, level 6": deflate(6),
        "for scale: zlib-ng, level 7": deflate(7),
        "for scale: zlib, level 9": lambda: [zlib.compress(block, 9) for block in blocks],
    }


def main() -> None:
    """Print µs of CPU per log, step by step, their sum, and the parts."""
    logs = sorted(generate(LOGS), key=lambda log: log[0])
    bodies = [content.body for _, content, _ in logs]
    best: dict[str, float] = {}

    def take(todo: dict[str, Step]) -> None:
        for name, step in todo.items():
            started = time.process_time()
            step()
            best[name] = min(best.get(name, 1e9), (time.process_time() - started) / len(logs) * 1e6)

    with Server() as server:
        session = boto3.Session("benchmark", "benchmark", region_name="us-east-1")
        server.fill(LOGS)
        store = open_bucket(session, BUCKET, endpoint_url=server.url)
        steps = whole_steps(store, bodies, [bytes.fromhex(content.etag) for _, content, _ in logs])
        in_memory = parts(bodies, [key for key, _, _ in logs])
        for _ in range(ROUNDS):
            server.fill(LOGS)
            take(steps)
            take(in_memory)
        store.close()
    for name in steps:
        print(f"{name:48} {best[name]:6.1f}")
    print(f"{'all of them':48} {sum(best[name] for name in steps):6.1f}\n")
    for name in in_memory:
        print(f"{name:48} {best[name]:6.1f}")


if __name__ == "__main__":
    main()
