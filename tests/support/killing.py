"""The program as processes that are killed at one of their requests, and the crash table's rows.

A proxy kills them: before the server sees the request, after it did what was asked and before the answer arrives, or
after the answer. So every state that a crash can leave in a bucket is reached, without any failure point in it.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

from tests.support import faulty_proxy
from tests.support.faulty_proxy import Exchange, Fault, FaultyProxy, Link
from tests.support.paths import MAIN
from tests.support.real_day import RealDay
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient
    from types_boto3_sqs.literals import QueueAttributeNameType


MOMENTS = ["before the request", "before the answer", "behind the answer"]


class Murder:
    """A plan for `FaultyProxy` that kills a process at one moment of its n-th request.

    Several proxies may share it: the requests to all of them count. `operation`: only those of that kind do.
    """

    def __init__(self, at: int, moment: str, operation: str = "") -> None:
        self.at = at
        self.moment = moment
        self.operation = operation
        self.victim: subprocess.Popen[str] | None = None
        self.done = False
        self.seen: list[Exchange] = []
        """Those that counted."""
        self._lock = threading.Lock()

    def __call__(self, exchange: Exchange) -> Fault | None:
        if self.operation in ("", exchange.operation):
            with self._lock:
                self.seen.append(exchange)
                if len(self.seen) == self.at:
                    return self._strike
        # What the dying process still had under way: the server may see all of it, as it may see none.
        return faulty_proxy.reset_before_request if self.done else None

    async def _strike(self, link: Link) -> None:
        if self.moment == "before the request":
            self._kill()
            link.reset()
            return
        answer = await link.forward()
        if self.moment == "before the answer":
            self._kill()
            link.reset()
        else:
            await link.send(answer)
            self._kill()

    def _kill(self) -> None:
        assert self.victim is not None
        self.victim.send_signal(signal.SIGKILL)
        self.done = True


def start(environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(MAIN), *arguments, "--quiet"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    with process:
        _, errors = process.communicate(timeout=250)
    return process.returncode, errors


def killed_at(
    environment: dict[str, str],
    arguments: list[str],
    at: int,
    moment: str,
    *,
    services: tuple[str, ...] = ("S3",),
    operation: str = "",
) -> tuple[bool, list[Exchange]]:
    """Run the program and kill it there; whether it came so far, and the requests it made.

    `services`: whose requests count, those to SQS, too, if it is named. `operation`: of what kind.
    """
    murder = Murder(at, moment, operation)
    with ExitStack() as proxies:
        for service in services:
            name = f"AWS_ENDPOINT_URL_{service}"
            upstream_port = int(environment[name].rpartition(":")[2])
            environment = environment | {name: proxies.enter_context(FaultyProxy(upstream_port, murder)).url}
        murder.victim = process = start(environment, *arguments)
        code, errors = finish(process)
        assert code == (-signal.SIGKILL if murder.done else 0), errors
        return murder.done, list(murder.seen)


def waiting(sqs: SQSClient, queue_url: str) -> int:
    """How many messages the queue holds, given out or not."""
    counts = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["All"])["Attributes"]
    return int(counts["ApproximateNumberOfMessages"]) + int(counts["ApproximateNumberOfMessagesNotVisible"])


def wait_until_given_back(sqs: SQSClient, queue_url: str) -> None:
    """Until the queue would give out each of its messages: none is kept back for a worker that is dead."""
    names: list[QueueAttributeNameType] = ["ApproximateNumberOfMessagesNotVisible"]
    wait_for(
        lambda: sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=names)["Attributes"][names[0]] == "0",
        every=0.05,
    )


def run(environment: dict[str, str], *arguments: str) -> None:
    """A plain run."""
    code, errors = finish(start(environment, *arguments))
    assert code == 0, errors


def requests_of_a_run(environment: dict[str, str], day: RealDay, *options: str) -> int:
    """How many requests a run on these logs makes, on a copy of them, when nobody kills it."""
    copy = RealDay(day.s3, day.bucket, f"copy-of-{day.prefix}")
    for key, body in day.bodies.items():
        copy.put(copy.prefix + key.removeprefix(day.prefix), body)
    arguments = ["roll", "--prefixes", f"s3://{day.bucket}/{copy.prefix}", *options]
    done, seen = killed_at(environment, arguments, 1 << 30, MOMENTS[0])
    assert not done
    copy.assert_done(deleted="--delete" in options)
    return len(seen)


def crash_and_converge(environment: dict[str, str], day: RealDay, at: int, moment: str, options: list[str]) -> bool:
    """One row of the crash table. Whether the process was still alive at that step."""
    arguments = ["roll", "--prefixes", f"s3://{day.bucket}/{day.prefix}", *options]
    died, _ = killed_at(environment, arguments, at, moment)
    day.assert_nothing_lost()
    if "--delete" not in options:
        day.assert_untouched()
    run(environment, *arguments)
    day.assert_exactly_once()
    left = set(day.keys()) & set(day.bodies)
    assert left == (set() if "--delete" in options else set(day.bodies))
    return died


def slowed_down(environment: dict[str, str], seconds: float, proxies: ExitStack) -> dict[str, str]:
    """The environment in which every S3 call takes so long."""

    async def wait(link: Link) -> None:
        await asyncio.sleep(seconds)
        await link.send(await link.forward())

    upstream_port = int(environment["AWS_ENDPOINT_URL_S3"].rpartition(":")[2])
    return environment | {
        "AWS_ENDPOINT_URL_S3": proxies.enter_context(FaultyProxy(upstream_port, lambda exchange: wait)).url
    }
