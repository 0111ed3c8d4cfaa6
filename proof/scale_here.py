"""Scale, measured on one machine: real logs through the whole system, and the scan of a bucket too large to exist.

    .venv/bin/python -m proof.scale_here logs [--logs 1000000] [--processes 2]
    .venv/bin/python -m proof.scale_here scan [--keys 1000000000]

`logs`: producer, an SQS server (ministack), workers, an S3 server in memory (bench/s3_server.py). Half of the logs are
in day groups of a thousand, half in a single one. Afterwards every rollup is read with Python's `tarfile` and every
log compared with what was put there.
`scan`: a bucket whose listing the server makes up page by page.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import resource
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
from bench.logs import LogSet, generate
from bench.measure import Server

from s3_log_roller.demo.servers import Ministack, isolated_environment

ROOT = Path(__file__).resolve().parents[1]
REGION = "us-east-1"
"""Where the S3 server says that its buckets are."""
QUEUE = "scale"


@contextmanager
def environment() -> Iterator[tuple[Server, dict[str, str]]]:
    """The two servers, and what leads a program to them."""
    with Server(core=None) as server, Ministack() as queue:
        client = boto3.client(
            "sqs",
            endpoint_url=queue.endpoint,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        client.create_queue(QueueName=QUEUE, Attributes={"VisibilityTimeout": "60"})
        regions = {"AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}
        yield server, isolated_environment(queue) | regions | {"AWS_ENDPOINT_URL_S3": server.url}


def measured(name: str, env: dict[str, str], *arguments: str) -> float:
    """Run the program; print wall time, CPU time and the largest process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    command = ["/usr/bin/env", "-i", *(f"{name}={value}" for name, value in env.items())]
    wrapper = (
        "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:]); "
        "print('PEAK', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [*command, sys.executable, "-c", wrapper, sys.executable, str(ROOT / "main.py"), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    wall_s = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    peak_mib = int(done.stderr.rpartition("PEAK ")[2]) / 1024
    print(f"{name}: {wall_s:.0f} s, {cpu_s:.0f} s of CPU, largest process {peak_mib:.0f} MiB", flush=True)
    if done.returncode:
        sys.exit(f"{name} failed: {done.stderr[-2000:]}")
    print(done.stdout.strip(), flush=True)
    return wall_s


def roll_logs(count: int, processes: int) -> None:
    """Everything, from the logs to the empty queue, and then every log compared."""
    many = LogSet(
        prefixes=tuple(f"site-{number:03}/" for number in range(max(1, count // 20_000))), days=10, logs=1_000
    )
    one = LogSet(prefixes=("busy/",), days=1, logs=count - len(many), seed=9)
    with environment() as (server, env):
        for bucket, logs in (("many", many), ("one", one)):
            server.fill(logs, bucket=bucket)
        queue = ["--queue-name", QUEUE]
        measured("producer", env, "producer", *queue, "--prefixes", "s3://many/", "s3://one/")
        server.control("__reset")
        wall_s = measured("worker", env, "worker", *queue, "--delete", "--processes", str(processes))
        stats = server.stats()
        print(f"{count / wall_s:.0f} logs a second; requests {stats['requests']}; objects left {stats['objects']}")
        compare(server, "many", many)
        compare(server, "one", one)


def compare(server: Server, bucket: str, logs: LogSet) -> None:
    """Every log is in exactly one rollup with its bytes, and no original is left."""
    s3 = boto3.client(
        "s3", endpoint_url=server.url, region_name=REGION, aws_access_key_id="a", aws_secret_access_key="b"
    )
    expected = {key: bytes.fromhex(content.etag) for key, content, _ in generate(logs)}
    found = 0
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    for key in [entry["Key"] for page in pages for entry in page.get("Contents", [])]:
        folder = key[: key.rindex("/") + 1]
        # Not `r|gz`: that mode of tarfile stops, without a word, behind the first gzip member of a file.
        body = gzip.GzipFile(fileobj=s3.get_object(Bucket=bucket, Key=key)["Body"])
        with tarfile.open(fileobj=body, mode="r|") as tar:
            for member in tar:
                file = tar.extractfile(member)
                assert file is not None
                digest = hashlib.md5(file.read(), usedforsecurity=False).digest()
                assert expected.pop(folder + member.name) == digest, member.name
                found += 1
    assert not expected, f"{len(expected)} logs are missing"
    print(f"{bucket}: {found} logs compared byte for byte, each in exactly one rollup, nothing else there", flush=True)


def scan(keys: int) -> None:
    """The producer over a bucket of made-up keys: its requests and time grow with the day groups."""
    logs = LogSet(prefixes=tuple(f"site-{number:02}/" for number in range(10)), days=500, logs=keys // 5_000)
    with environment() as (server, env):
        server.fill(logs, bucket="huge", made_up=True)
        server.control("__reset")
        wall_s = measured("producer", env, "producer", "--queue-name", QUEUE, "--prefixes", "s3://huge/")
        requests = server.stats()["requests"]
        print(
            f"{len(logs):,} keys in 5,000 day groups; {requests}; "
            f"a full listing has {len(logs) // 1000:,} pages; {wall_s:.0f} s"
        )


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description="Scale, measured on one machine.")
    parser.add_argument("what", choices=["logs", "scan"])
    parser.add_argument("--logs", type=int, default=1_000_000)
    parser.add_argument("--keys", type=int, default=1_000_000_000)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    if arguments.what == "logs":
        roll_logs(arguments.logs, arguments.processes)
    else:
        scan(arguments.keys)


if __name__ == "__main__":
    main()
