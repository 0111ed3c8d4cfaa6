"""Many workers write to one bucket that grants so many requests a second.

    python -m bench.shared_rate                    a table: 3 to 120 workers at a tenth of S3's rate
    python -m bench.shared_rate --workers 30 --rate 350

Each worker is a process with a client of its own, as on AWS Lambda.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from multiprocessing.synchronize import Event
from typing import Final, NamedTuple

from bench.logs import LogSet
from bench.measure import BUCKET, Server
from s3_log_roller.aws.s3 import S3Bucket
from s3_log_roller.aws.s3.signing import Credentials, Signer
from s3_log_roller.aws.s3.transport import Transport
from s3_log_roller.aws.s3.wire import Wire
from s3_log_roller.store import MAX_IN_FLIGHT, NewObject

OBJECTS: Final = 9_000
RATE: Final = 550
WORKERS: Final = (3, 10, 30, 60, 120)
START_S: Final = 2.0
"""So long the workers get to start before they all begin at once."""


class Done(NamedTuple):
    """What one worker did."""

    seconds: float
    sent: int
    failed: int


def _work(url: str, number: int, objects: int, begin: Event, results: multiprocessing.Queue[Done]) -> None:
    signer = Signer(url.partition("://")[2], "us-east-1", lambda: Credentials("a", "b", None))
    transport = Transport(Wire(url), signer, MAX_IN_FLIGHT)
    store = S3Bucket(BUCKET, f"/{BUCKET}/", transport)
    begin.wait()
    began_at = time.monotonic()
    answers = store.publish_all({f"{number}/{each}": NewObject(b"body") for each in range(objects)}, list)
    failed = sum(not isinstance(answer, str) for answer in answers.values())
    results.put(Done(time.monotonic() - began_at, transport.requests_sent, failed))


def share(workers: int, rate: int) -> list[Done]:
    """Let so many workers write `OBJECTS` objects together, at so many requests a second."""
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[Done] = context.Queue()
    begin = context.Event()
    with Server(delay_ms=25, core=None) as server:
        server.fill(LogSet(logs=1))
        server.control("__options", slow_down_above=rate, burst=rate / 10)
        processes = [
            context.Process(target=_work, args=(server.url, number, OBJECTS // workers, begin, results))
            for number in range(workers)
        ]
        for process in processes:
            process.start()
        time.sleep(START_S + workers / 10)
        begin.set()
        done = [results.get() for _ in processes]
        for process in processes:
            process.join()
    return done


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description="Many workers write to a bucket that grants so many requests a second."
    )
    parser.add_argument("--workers", type=int, nargs="+", default=WORKERS)
    parser.add_argument("--rate", type=int, default=RATE, help="requests a second (default %(default)s)")
    args = parser.parse_args()
    allowed_s = OBJECTS / args.rate
    print(f"| workers | seconds until the last is done ({allowed_s:.1f}) | median | requests an object | failed |")
    print("|---|---|---|---|---|")
    for workers in args.workers:
        done = share(workers, args.rate)
        seconds = [each.seconds for each in done]
        sent = sum(each.sent for each in done) / (OBJECTS // workers * workers)
        failed = sum(each.failed for each in done)
        print(
            f"| {workers} | {max(seconds):.1f} | {statistics.median(seconds):.1f} | {sent:.2f} | {failed} |", flush=True
        )


if __name__ == "__main__":
    main()
