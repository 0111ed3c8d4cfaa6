"""The S3 client against answers that S3 may give and answers it should not, from a server in this process."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from hashlib import md5

import pytest
from bench import s3_api
from bench.buckets import Bucket, MultipartUpload
from bench.s3_api import Call
from bench.s3_server import S3Server, serving

from s3_log_roller.aws.s3 import S3Bucket, bucket
from s3_log_roller.aws.s3.signing import Credentials, Signer
from s3_log_roller.aws.s3.transport import Transport, Wire
from s3_log_roller.aws.s3.xml import parse_page
from s3_log_roller.demo.servers import REGION
from s3_log_roller.errors import AlreadyExists, ObjectGone, StorageError
from s3_log_roller.store import ByteRange, list_objects

Change = Callable[[Call, bytes], bytes | None]


class Intruder:
    """Changes some of the server's answers; notes all calls."""

    def __init__(self) -> None:
        self.change: Change | None = None
        self.calls: list[Call] = []

    def __call__(self, call: Call, answer: bytes) -> bytes | None:
        self.calls.append(call)
        return answer if self.change is None else self.change(call, answer)


@contextmanager
def a_bucket(max_attempts: int = 3, max_in_flight: int = 8) -> Iterator[tuple[S3Bucket, Bucket, Intruder]]:
    """The client, the bucket as the server holds it, and what stands between them."""
    intruder = Intruder()
    with serving(intercept=intruder) as server:
        stored = server.api.buckets["bucket"] = Bucket()
        with closing(_client(server, max_attempts, max_in_flight)) as client:
            yield client, stored, intruder
        while server.connections:
            time.sleep(0.001)


def _client(server: S3Server, max_attempts: int, max_in_flight: int) -> S3Bucket:
    signer = Signer(server.url.partition("://")[2], REGION, lambda: Credentials("a", "b", None))
    wire = Wire(server.url, read_timeout_s=5, max_attempts=max_attempts)
    return S3Bucket("bucket", "/bucket/", Transport(wire, signer, max_in_flight, jitter=lambda: 0.01))


def fill(stored: Bucket, count: int) -> list[tuple[str, str]]:
    """(key, ETag) of so many objects."""
    return [(f"{number:05}", stored.put(f"{number:05}", b"%d" % number, 0).etag) for number in range(count)]


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


def with_body(body: bytes, status: bytes = b"200 OK", headers: bytes = b"") -> bytes:
    # Never shorter than the answer it stands for: the server in these tests would cut the connection behind it.
    body = body.ljust(4096)
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, headers, len(body), body)


def deletes(call: Call) -> bool:
    return call.method == "POST" and "delete" in call.query


def first_only(wanted: Callable[[Call], bool], change: Change) -> Change:
    """The change at the first call of a kind only."""
    left = [1]

    def apply(call: Call, answer: bytes) -> bytes | None:
        if wanted(call) and left:
            left.clear()
            return change(call, answer)
        return answer

    return apply


# Deleting

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
        intruder.change = lambda call, answer: with_body(document) if deletes(call) else answer
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
        intruder.change = lambda call, answer: with_body(document) if deletes(call) else answer
        report = client.delete(pairs)
        assert (report.deleted, report.markers, report.failures) == (3, 2, [])


@pytest.mark.parametrize("max_attempts", [2, 8])
@pytest.mark.parametrize("code", ["InternalError", "SlowDown", "ServiceUnavailable"])
def test_keys_that_are_put_off_are_tried_again_with_their_batch(code: str, max_attempts: int) -> None:
    """What was deleted meanwhile counts as deleted; after some attempts the reason is reported."""
    refused = (
        "<DeleteResult><Deleted><Key>00000</Key></Deleted><Error><Key>00001</Key>"
        f"<Code>{code}</Code></Error></DeleteResult>"
    ).encode()
    with a_bucket(max_attempts) as (client, stored, intruder):
        pairs = fill(stored, 2)

        def put_off(call: Call, answer: bytes) -> bytes:
            stored.put("00001", b"1", 0)
            return with_body(refused)

        intruder.change = first_only(deletes, put_off)
        report = client.delete(pairs)
        assert (report.deleted, report.failures) == (2, [])
        assert len(intruder.calls) == 2
        pairs = fill(stored, 2)
        intruder.calls.clear()
        intruder.change = lambda call, answer: with_body(refused) if deletes(call) else answer
        report = client.delete(pairs)
        assert report.deleted == 1
        assert [failure.reason for failure in report.failures] == [code]
        assert len(intruder.calls) == min(bucket.DELETE_ATTEMPTS, max_attempts)


def test_a_refused_batch_stops_those_behind_it() -> None:
    """Nothing goes on being deleted when the caller has got an error."""
    with a_bucket() as (client, stored, intruder):
        pairs = fill(stored, 3000)
        intruder.change = lambda call, answer: (
            b"HTTP/1.1 403 F\r\nContent-Length: 100000\r\n\r\n".ljust(100_000 + 42) if deletes(call) else answer
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
        intruder.change = lambda call, answer: None if deletes(call) else answer
        with pytest.raises(StorageError, match=r"s3:DeleteObject on s3://bucket/00000 failed"):
            client.delete(pairs)
        intruder.change = None
        remaining = len(stored)
        assert client.delete(pairs).failures == []
        assert len(stored) == 0
        assert remaining <= 4500


def test_an_answer_that_is_no_answer_is_asked_for_again() -> None:
    """Cut short, another document, no UTF-8, an encoding nobody knows: then S3 says NoSuchKey, and all is well."""
    for body in (
        b"<DeleteResult><Del",
        b"<Error/>",
        b"<DeleteResult><Deleted><Key>\xff</Key></Deleted></DeleteResult>",
    ):
        with a_bucket() as (client, stored, intruder):
            pairs = fill(stored, 2)
            intruder.change = first_only(deletes, lambda call, answer, body=body: with_body(body))  # type: ignore[misc]
            report = client.delete(pairs)
            assert (report.deleted, report.failures) == (2, [])
            assert len(intruder.calls) == 2
            assert len(stored) == 0


# Fetching


def piece(key: str, body: bytes, **changes: object) -> ByteRange:
    return ByteRange(key, md5(body).hexdigest(), 0, len(body), whole=True)._replace(**changes)  # type: ignore[arg-type]


def test_a_body_that_is_not_what_its_etag_says_is_never_handed_out() -> None:
    """Same length, other bytes: fetched again, and after the last attempt an error that says so."""
    with a_bucket() as (client, stored, intruder):
        stored.put("key", b"body", 0)
        intruder.change = lambda call, answer: answer.replace(b"\r\n\r\nbody", b"\r\n\r\nBody")
        with pytest.raises(StorageError, match=r"failed after 3 attempts: its MD5 differs from its ETag"):
            list(client.fetch([piece("key", b"body")]))
        assert len(intruder.calls) == 3
        intruder.change = first_only(lambda call: True, intruder.change)
        assert list(client.fetch([piece("key", b"body")])) == [(b"body", md5(b"body").digest())]


@pytest.mark.parametrize(
    "header",
    [
        b"x-amz-server-side-encryption: aws:kms",
        b"x-amz-server-side-encryption: aws:kms:dsse",
        b"x-amz-server-side-encryption-customer-algorithm: AES256",
    ],
)
def test_an_etag_that_is_no_md5_by_its_headers_is_taken_with_the_bodys_own(header: bytes) -> None:
    """With SSE-KMS and SSE-C the MD5 of what came is handed out; the first answer tells that it is so.

    Behind objects whose ETags are MD5s, whose answers' headers nobody looks at, one more request does.
    """
    with a_bucket() as (client, stored, intruder):
        etag = "0" * 32
        for key in ("a", "b"):
            stored.put(key, b"body", 0, etag)
        intruder.change = lambda call, answer: (
            re.sub(rb"x-amz-server-side-encryption: AES256", header, answer, count=1) + b"\r\n"
        )
        pieces = [piece(key, b"body", etag=etag) for key in ("a", "b")]
        got = [next(client.fetch([one])) for one in pieces]
        assert got == [(b"body", md5(b"body").digest())] * 2
        assert len(intruder.calls) == 2
        assert not client.etag_is_md5("a")
        intruder.change = None
        assert client.etag_is_md5("a")
        with pytest.raises(StorageError, match="MD5 differs"):
            list(client.fetch(pieces))
    with a_bucket(max_attempts=2) as (client, stored, intruder):
        stored.put("a", b"body", 0)
        stored.put("b", b"body", 0, etag)
        assert next(client.fetch([piece("a", b"body")])) == (b"body", md5(b"body").digest())
        intruder.change = lambda call, answer: (
            re.sub(rb"x-amz-server-side-encryption: AES256", header, answer, count=1) + b"\r\n"
        )
        assert next(client.fetch([piece("b", b"body", etag=etag)])) == (b"body", md5(b"body").digest())
        assert len(intruder.calls) == 3


def test_odd_keys_are_escaped_in_paths_and_plain_ones_are_not() -> None:
    """The object of that very name, and the signature's own form of the path."""
    with a_bucket() as (client, stored, intruder):
        for key in ("a b/é+%#?&", "plain/2022-07-01-~_."):
            stored.put(key, b"body", 0)
            assert next(client.fetch([piece(key, b"body")]))[0] == b"body"
        lines = [call.head.split(b"\r\n")[0] for call in intruder.calls]
        assert lines[0] == b"GET /bucket/a%20b/%C3%A9%2B%25%23%3F%26 HTTP/1.1"
        assert lines[1] == b"GET /bucket/plain/2022-07-01-~_. HTTP/1.1"


def test_ranges_are_exactly_what_was_asked_for_and_of_that_version() -> None:
    """Another length is refused; another version is `ObjectGone`; bodies come in order whatever the network does."""
    content = bytes(range(256)) * 40
    with a_bucket(max_in_flight=4) as (client, stored, intruder):
        etag = stored.put("key", content, 0).etag
        pieces = [ByteRange("key", etag, offset, 100, whole=False) for offset in range(0, 10_000, 100)]
        got = list(client.fetch(pieces))
        assert b"".join(body for body, _ in got) == content[:10_000]
        assert {digest for _, digest in got} == {b""}
        assert all(call.header(b"if-match") == f'"{etag}"'.encode() for call in intruder.calls)
        intruder.change = lambda call, answer: with_body(content, b"206 Partial Content")
        with pytest.raises(StorageError, match=r"10240 bytes came instead of 100"):
            list(client.fetch(pieces[:1]))
        intruder.change = None
        with pytest.raises(ObjectGone):
            list(client.fetch([pieces[0]._replace(etag="0" * 32)]))


def test_a_consumer_that_stops_leaves_nothing_under_way() -> None:
    """What was asked for ahead is dropped, and the client goes on to other work."""
    with a_bucket(max_in_flight=4) as (client, stored, _):
        for number in range(50):
            stored.put(f"{number}", b"x", 0)
        bodies = client.fetch(piece(f"{number}", b"x") for number in range(50))
        assert next(bodies)[0] == b"x"
        bodies.close()
        assert client._transport._in_flight == {}
        assert [entry.key for entry in client.list_page("7").objects] == ["7"]


@pytest.mark.parametrize("size", [3 << 20, 1])
def test_what_is_fetched_ahead_is_bounded(size: int) -> None:
    """In bytes and in number, whatever the objects' sizes."""
    taken = 0
    body = bytes(size)

    def source() -> Iterator[ByteRange]:
        nonlocal taken
        for _ in range(60):
            taken += 1
            yield piece("key", body)

    with a_bucket(max_in_flight=4) as (client, stored, _):
        stored.put("key", body, 0)
        for handed_out, _ in enumerate(client.fetch(source()), 1):
            ahead = taken - handed_out
            assert ahead <= 2 * 4
            assert ahead * size <= bucket.READ_AHEAD_BYTES + size
        assert taken == handed_out == 60


def test_who_stops_fetching_leaves_nothing_under_way() -> None:
    """Nothing goes on in the background, and nobody waits for it."""
    with a_bucket(max_in_flight=4) as (client, stored, _):
        for number in range(20):
            stored.put(str(number), b"body", 0)
        bodies = client.fetch([piece(str(number), b"body") for number in range(20)])
        next(bodies)
        bodies.close()
        assert client._transport._in_flight == {}
        assert not any(not request.cancelled for request in client._transport._waiting)


# Uploading


def allow_small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """On both sides."""
    monkeypatch.setattr(bucket, "PART_BYTES", 1000)
    monkeypatch.setattr(s3_api, "MIN_PART_BYTES", 1)


def test_one_put_or_parts_and_always_only_if_the_key_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every byte arrives, with checksums, as one PUT or as parts in order; a taken key is `AlreadyExists`."""
    allow_small_parts(monkeypatch)
    for size in (0, 1, 999, 1000, 1001, 7777):
        data = bytes(number % 251 for number in range(size))
        with a_bucket() as (client, stored, intruder):
            upload = client.upload("key", size)
            for start in range(0, size, 300):
                upload.write(data[start : start + 300])
            assert stored.find("key") is None
            etag = upload.finish()
            found = stored.find("key")
            assert found is not None
            assert (found.body, found.etag) == (data, etag)
            final = [call for call in intruder.calls if call.header(b"if-none-match") == b"*"]
            assert len(final) == 1
            assert all(call.header(b"content-md5") for call in intruder.calls if call.method == "PUT")
            parts = [len(call.body) for call in intruder.calls if "partNumber" in call.query]
            assert set(parts[:-1]) <= {1000}
            assert sum(parts) == (size if size >= 1000 else 0)
            again = client.upload("key", size)
            again.write(data)
            with pytest.raises(AlreadyExists):
                again.finish()
            again.abort()
            again.abort()
            upload.abort()
            assert stored.uploads == {}
            assert stored.find("key") == found


def test_parts_grow_with_the_upload_so_that_they_stay_few() -> None:
    """S3 allows 10,000 parts."""
    with a_bucket() as (client, _, _):
        assert client.upload("key", 1)._part_bytes == bucket.PART_BYTES
        huge = bucket.PART_BYTES * bucket.MAX_PARTS * 3
        assert client.upload("key", huge)._part_bytes == 3 * bucket.PART_BYTES
        assert client.upload("key", huge + 1)._part_bytes == 3 * bucket.PART_BYTES + 1


def test_a_completion_that_failed_under_status_200_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 may answer 200 and tell of an error in the body: tried again, and in the end an error."""
    allow_small_parts(monkeypatch)

    def completes(call: Call) -> bool:
        return call.method == "POST" and "uploadId" in call.query

    with a_bucket() as (client, stored, intruder):
        error = b"<Error><Code>InternalError</Code></Error>"
        intruder.change = first_only(completes, lambda call, answer: with_body(error))
        upload = client.upload("key", 1)
        upload.write(bytes(2500))
        # The server did complete it at the first attempt; the second finds no such upload.
        with pytest.raises(AlreadyExists, match="may exist already"):
            upload.finish()
        assert stored.find("key") is not None
        intruder.change = lambda call, answer: (
            b"HTTP/1.1 404 N\r\nContent-Length: 9999\r\n\r\n"
            + (b"<Error><Code>NoSuchUpload</Code></Error>".ljust(9999))
        )
        upload = client.upload("other", 1)
        upload._upload_id = "gone"
        with pytest.raises(StorageError, match="NoSuchUpload") as seen:
            upload.finish()
        assert not isinstance(seen.value, AlreadyExists)


def test_an_aborted_upload_is_gone_and_its_parts_under_way_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Aborting again does nothing; nothing of the upload is left in flight.

    One request, and one more where S3 may have taken in a part after the first.
    """
    allow_small_parts(monkeypatch)
    monkeypatch.setattr(bucket, "PARTS_IN_FLIGHT", 10)
    with a_bucket() as (client, stored, intruder):
        upload = client.upload("key", 1)
        upload.write(bytes(5500))
        assert len(stored.uploads) == 1
        upload.abort()
        upload.abort()
        assert stored.uploads == {}
        assert not any("partNumber" in call.query for call in intruder.calls)
        assert [call.method for call in intruder.calls].count("DELETE") == 2
        assert client._transport._in_flight == {}
        never_begun = client.upload("key", 1)
        never_begun.write(b"x")
        never_begun.abort()
        assert [call.method for call in intruder.calls].count("DELETE") == 2
        monkeypatch.setattr(bucket, "PARTS_IN_FLIGHT", 0)
        all_there = client.upload("key", 1)
        all_there.write(bytes(5500))
        all_there.abort()
        assert [call.method for call in intruder.calls].count("DELETE") == 3
        stuck = client.upload("key", 1)
        stuck.write(bytes(1500))
        intruder.change = lambda call, answer: b"HTTP/1.1 403 F\r\nContent-Length: 0\r\n\r\n" + bytes(len(answer))
        with pytest.raises(StorageError, match="s3:AbortMultipartUpload on s3://bucket/key was refused"):
            stuck.abort()


@pytest.mark.parametrize("size", [900, 2500])
def test_somebody_looks_right_before_every_attempt_to_publish(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """When every part has arrived, and after every refusal; who does not like what is there, stops it."""
    allow_small_parts(monkeypatch)
    uploads: dict[str, MultipartUpload] = {}
    looks = attempts = 0

    with a_bucket(max_attempts=3) as (client, stored, intruder):

        def refuse(call: Call, answer: bytes) -> bytes:
            nonlocal attempts
            attempts += call.header(b"if-none-match") == b"*"
            if call.header(b"if-none-match") != b"*" or attempts == 3:
                return answer
            stored.remove("key")  # as if it had not been done
            stored.uploads.update(uploads)
            return b"HTTP/1.1 503 S\r\nContent-Length: 100\r\n\r\n".ljust(8192)

        def look() -> None:
            nonlocal looks
            assert looks == attempts
            assert all(part.done for part in upload._parts)
            uploads.update(stored.uploads)
            looks += 1

        intruder.change = refuse
        upload = client.upload("key", 1)
        upload.write(bytes(size))
        etag = upload.finish(look)
        found = stored.find("key")
        assert found is not None
        assert (found.etag, looks, attempts) == (etag, 3, 3)

        def stop() -> None:
            raise AlreadyExists("somebody was quicker")

        other = client.upload("other", 1)
        other.write(bytes(size))
        with pytest.raises(AlreadyExists, match="quicker"):
            other.finish(stop)
        other.abort()
        assert stored.find("other") is None
        assert stored.uploads == {}


def test_a_part_that_fails_fails_the_upload(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is published, whichever part it is."""
    allow_small_parts(monkeypatch)
    for bad in (1, 3, 6):
        with a_bucket(max_attempts=1) as (client, stored, intruder):
            intruder.change = lambda call, answer, bad=bad: None if f"partNumber={bad}&" in call.query else answer
            upload = client.upload("key", 1)
            with pytest.raises(StorageError, match="s3:PutObject on s3://bucket/key failed"):  # noqa: PT012
                upload.write(bytes(5500))
                upload.finish()
            upload.abort()
            assert stored.find("key") is None
            assert stored.uploads == {}


def test_an_upload_without_an_id_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer to CreateMultipartUpload that names none, or breaks off, is asked for again, then an error."""
    allow_small_parts(monkeypatch)
    with a_bucket() as (client, _, intruder):
        intruder.change = lambda call, answer: with_body(b"<X/>")
        with pytest.raises(StorageError, match="s3://bucket/key failed after 3 attempts: S3 gave no upload id"):
            client.upload("key", 1).write(bytes(1000))
        intruder.change = first_only(lambda call: call.query == "uploads=", lambda call, answer: with_body(b"<Init"))
        upload = client.upload("key", 1)
        upload.write(bytes(2500))
        upload.finish()
        assert [entry.size for entry in client.list_page("").objects] == [2500]


def test_a_sent_part_does_not_stay_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most `PARTS_IN_FLIGHT` parts and what fills the next one."""
    allow_small_parts(monkeypatch)
    with a_bucket() as (client, _, _):
        upload = client.upload("key", 1)
        for _ in range(20):
            upload.write(bytes(1000))
            held = sum(len(part.body) for part in upload._parts) + sum(map(len, upload._pieces))
            assert held <= bucket.PARTS_IN_FLIGHT * 1000
        assert len(upload._parts) == 20


# Listing


def test_a_listing_is_asked_for_again_until_it_is_one() -> None:
    """Cut short, without the word whether more follows, another document."""
    for body in (b"<ListBucketResult><IsTru", b"<ListBucketResult></ListBucketResult>", b"<html></html>", b"\xff"):
        with a_bucket() as (client, stored, intruder):
            fill(stored, 2)
            intruder.change = first_only(lambda call: True, lambda call, answer, body=body: with_body(body))  # type: ignore[misc]
            assert [entry.key for entry in client.list_page("").objects] == ["00000", "00001"]
            assert client.requests_sent == 2
            intruder.change = lambda call, answer, body=body: with_body(body)
            with pytest.raises(StorageError, match=r"failed after 3 attempts: unreadable listing"):
                client.list_page("")


def test_prefix_start_and_size_of_a_page_are_asked_for_as_they_are() -> None:
    """Odd signs in prefix and start are escaped, and an empty start is not sent."""
    with a_bucket() as (client, stored, intruder):
        for key in ("a b&c/1", "a b&c/2", "a b&c/3", "a b"):
            stored.put(key, b"", 0)
        page = client.list_page("a b&c/", "a b&c/1", max_keys=1)
        assert [entry.key for entry in page.objects] == ["a b&c/2"]
        assert page.truncated
        assert "start-after=a%20b%26c%2F1" in intruder.calls[0].query
        client.list_page("a")
        assert "start-after" not in intruder.calls[1].query
        assert "encoding-type=url" in intruder.calls[1].query


def test_an_empty_page_is_followed_by_its_token() -> None:
    """A server may answer with no keys and go on all the same; the token is escaped both ways."""
    empty = b"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>%b</NextContinuationToken>"
    assert parse_page(empty % b"a&amp;b" + b"</ListBucketResult>").continuation_token == "a&b"
    with a_bucket() as (client, stored, intruder):
        fill(stored, 2)
        answer = with_body(empty % b"MA==" + b"</ListBucketResult>")
        intruder.change = first_only(lambda call: True, lambda call, _: answer)
        assert [entry.key for entry in list_objects(client, "", "0")] == ["00000", "00001"]
        assert [call.query.partition("&")[0] for call in intruder.calls] == [
            "encoding-type=url",
            "continuation-token=MA%3D%3D",
        ]
        assert "start-after=0" in intruder.calls[0].query
        assert "start-after" not in intruder.calls[1].query


def test_a_bucket_at_the_root_of_its_host_is_reached() -> None:
    """Virtual-host style: the path of the bucket itself is `/`."""
    assert S3Bucket("b", "/", None)._bucket_path == "/"  # type: ignore[arg-type]
    assert S3Bucket("b", "/b/", None)._bucket_path == "/b"  # type: ignore[arg-type]
