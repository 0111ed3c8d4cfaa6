from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import date
from types import SimpleNamespace

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from s3_log_roller.aws.sqs import SqsDelivery, SqsQueue
from s3_log_roller.errors import CredentialsError, QueueError, RollerError, UsageError
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rolling.tasks import RollTask, encode_task
from s3_log_roller.rolling.window import Window

URL = "https://sqs.us-west-2.amazonaws.com/123456789012/rollups"


def task(number: int) -> RollTask:
    return RollTask(DayGroup("logs", f"{number}/", date(2022, 7, 1)), Window(date(2022, 7, 3)))


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)


@pytest.fixture
def sqs() -> Iterator[tuple[SqsQueue, Stubber]]:
    """A queue whose answers are made up: no emulator refuses single messages on request."""
    session = boto3.Session("AKIAEXAMPLE", "secret")
    queue = SqsQueue(session, URL)
    with Stubber(queue._client) as stub:
        yield queue, stub


def entries(*numbers: int) -> list[dict[str, str]]:
    return [{"Id": str(number), "MessageId": "m", "MD5OfMessageBody": ""} for number in numbers]


def fault(number: int, *, ours: bool) -> dict[str, object]:
    return {"Id": str(number), "SenderFault": ours, "Code": "InternalError", "Message": "try again"}


def test_messages_the_server_did_not_take_are_sent_again(sqs: tuple[SqsQueue, Stubber]) -> None:
    """Of a batch only what failed goes again, and so does what the answer is silent about."""
    queue, stub = sqs
    stub.add_response("send_message_batch", {"Successful": entries(0), "Failed": [fault(1, ours=False)]})
    stub.add_response(
        "send_message_batch",
        {"Successful": entries(1, 2), "Failed": []},
        {"QueueUrl": URL, "Entries": [{"Id": str(n), "MessageBody": encode_task(task(n))} for n in (1, 2)]},
    )
    assert queue.send([task(0), task(1), task(2)]) == 3
    stub.assert_no_pending_responses()


def test_the_search_for_tasks_does_not_wait_for_each_answer(
    sqs: tuple[SqsQueue, Stubber], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several calls are under way at once, each message is sent once, and one call that fails is told of."""
    queue, _ = sqs
    together = threading.Barrier(2)
    sent: list[str] = []

    def answer(*, QueueUrl: str, Entries: list[dict[str, str]]) -> dict[str, object]:
        together.wait(timeout=30)
        sent.extend(entry["MessageBody"] for entry in Entries)
        return {"Successful": entries(*range(len(Entries)))}

    monkeypatch.setattr(queue._client, "send_message_batch", answer)
    assert queue.send(map(task, range(60))) == 60
    assert sorted(sent) == sorted(encode_task(task(number)) for number in range(60))

    def refuse(**_: object) -> dict[str, object]:
        raise ClientError({"Error": {"Code": "AccessDenied"}}, "SendMessageBatch")

    monkeypatch.setattr(queue._client, "send_message_batch", refuse)
    with pytest.raises(QueueError, match="not allowed"):
        queue.send(map(task, range(60)))


@pytest.mark.parametrize(("ours", "attempts"), [(True, 1), (False, 6)])
def test_messages_that_are_never_taken_are_an_error(
    sqs: tuple[SqsQueue, Stubber], ours: bool, attempts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our fault: at once; the server's: after some attempts, ever longer apart. Never silence."""
    queue, stub = sqs
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    monkeypatch.setattr("random.uniform", lambda least, most: most if least == 0 else -1)
    for _ in range(attempts):
        stub.add_response("send_message_batch", {"Successful": [], "Failed": [fault(0, ours=ours)]})
    with pytest.raises(QueueError, match=r"sqs:SendMessage on queue rollups: 1 of 1 .*InternalError: try again"):
        queue.send([task(0)])
    stub.assert_no_pending_responses()
    assert waits == ([] if ours else [0.1, 0.2, 0.4, 0.8, 1.6, 3.2])


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("AccessDenied", QueueError, "sqs:SendMessage on queue rollups in us-west-2: not allowed"),
        ("ExpiredToken", CredentialsError, "expired; renew them"),
        ("InvalidClientTokenId", CredentialsError, "not valid here"),
        ("AWS.SimpleQueueService.NonExistentQueue", QueueError, "there is no queue rollups in us-west-2"),
        ("Strange", QueueError, "Strange"),
    ],
)
def test_refused_calls_name_call_queue_and_region(
    sqs: tuple[SqsQueue, Stubber], code: str, kind: type[RollerError], words: str
) -> None:
    """One line that says what was refused, where, and what to do."""
    queue, stub = sqs
    stub.add_client_error("send_message_batch", code)
    with pytest.raises(kind, match=words) as caught:
        queue.send([task(0)])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "a b", "s3://x", "rollups.fifo", URL + ".fifo"])
def test_what_is_no_standard_queue_is_wrong_usage(name: str) -> None:
    """Found before any request is sent."""
    with pytest.raises(UsageError):
        SqsQueue(boto3.Session("AKIAEXAMPLE", "secret", region_name="us-west-2"), name)


def test_a_queue_without_a_region_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name alone does not say where; a URL does."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    session = boto3.Session("AKIAEXAMPLE", "secret")
    with pytest.raises(QueueError, match="no region; give --region"):
        SqsQueue(session, "rollups")
    assert SqsQueue(session, URL).region == "us-west-2"
    assert SqsQueue(session, "https://eu-central-1.queue.amazonaws.com/1/rollups").region == "eu-central-1"


class Waits:
    """Stands in for the event that ends a heartbeat: notes how long was waited, and lets so many waits pass."""

    beats = 5

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.ended = False

    def wait(self, seconds: float) -> bool:
        self.seconds.append(seconds)
        return self.ended or len(self.seconds) > self.beats

    def set(self) -> None:
        self.ended = True


@pytest.mark.parametrize("visibility_seconds", [3, 30, 5400, 43_200])
def test_a_message_is_kept_from_others_as_long_as_it_is_worked_on(
    sqs: tuple[SqsQueue, Stubber], monkeypatch: pytest.MonkeyPatch, visibility_seconds: int
) -> None:
    """Again and again, and early enough that one beat may fail before the message becomes visible."""
    queue, _ = sqs
    kept: list[tuple[str, int]] = []
    monkeypatch.setattr(queue, "change_visibility", lambda receipt, seconds: kept.append((receipt, seconds)))
    monkeypatch.setattr("s3_log_roller.aws.sqs.threading", SimpleNamespace(Event=Waits, Thread=threading.Thread))
    delivery = SqsDelivery(queue, "body", "m1", "receipt", visibility_seconds)
    delivery._heartbeat.join(10)
    waits = delivery._ended.seconds  # type: ignore[attr-defined]
    assert kept == [("receipt", visibility_seconds)] * Waits.beats
    assert all(0 < 2 * seconds < visibility_seconds for seconds in waits)


def test_an_acknowledged_message_is_deleted_and_no_longer_kept(sqs: tuple[SqsQueue, Stubber]) -> None:
    """The queue is told exactly that, and the heartbeat has ended before."""
    queue, stub = sqs
    stub.add_response("delete_message", {}, {"QueueUrl": URL, "ReceiptHandle": "receipt"})
    delivery = SqsDelivery(queue, "body", "m1", "receipt", 30)
    assert delivery._heartbeat.is_alive()
    assert delivery._heartbeat.daemon, "or a process that was told to end would not"
    delivery.acknowledge()
    stub.assert_no_pending_responses()
    assert not delivery._heartbeat.is_alive()


def test_a_released_message_is_visible_at_once(sqs: tuple[SqsQueue, Stubber]) -> None:
    """Others need not wait until its time is up."""
    queue, stub = sqs
    expected = {"QueueUrl": URL, "ReceiptHandle": "receipt", "VisibilityTimeout": 0}
    stub.add_response("change_message_visibility", {}, expected)
    delivery = SqsDelivery(queue, "body", "m1", "receipt", 30)
    delivery.release()
    stub.assert_no_pending_responses()
    assert not delivery._heartbeat.is_alive(), "it would take the message back"


def test_the_backlog_counts_what_waits_and_what_workers_hold(sqs: tuple[SqsQueue, Stubber]) -> None:
    """SQS answers both in texts."""
    queue, stub = sqs
    numbers = {"ApproximateNumberOfMessages": "40", "ApproximateNumberOfMessagesNotVisible": "2"}
    stub.add_response("get_queue_attributes", {"Attributes": numbers})
    assert queue.backlog() == 42


def test_a_producer_that_may_not_ask_for_the_backlog_goes_on(sqs: tuple[SqsQueue, Stubber]) -> None:
    """It is for a notice only."""
    queue, stub = sqs
    stub.add_client_error("get_queue_attributes", "AccessDenied", http_status_code=403)
    assert queue.backlog() is None


def test_a_message_is_received_for_as_long_as_the_queue_says(sqs: tuple[SqsQueue, Stubber]) -> None:
    """The heartbeat follows from the same time, so what S3 or SQS do meanwhile does not matter."""
    queue, stub = sqs
    stub.add_response("get_queue_attributes", {"Attributes": {"VisibilityTimeout": "77"}})
    message = {
        "Body": "body", "MessageId": "m1", "ReceiptHandle": "receipt", "Attributes": {"ApproximateReceiveCount": "4"},
    }  # fmt: skip
    with Stubber(queue._polling) as polling:
        polling.add_response(
            "receive_message",
            {"Messages": [message]},
            {
                "QueueUrl": URL, "MaxNumberOfMessages": 1, "WaitTimeSeconds": 5, "VisibilityTimeout": 77,
                "MessageSystemAttributeNames": ["ApproximateReceiveCount"],
            },
        )  # fmt: skip
        delivery = queue.receive(5)
    assert delivery is not None
    with delivery:
        assert delivery._visibility_seconds == 77
        assert (delivery.body, delivery.message_id, delivery.receives) == ("body", "m1", 4)
        assert delivery._heartbeat.is_alive()
    assert not delivery._heartbeat.is_alive(), "whatever becomes of the message"


def test_a_queue_is_asked_once_how_long_and_for_three_seconds_at_least(sqs: tuple[SqsQueue, Stubber]) -> None:
    """No message is no delivery; SQS holds a call back for twenty seconds at most."""
    queue, stub = sqs
    stub.add_response("get_queue_attributes", {"Attributes": {"VisibilityTimeout": "0"}})
    with Stubber(queue._polling) as polling:
        for _ in range(2):
            expected = {
                "QueueUrl": URL, "MaxNumberOfMessages": 1, "WaitTimeSeconds": 20, "VisibilityTimeout": 3,
                "MessageSystemAttributeNames": ["ApproximateReceiveCount"],
            }  # fmt: skip
            polling.add_response("receive_message", {}, expected)
            assert queue.receive(21) is None
        polling.assert_no_pending_responses()
    stub.assert_no_pending_responses()


def test_a_queue_is_found_by_its_name() -> None:
    """In the session's region, by one call."""
    asked: list[str] = []

    def get_queue_url(*, QueueName: str) -> dict[str, str]:
        asked.append(QueueName)
        return {"QueueUrl": URL}

    client = SimpleNamespace(get_queue_url=get_queue_url)
    session = SimpleNamespace(region_name="eu-west-1", client=lambda service, region_name, config: client)
    queue = SqsQueue(session, "rollups")  # type: ignore[arg-type]
    assert (queue.name, queue.region, queue._url, asked) == ("rollups", "eu-west-1", URL, ["rollups"])


def test_a_heartbeat_that_fails_is_told_of_and_goes_on(
    sqs: tuple[SqsQueue, Stubber], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """At worst another worker runs the same task."""
    queue, _ = sqs

    def fail(receipt: str, seconds: int) -> None:
        raise QueueError("no answer")

    monkeypatch.setattr(queue, "change_visibility", fail)
    monkeypatch.setattr("s3_log_roller.aws.sqs.threading", SimpleNamespace(Event=Waits, Thread=threading.Thread))
    SqsDelivery(queue, "body", "m1", "receipt", 30)._heartbeat.join(10)
    assert [record.message for record in caplog.records] == ["heartbeat_failed"] * Waits.beats
    assert {record.__dict__["message_id"] for record in caplog.records} == {"m1"}
    assert "could not be kept back: no answer" in caplog.records[0].__dict__["sentence"]
