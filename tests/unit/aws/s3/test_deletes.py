"""Deletes: every key is answered for, whatever S3 says."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from bench.s3_api import Call
from bench.s3_server import ServerOptions, serving
from tests.support import odd_api
from tests.support.answers import a_bucket, fill, first_only, is_delete, opened, with_body

from s3_log_roller.aws.s3 import deletes
from s3_log_roller.aws.s3.limit import PATIENCE_S
from s3_log_roller.errors import StorageError
from s3_log_roller.store import DeleteReport

ANSWERS: dict[str, tuple[str, int, list[str]]] = {
    "all deleted": ("<Deleted><Key>00000</Key></Deleted><Deleted><Key>00001</Key></Deleted>", 2, []),
    "one unanswered": ("<Deleted><Key>00000</Key></Deleted>", 1, ["00001: S3 did not answer for this key"]),
    "none answered": ("", 0, ["00000: S3 did not answer for this key", "00001: S3 did not answer for this key"]),
    "another key answered": (
        "<Deleted><Key>00000</Key></Deleted><Deleted><Key>other</Key></Deleted>",
        1,
        ["00001: S3 did not answer for this key"],
    ),
    "one refused": (
        "<Deleted><Key>00000</Key></Deleted><Error><Key>00001</Key><Code>AccessDenied</Code><Message>no</Message>"
        "</Error>",
        1,
        ["00001: AccessDenied: no"],
    ),
    "refused without a reason": (
        "<Deleted><Key>00000</Key></Deleted><Error><Key>00001</Key></Error>",
        1,
        ["00001: "],
    ),
    "one replaced": (
        "<Error><Key>00000</Key><Code>PreconditionFailed</Code></Error><Deleted><Key>00001</Key></Deleted>",
        1,
        ["00000: PreconditionFailed"],
    ),
    "one gone": ("<Error><Key>00000</Key><Code>NoSuchKey</Code></Error><Deleted><Key>00001</Key></Deleted>", 2, []),
    "deleted and refused": (
        "<Deleted><Key>00000</Key></Deleted><Deleted><Key>00001</Key></Deleted><Error><Key>00001</Key>"
        "<Code>InternalErr</Code></Error>",
        2,
        ["00001: InternalErr"],
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_every_key_is_accounted_for(name: str) -> None:
    """Only what S3 says is deleted counts; refused, unanswered and other keys are failures with their reasons."""
    inner, deleted, failures = ANSWERS[name]
    with a_bucket() as (client, stored, intruder):
        pairs = fill(stored, 2)
        document = f"<DeleteResult>{inner}</DeleteResult>".encode()
        intruder.change = lambda call, answer: with_body(document) if is_delete(call) else answer
        report = client.delete(pairs)
        assert report.deleted == deleted
        assert sorted(f"{failure.key}: {failure.reason}" for failure in report.failures) == failures


def test_delete_markers_are_counted() -> None:
    """In a versioned bucket S3 says that a delete only made a marker."""
    with a_bucket() as (client, stored, intruder):
        pairs = fill(stored, 3)
        document = (
            b"<DeleteResult><Deleted><Key>00000</Key><DeleteMarker>true</DeleteMarker></Deleted><Deleted><Key>00001"
            b"</Key><DeleteMarker>true</DeleteMarker></Deleted><Deleted><Key>00002</Key></Deleted></DeleteResult>"
        )
        intruder.change = lambda call, answer: with_body(document) if is_delete(call) else answer
        report = client.delete(pairs)
        assert (report.deleted, report.markers, report.failures) == (3, 2, [])


@pytest.mark.parametrize("code", ["InternalError", "SlowDown", "ServiceUnavailable"])
def test_only_the_keys_that_are_put_off_are_sent_again(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was deleted meanwhile counts as deleted. When nothing at all is deleted any more, the reason is reported."""
    monkeypatch.setattr(deletes, "PATIENCE_S", 0.0)
    refused = (
        "<DeleteResult><Deleted><Key>00000</Key></Deleted><Error><Key>00001</Key>"
        f"<Code>{code}</Code></Error></DeleteResult>"
    ).encode()
    with a_bucket(max_attempts=3) as (client, stored, intruder):
        pairs = fill(stored, 2)

        def put_off(call: Call, answer: bytes) -> bytes:
            stored.put("00001", b"1", 0)
            return with_body(refused)

        intruder.change = first_only(is_delete, put_off)
        report = client.delete(pairs)
        assert (report.deleted, report.failures) == (2, [])
        assert [call.body.count(b"<Object>") for call in intruder.calls] == [2, 1]
        pairs = fill(stored, 2)
        intruder.calls.clear()
        intruder.change = lambda call, answer: with_body(refused) if is_delete(call) else answer
        report = client.delete(pairs)
        assert report.deleted == 1
        assert [(failure.key, failure.reason) for failure in report.failures] == [("00001", code)]
        assert len(intruder.calls) == 3


KEY_BY_KEY = (
    b"<DeleteResult><Error><Key>00000</Key><Code>SlowDown</Code></Error>"
    b"<Error><Key>00001</Key><Code>SlowDown</Code></Error></DeleteResult>"
)


@pytest.mark.parametrize(
    "slow_down",
    [
        with_body(b"<Error><Code>SlowDown</Code></Error>", b"503 Slow Down"),
        with_body(b"<Error><Code>TooManyRequests</Code></Error>", b"429 Too Many Requests"),
        with_body(KEY_BY_KEY),
    ],
    ids=["503", "429", "key by key"],
)
def test_a_server_that_only_asks_to_slow_down_has_more_time_than_so_many_attempts(slow_down: bytes) -> None:
    """A busy bucket is no reason to end a run; one that fails otherwise is, after the last attempt."""
    with a_bucket(max_attempts=2) as (client, stored, intruder):
        pairs = fill(stored, 2)
        intruder.change = lambda call, answer: slow_down if len(intruder.calls) <= 4 else answer
        report = client.delete(pairs)
        assert (report.deleted, report.failures, len(intruder.calls)) == (2, [], 5)
        broken = with_body(b"<Error><Code>InternalError</Code></Error>", b"500 Internal Server Error")
        intruder.change = lambda call, answer: broken
        intruder.calls.clear()
        with pytest.raises(StorageError, match="failed after 2 attempts"):
            client.delete(fill(stored, 2))
        assert len(intruder.calls) == 2


def test_the_time_counts_from_when_something_was_deleted_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it was at work by then."""
    passed_s = 0.0
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + passed_s, sleep=time.sleep)
    monkeypatch.setattr(deletes, "time", clock)
    put_off = b"<DeleteResult><Error><Key>01000</Key><Code>SlowDown</Code></Error></DeleteResult>"
    with a_bucket(max_attempts=2) as (client, stored, intruder):
        pairs = fill(stored, 1_001)
        left = [4]

        def slow_down(call: Call, answer: bytes) -> bytes:
            if call.body.count(b"<Object>") > 1 or not left[0]:
                return answer
            left[0] -= 1
            return with_body(put_off)

        def source() -> Iterator[tuple[str, str]]:
            nonlocal passed_s
            yield from pairs[:1_000]
            passed_s = 2 * PATIENCE_S
            yield pairs[1_000]

        intruder.change = slow_down
        report = client.delete(source())
        assert (report.deleted, report.failures, report.gave_up, left) == (1_001, [], False, [0])


def test_failures_far_apart_do_not_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every other call fails, so nothing ever fails twice in a row: a long delete has many such moments."""
    monkeypatch.setattr(deletes, "DELETES_IN_FLIGHT", 1)
    monkeypatch.setattr(deletes, "DELETE_BATCH", 10)
    broken = with_body(b"<Error><Code>InternalError</Code></Error>", b"500 Internal Server Error")
    with a_bucket(max_attempts=2) as (client, stored, intruder):
        intruder.change = lambda call, answer: broken if len(intruder.calls) % 2 else answer
        assert client.delete(fill(stored, 40)).deleted == 40


def test_where_something_is_deleted_each_time_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often the rest is put off: an attempt counts only if nothing at all was deleted meanwhile."""
    monkeypatch.setattr(deletes, "PATIENCE_S", 0.0)

    def only_the_first(call: Call, answer: bytes) -> bytes:
        first, *others = re.findall(r"<Key>(\d+)</Key>", call.body.decode())
        put_off = "".join(f"<Error><Key>{key}</Key><Code>InternalError</Code></Error>" for key in others)
        return with_body(f"<DeleteResult><Deleted><Key>{first}</Key></Deleted>{put_off}</DeleteResult>".encode())

    with a_bucket(max_attempts=2) as (client, stored, intruder):
        monkeypatch.setattr(client._transport, "backoff_s", lambda attempts: 0.0)
        pairs = fill(stored, 9)
        intruder.change = only_the_first
        report = client.delete(pairs)
        assert (report.deleted, report.failures, report.gave_up) == (9, [], False)


def test_the_last_attempt_is_made_when_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not as long after it as the attempts before it would have it wait."""
    slept: list[float] = []
    monkeypatch.setattr(deletes, "time", SimpleNamespace(monotonic=lambda: 1000 + sum(slept), sleep=slept.append))
    monkeypatch.setattr(deletes, "PATIENCE_S", 60.0)
    with a_bucket(max_attempts=2) as (client, stored, intruder):
        monkeypatch.setattr(client._transport, "backoff_s", lambda attempts: 50.0)
        pairs = fill(stored, 2)
        intruder.change = lambda call, answer: with_body(KEY_BY_KEY)
        report = client.delete(pairs)
        assert (report.deleted, len(report.failures), report.gave_up) == (0, 2, True)
    assert slept == [50.0, 10.0]


def test_what_is_put_off_is_not_sent_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """But after the time that the attempts before it ask for."""
    called_at: list[float] = []
    with a_bucket() as (client, stored, intruder):
        monkeypatch.setattr(client._transport, "backoff_s", lambda attempts: 0.2)
        slow_down = with_body(b"<Error><Code>SlowDown</Code></Error>", b"503 Slow Down")

        def note(call: Call, answer: bytes) -> bytes:
            called_at.append(time.monotonic())
            return slow_down if len(called_at) == 1 else answer

        pairs = fill(stored, 2)
        intruder.change = note
        assert client.delete(pairs).deleted == 2
    assert called_at[1] - called_at[0] >= 0.2


def test_when_the_server_deletes_nothing_more_every_key_left_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were never asked for, too: nothing counts as deleted that was not."""
    monkeypatch.setattr(deletes, "PATIENCE_S", 0.0)
    with (
        serving(ServerOptions(writes_above=0.001, write_burst=1500)) as server,
        opened(server, max_attempts=2) as client,
    ):
        pairs = fill(server.api.buckets["bucket"], 9000)  # type: ignore[arg-type]
        report = client.delete(iter(pairs))
        assert (report.deleted, report.gave_up) == (1500, True)
        assert len(report.failures) == len({failure.key for failure in report.failures}) == 7500


@pytest.mark.heavy
@pytest.mark.parametrize("whole_calls", [0.0, 1.0], ids=["key by key", "whole calls"])
def test_a_server_that_grants_few_keys_at_once_is_asked_for_fewer(whole_calls: float) -> None:
    """All are deleted; tests/integration/test_rates.py holds it to the time."""
    options = ServerOptions(delay_ms=5, writes_above=8_000, write_burst=300, whole_calls=whole_calls)
    with serving(options) as server, opened(server) as client:
        pairs = fill(server.api.buckets["bucket"], 8_000)  # type: ignore[arg-type]
        report = client.delete(pairs)
    assert (report.deleted, report.failures) == (8_000, [])


def test_a_server_without_delete_objects_is_asked_key_by_key(caplog: pytest.LogCaptureFixture) -> None:
    """Each on its condition; what is gone counts as deleted, what was replaced is a failure. One line says so."""
    with a_bucket(quirk=odd_api.no_delete_objects) as (client, stored, intruder):
        pairs = [*fill(stored, 300), ("gone", "0" * 32)]
        stored.put("00077", b"replaced", 0)
        report = client.delete(pairs)
        assert (report.deleted, report.markers) == (300, 0)
        assert [failure.key for failure in report.failures] == ["00077"]
        assert "PreconditionFailed" in report.failures[0].reason
        assert [key for key, _ in stored.entries("", "")] == ["00077"]
        assert [call.method for call in intruder.calls].count("POST") == 1
    assert [record.message for record in caplog.records] == ["deletes_one_by_one"]


def test_a_server_that_allows_no_post_is_asked_key_by_key() -> None:
    """Some say so with another status."""
    refused = with_body(b"<Error><Code>MethodNotAllowed</Code></Error>", b"405 Method Not Allowed")
    with a_bucket() as (client, stored, intruder):
        pairs = fill(stored, 3)
        intruder.change = lambda call, answer: refused if call.method == "POST" else answer
        report = client.delete(pairs)
        assert (report.deleted, report.failures) == (3, [])


def test_a_key_that_nobody_asked_to_delete_is_not_sent_again() -> None:
    """Though the server puts it off."""
    put_off = b"<Error><Key>other</Key><Code>SlowDown</Code></Error>"
    with a_bucket() as (client, stored, intruder):
        pairs = fill(stored, 2)
        deleted = b"<Deleted><Key>00000</Key></Deleted><Deleted><Key>00001</Key></Deleted>"
        document = b"<DeleteResult>" + deleted + put_off + b"</DeleteResult>"
        intruder.change = lambda call, answer: with_body(document)
        assert client.delete(pairs).deleted == 2
        assert len(intruder.calls) == 1


@pytest.mark.parametrize(
    ("versions", "query", "headers"), [(False, "", (("if-match", '"e&1"'),)), (True, "versionId=e%261", ())]
)
def test_a_single_delete_names_the_etag_or_the_version(
    versions: bool, query: str, headers: tuple[tuple[str, str], ...]
) -> None:
    """One of the two: without the version it would hide what is there, and with an ETag for one S3 finds none."""
    with a_bucket() as (client, _, _):
        batch = deletes._Batch(client._calls, {"k": "e&1"}, 0, singly=True, versions=versions)
    assert (batch.request.method, batch.request.query, batch.request.headers) == ("DELETE", query, headers)
    assert batch.request.path.endswith("/k")


@pytest.mark.parametrize(
    ("lines", "markers"),
    [
        ([], {}),
        ([b"x-amz-version-id: v1"], {}),
        ([b"x-amz-delete-marker: true", b"x-amz-version-id: v1"], {"k": "v1"}),
        ([b"x-amz-delete-marker: true"], {"k": ""}),
    ],
)
def test_the_answer_to_a_single_delete_tells_of_the_marker(lines: list[bytes], markers: dict[str, str]) -> None:
    """And of its version, which goes with the version below it."""
    with a_bucket() as (client, _, _):
        batch = deletes._Batch(client._calls, {"k": "e"}, 0, singly=True, versions=False)
    batch.request.status, batch.request.header_lines = 204, lines
    answer = batch.read_single()
    assert answer is not None
    assert (answer.deleted, answer.markers) == ({"k"}, markers)


def test_a_refused_batch_stops_those_behind_it() -> None:
    """Nothing goes on being deleted when the caller has got an error."""
    with a_bucket() as (client, stored, intruder):
        pairs = fill(stored, 3000)
        intruder.change = lambda call, answer: (
            b"HTTP/1.1 403 F\r\nContent-Length: 100000\r\n\r\n".ljust(100_000 + 42) if is_delete(call) else answer
        )
        with pytest.raises(StorageError, match="s3:DeleteObject"):
            client.delete(pairs)
        assert client._transport._in_flight == {}
        assert all(request.cancelled for request in client._transport._waiting)


def test_many_keys_go_in_batches_of_a_thousand_with_their_etags() -> None:
    """None is left out, none is asked for twice, and each only with its ETag."""
    with a_bucket() as (client, stored, intruder):
        pairs = fill(stored, 5500)
        replaced = stored.put("00077", b"replaced", 0).etag
        report = client.delete(iter(pairs))
        assert report.deleted == 5499
        assert [failure.key for failure in report.failures] == ["00077"]
        assert next(stored.entries("", ""))[0] == "00077"
        assert len(stored) == 1
        assert stored.find("00077") is not None
        assert stored.find("00077").etag == replaced  # type: ignore[union-attr]
        bodies = [call.body.decode() for call in intruder.calls]
        assert [body.count("<Object>") for body in sorted(bodies, key=len, reverse=True)] == [1000] * 5 + [500]
        assert len(set(re.findall("<Key>([^<]*)</Key>", "".join(bodies)))) == 5500


def test_a_delete_that_fails_raises_and_leaves_the_client_usable() -> None:
    """An error in one batch cancels the others under way."""
    with a_bucket(max_attempts=1) as (client, stored, intruder):
        pairs = fill(stored, 4500)
        intruder.change = lambda call, answer: None if is_delete(call) else answer
        with pytest.raises(StorageError, match=r"s3:DeleteObject on s3://bucket/0[0-9]000 failed"):
            client.delete(pairs)
        intruder.change = None
        remaining = len(stored)
        assert client.delete(pairs).failures == []
        assert len(stored) == 0
        assert remaining <= 4500


def test_keys_that_xml_cannot_express_are_deleted_one_by_one() -> None:
    """S3 refuses a DeleteObjects call with such a key as malformed, with all others in it."""
    with a_bucket() as (client, stored, intruder):
        pairs = fill(stored, 20)
        pairs += [(key, stored.put(key, b"x", 0).etag) for key in ("b\x01c", "\x1f", "d\ufffe")]
        assert client.delete(pairs).deleted == 23
        assert len(stored) == 0
        assert not any(b"\x01" in call.body for call in intruder.calls)


def test_what_was_deleted_before_a_failure_is_in_the_report() -> None:
    """Though the whole ends with an error: figures count what happened."""
    with a_bucket(max_attempts=1) as (client, stored, intruder):
        pairs = fill(stored, 9000)
        intruder.change = lambda call, answer: None if is_delete(call) and len(stored) < 4500 else answer
        report = DeleteReport()
        with pytest.raises(StorageError):
            client.delete(pairs, report)
        assert 0 < report.deleted <= 9000 - len(stored)


def test_an_answer_that_is_no_answer_is_asked_for_again() -> None:
    """Cut short, another document, no UTF-8, an encoding nobody knows: then S3 says NoSuchKey, and all is well."""
    for body in (
        b"<DeleteResult><Del",
        b"<Error/>",
        b"<DeleteResult><Deleted><Key>\xff</Key></Deleted></DeleteResult>",
    ):
        with a_bucket() as (client, stored, intruder):
            pairs = fill(stored, 2)
            intruder.change = first_only(is_delete, lambda call, answer, body=body: with_body(body))  # type: ignore[misc]
            report = client.delete(pairs)
            assert (report.deleted, report.failures) == (2, [])
            assert len(intruder.calls) == 2
            assert len(stored) == 0


@pytest.mark.parametrize("max_in_flight", [1, 8])
def test_an_interruption_waits_for_the_answers_to_what_was_asked(max_in_flight: int) -> None:
    """Nobody can call those deletes back: they are counted, and nothing more is asked for, not even what only waits to
    be sent."""
    with a_bucket(max_in_flight=max_in_flight) as (client, stored, intruder):
        objects = fill(stored, 2_500)

        def interrupted() -> Iterator[tuple[str, str]]:
            yield from objects[:2_300]
            raise KeyboardInterrupt

        report = DeleteReport()
        with pytest.raises(KeyboardInterrupt):
            client.delete(interrupted(), report)
        assert report.deleted == 2_500 - len(stored) == 1000 * len(intruder.calls) > 0
        assert len(intruder.calls) == min(2, max_in_flight)
