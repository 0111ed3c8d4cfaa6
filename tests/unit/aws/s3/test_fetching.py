"""Fetching: what is handed out is what was asked for, or an error says what came instead."""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import md5

import pytest
from tests.support.answers import a_bucket, first_only, with_body

from s3_log_roller.aws.s3 import fetching
from s3_log_roller.errors import ObjectGone, StorageError
from s3_log_roller.store import ByteRange


def piece(key: str, body: bytes, **changes: object) -> ByteRange:
    return ByteRange(key, md5(body).hexdigest(), 0, len(body), whole=True)._replace(**changes)  # type: ignore[arg-type]


def test_a_body_that_is_not_what_its_etag_says_is_never_handed_out() -> None:
    """Same length, other bytes: fetched again, and after the last attempt an error that says so."""
    with a_bucket() as (client, stored, intruder):
        stored.put("key", b"body", 0)
        intruder.change = lambda call, answer: answer.replace(b"\r\n\r\nbody", b"\r\n\r\nBody")
        with pytest.raises(StorageError, match=r"failed after 3 attempts: the same bytes came every time"):
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
        with pytest.raises(StorageError, match="MD5 is not its ETag"):
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


@pytest.mark.parametrize("size", [40_000, 1])
def test_what_is_fetched_ahead_is_bounded(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In bytes and in number, whatever the objects' sizes, and all of them come in the end."""
    monkeypatch.setattr(fetching, "READ_AHEAD_BYTES", 100_000)
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
            assert ahead * size <= fetching.READ_AHEAD_BYTES + size
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
