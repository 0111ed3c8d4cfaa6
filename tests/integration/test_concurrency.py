"""Many at once on the same day groups: nothing lost, nothing twice, no upload left open.

The same for minutes, and with late logs all the while, is in proof/test_long_concurrency.py.
"""

from __future__ import annotations

import asyncio
import io
import json
import math
import re
import signal
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest
from tests.support import faulty_proxy, memory_day, memory_store
from tests.support.faulty_proxy import Exchange, Fault, FaultyProxy, Link
from tests.support.killing import Murder, finish, run, start
from tests.support.logs import DAY, TODAY, log_key
from tests.support.memory_store import MemoryStore
from tests.support.real_day import RealDay, opened, reconcile_day
from tests.support.waiting import wait_for

from s3_log_roller.demo.servers import Ministack, SeaweedFS
from s3_log_roller.log_keys import DayGroup, parse_log_key, parse_rollup_key
from s3_log_roller.rolling.options import RollOptions
from s3_log_roller.rolling.reconcile import reconcile
from s3_log_roller.rolling.tasks import RangeTask, RollTask, encode_task
from s3_log_roller.rolling.window import Window

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_sqs import SQSClient

WORKERS = 10


class NoHeartbeats:
    """A plan for the queue's proxy: attempts to keep a message invisible fail, so tasks outlive their visibility.

    It notes when each message was given to whom, and until when that receiver worked on it. `kind` is of what tasks:
    `"task":"range"`, or all of them.
    """

    def __init__(self, kind: str = "") -> None:
        self.beats = 0
        self._kind = kind
        self._received: list[tuple[float, str, str]] = []
        """(when, message, receipt)"""
        self._acknowledged: dict[str, float] = {}

    def __call__(self, exchange: Exchange) -> Fault | None:
        if exchange.operation == "ChangeMessageVisibility":
            receipt = json.loads(exchange.body)["ReceiptHandle"]
            if all(receipt != watched for _, _, watched in self._received):
                return None
            self.beats += 1
            return faulty_proxy.answer(500, "InternalFailure")
        if exchange.operation == "DeleteMessage":
            self._acknowledged[json.loads(exchange.body)["ReceiptHandle"]] = time.monotonic()
        return self._note if exchange.operation == "ReceiveMessage" else None

    async def _note(self, link: Link) -> None:
        answer = await link.forward()
        for message in json.loads(answer.partition(b"\r\n\r\n")[2] or b"{}").get("Messages", []):
            if self._kind in message["Body"]:
                self._received.append((time.monotonic(), message["MessageId"], message["ReceiptHandle"]))
        await link.send(answer)

    @property
    def messages(self) -> int:
        return len({message for _, message, _ in self._received})

    @property
    def given_again(self) -> int:
        """How many messages were given out again while an earlier receiver had not acknowledged them."""
        return self._given_again(unless_acknowledged=math.inf)

    @property
    def overlapping(self) -> int:
        """How many messages were given out again while an earlier receiver worked on them, and went on to its end."""
        return self._given_again(unless_acknowledged=0.0)

    def _given_again(self, unless_acknowledged: float) -> int:
        return len(
            {
                message
                for when, message, receipt in self._received
                for later, same, _ in self._received
                if message == same and when < later < self._acknowledged.get(receipt, unless_acknowledged)
            }
        )


def slowly(seconds: float, publish_when: Callable[[], object] = lambda: True) -> faulty_proxy.Plan:
    """Every S3 call takes so long, and no rollup is published before `publish_when` holds (or 30 s have passed)."""

    async def fault(link: Link) -> None:
        await asyncio.sleep(seconds)
        give_up_at = time.monotonic() + 30
        while link.exchange.operation == "PutRollup" and not publish_when() and time.monotonic() < give_up_at:
            await asyncio.sleep(0.01)
        await link.send(await link.forward())

    return lambda exchange: fault


def test_ten_workers_on_one_queue_with_doubled_messages_and_visibility_too_short(
    seaweedfs: SeaweedFS,
    ministack: Ministack,
    s3: S3Client,
    sqs: SQSClient,
    bucket: str,
    queue_name: str,
    queue_url: str,
    environment: dict[str, str],
) -> None:
    """Half of them delete, half do not; messages come again while they are worked on: the end state is the same.

    Those that delete publish nothing before three of their messages at least have come to others again. Some messages
    are of all days, to be rolled up in a pass, some of one day each. One of the days goes up in parts, and none of
    these uploads is left open.
    """
    sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"VisibilityTimeout": "1"})
    day = RealDay(s3, bucket, "x/")
    day.fill(5, days=8)
    day.fill_in_parts(1)
    watch = NoHeartbeats()
    with (
        FaultyProxy(ministack.port, watch) as queue_proxy,
        FaultyProxy(seaweedfs.port, slowly(0.3)) as storage_proxy,
        FaultyProxy(storage_proxy.port, slowly(0, lambda: watch.given_again >= 3)) as holding_proxy,
    ):
        for _ in range(2):
            run(environment, "producer", "--queue-name", queue_name, "--prefixes", f"s3://{bucket}/x/")
            for number in range(8):
                task = RollTask(DayGroup(bucket, "x/", DAY + timedelta(number)), Window(TODAY))
                sqs.send_message(QueueUrl=queue_url, MessageBody=encode_task(task))
        slow = environment | {"AWS_ENDPOINT_URL_S3": storage_proxy.url, "AWS_ENDPOINT_URL_SQS": queue_proxy.url}
        held = slow | {"AWS_ENDPOINT_URL_S3": holding_proxy.url}
        work = ("worker", "--queue-name", queue_name)
        workers = [start(held, *work, "--delete") if number % 2 else start(slow, *work) for number in range(WORKERS)]
        ended = [finish(worker) for worker in workers]
        calls = Counter(exchange.operation for exchange in storage_proxy.seen)
    assert watch.beats, "no task took longer than its visibility: this test shows nothing"
    assert watch.messages >= 18, "two for all days, and two for each of them, at least"
    assert watch.overlapping >= 3, "few tasks were given out again while they ran: this test shows nothing"
    assert calls["CreateMultipartUpload"], "nothing went up in parts"
    for code, errors in ended:
        assert code in (0, 3), errors
        assert "Traceback" not in errors
    day.assert_nothing_lost()
    day.assert_exactly_once()
    assert day.open_uploads() == []
    run(environment, "roll", "--prefixes", f"s3://{bucket}/x/", "--delete")
    day.assert_done(deleted=True)


def deliver_late_logs(days: RealDay, one_each: threading.Event, until: threading.Event) -> None:
    """Three for every day group while they are rolled up, in the order of their keys."""
    groups = sorted({(log.target_prefix, log.day) for log in map(parse_log_key, days.bodies) if log})
    for second in range(86_000, 86_003):
        for prefix, day in groups:
            if not until.wait(0.1):
                days.put(log_key(second, prefix, day), b"late %d" % second)
        one_each.set()


def test_passes_over_the_same_ranges_with_late_logs_and_a_worker_killed(
    seaweedfs: SeaweedFS,
    ministack: Ministack,
    s3: S3Client,
    sqs: SQSClient,
    bucket: str,
    queue_name: str,
    queue_url: str,
    environment: dict[str, str],
) -> None:
    """Every day group is in two messages at least, which come again while they are worked on; logs come all the while.

    Nobody publishes before three of the messages have come again, and a late log to each day group. One of the workers
    is killed behind some of its PUTs. In the end each log is in one rollup that verifies, and none is left.
    """
    sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"VisibilityTimeout": "1"})
    days = RealDay(s3, bucket, "x/")
    for name in ("a/", "b-", "c/"):
        part = RealDay(s3, bucket, days.prefix + name)
        part.bodies = {
            log_key(60 * number, part.prefix, DAY + timedelta(number % 3)): b"%d" % number for number in range(12)
        }
        days.bodies |= part.bodies
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda item: days.put(*item), list(days.bodies.items())))
    ranges = [RangeTask(bucket, prefix, Window(TODAY)) for prefix in ("x/", "x/a/", "x/b-", "x/c/")]
    for task in ranges:
        sqs.send_message(QueueUrl=queue_url, MessageBody=encode_task(task))
    watch, murder = NoHeartbeats('"task":"range"'), Murder(1, "behind the answer", "PutRollup")
    one_late_log_each, over = threading.Event(), threading.Event()
    plan = slowly(0.3, lambda: watch.given_again >= 3 and one_late_log_each.is_set())
    with (
        FaultyProxy(ministack.port, watch) as queue_proxy,
        FaultyProxy(seaweedfs.port, plan) as storage_proxy,
        FaultyProxy(storage_proxy.port, murder) as murderous_proxy,
        ThreadPoolExecutor(1) as pool,
    ):
        slow = environment | {"AWS_ENDPOINT_URL_S3": storage_proxy.url, "AWS_ENDPOINT_URL_SQS": queue_proxy.url}
        work = ("worker", "--queue-name", queue_name)
        murder.victim = start(slow | {"AWS_ENDPOINT_URL_S3": murderous_proxy.url}, *work, "--delete")
        wait_for(lambda: murderous_proxy.seen, every=0.02)  # it is ahead of the others, so it does publish something
        # More of them than messages, so that there is one to take what comes again.
        workers = [start(slow, *work, *options) for options in ([], *6 * [["--delete"]])]
        late = pool.submit(deliver_late_logs, days, one_late_log_each, over)
        try:
            code, errors = finish(murder.victim)
            assert code == -signal.SIGKILL, errors
            ended = [finish(worker) for worker in workers]
        finally:
            over.set()
        late.result()
    for code, errors in ended:
        assert code in (0, 3), errors
        assert "Traceback" not in errors
    assert watch.overlapping >= 2, "few ranges were given out again while they were rolled: this test shows nothing"
    assert any(body.startswith(b"late") for _, body in days.members()), "no late log was rolled up meanwhile"
    days.assert_nothing_lost()
    days.assert_nothing_twice()
    run(environment, "roll", "--prefixes", f"s3://{bucket}/x/", "--delete")
    days.assert_done(deleted=True)
    run(environment, "verify", f"s3://{bucket}/x/")


def test_producer_worker_and_roll_at_once_on_the_same_prefix(
    seaweedfs: SeaweedFS, s3: S3Client, bucket: str, queue_name: str, environment: dict[str, str]
) -> None:
    """With and without delete, started together, twice over: every original in exactly one rollup."""
    day = RealDay(s3, bucket, "x/")
    day.fill(8, days=3)
    day.fill_in_parts(2)
    prefixes = ["--prefixes", f"s3://{bucket}/x/"]
    commands = [
        ["producer", "--queue-name", queue_name, *prefixes],
        ["roll", *prefixes],
        ["roll", *prefixes, "--delete"],
        ["worker", "--queue-name", queue_name],
        ["worker", "--queue-name", queue_name, "--delete"],
        ["roll", *prefixes, "--delete", "--processes", "2"],
    ]
    with FaultyProxy(seaweedfs.port, slowly(0.02)) as proxy:
        slow = environment | {"AWS_ENDPOINT_URL_S3": proxy.url}
        for _ in range(2):
            ended = [finish(process) for process in [start(slow, *command) for command in commands]]
            assert [code for code, _ in ended] == [0] * len(commands), ended
            day.assert_exactly_once()
            assert day.open_uploads() == []
        assert "CreateMultipartUpload" in {exchange.operation for exchange in proxy.seen}
    run(environment, "roll", *prefixes, "--delete")
    day.assert_done(deleted=True)


async def without_conditions(link: Link) -> None:
    """As a server that knows no conditional requests: it overwrites, and deletes and reads whatever is there."""
    head = re.sub(rb"\r\nif-(none-)?match: [^\r]*", b"", link.exchange.head, flags=re.IGNORECASE)
    body = re.sub(rb"<ETag>[^<]*</ETag>", b"", link.exchange.body) if b"<Delete " in link.exchange.body else None
    if body is not None:
        head = re.sub(rb"\r\ncontent-length: \d+", b"\r\nContent-Length: %d" % len(body), head, flags=re.IGNORECASE)
        head = re.sub(rb"\r\n(content-md5|x-amz-content-sha256): [^\r]*", b"", head, flags=re.IGNORECASE)
        head = head.replace(b"\r\n\r\n", b"\r\nx-amz-checksum-crc32c: unchecked\r\n\r\n")
    await link.send(await link.forward(body, head))


def test_a_server_without_conditional_requests_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two deleting workers at once where nothing is conditional: same logs, same name, same bytes; once each."""
    from bench.buckets import Bucket
    from bench.s3_server import ServerOptions, serving

    with serving(ServerOptions(delay_ms=5)) as server:
        bucket = server.api.buckets["bucket"] = Bucket()
        plan = lambda exchange: without_conditions  # noqa: E731
        with (
            FaultyProxy(int(server.url.rpartition(":")[2]), plan) as proxy,
            opened(proxy.url, "a", "b", "bucket") as one,
            opened(proxy.url, "a", "b", "bucket") as other,
            ThreadPoolExecutor(2) as pool,
        ):
            for number in range(10):
                prefix = f"{number}/"
                bodies = {log_key(second, prefix): b"%d" % second * second for second in range(30)}
                for key, body in bodies.items():
                    bucket.put(key, body, 0)
                runs = [pool.submit(reconcile_day, store, "bucket", prefix, delete=True) for store in (one, other)]
                for done in runs:
                    done.result()
                (rollup,) = [key for key, _ in bucket.entries(prefix, "")]
                assert parse_rollup_key(rollup)
                stored = bucket.find(rollup)
                assert stored is not None
                with tarfile.open(fileobj=io.BytesIO(stored.body)) as tar:
                    held = {prefix + member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
                assert held == bodies
            assert any(b"if-none-match" in exchange.head.lower() for exchange in proxy.seen)
        while server.connections:
            time.sleep(0.001)


@pytest.mark.parametrize(("late", "rollups_of_a_log"), [(log_key(5, "x/"), 1), (log_key(0, "x/"), 2)])
def test_a_late_log_packs_others_twice_only_if_it_sorts_first(late: str, rollups_of_a_log: int) -> None:
    """A second worker publishes, with a late log, between the first one's last look and its own publishing.

    docs/decisions/0006 accepts that where the late log gives the rollup another name: both rollups are whole, and a
    run that deletes still reaches its end.
    """
    store = MemoryStore()
    bodies = {log_key(number, "x/"): b"%d" % number for number in range(1, 5)}
    for key, body in bodies.items():
        store.put(key, body)
    task = RollTask(DayGroup("bucket", "x/", DAY), Window(TODAY))

    def overtake(step: str, key: str) -> None:
        if step == "finish":
            store.before = memory_store.no_step
            bodies[late] = b"late"
            store.put(late, b"late")
            memory_day.run(store, task, delete=True)

    store.before = overtake
    memory_day.run(store, task, delete=True)
    held = Counter(memory_day.members(store))
    assert set(held) == set(bodies.items())
    assert held == {item: 1 if item[0] == late else rollups_of_a_log for item in bodies.items()}
    memory_day.run(store, task, delete=True)
    assert [key for key in store.objects if parse_log_key(key)] == []


def test_a_day_that_is_never_at_rest_is_given_up_with_a_clear_error() -> None:
    """Originals that vanish faster than they can be read end in an error after some looks, not in a circle."""
    store = MemoryStore()
    for number in range(100):
        store.put(log_key(number, "x/"), b"x")

    def vanish(step: str, key: str) -> None:
        if step == "fetch":
            store.objects.pop(key, None)

    store.before = vanish
    with pytest.raises(Exception, match=r"changed 20 times .* run again later"):
        reconcile(
            store,
            RollTask(DayGroup("bucket", "x/", date(2022, 7, 1)), Window(TODAY)),
            RollOptions(delete=True, level=1),
            today=TODAY,
        )
    assert store.open_uploads == 0
