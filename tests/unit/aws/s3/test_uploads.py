"""Uploads: whole or not there, never over anything, and nothing left behind."""

from __future__ import annotations

import pytest
from bench import s3_api
from bench.buckets import MultipartUpload
from bench.s3_api import Call
from tests.support.answers import a_bucket, first_only, with_body

from s3_log_roller.aws.s3 import uploads
from s3_log_roller.errors import AlreadyExists, StorageError


def allow_small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """On both sides."""
    monkeypatch.setattr(uploads, "PART_BYTES", 1000)
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
            intruder.calls.clear()
            upload.abort()
            assert not intruder.calls
            assert stored.uploads == {}
            assert stored.find("key") == found


def test_settled_uploads_have_nothing_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part has arrived by then, and its bytes are let go of; what makes no whole part is kept."""
    allow_small_parts(monkeypatch)
    with a_bucket() as (client, stored, _):
        upload = client.upload("key", 3000)
        upload.settle()
        for number in range(1, 4):
            upload.write(bytes(900))
            upload.settle()
            (under_way,) = stored.uploads.values() or [None]
            assert len(under_way.parts if under_way else {}) == 900 * number // 1000
            assert all(part.done and not part.body for part in upload._parts)
        upload.finish()
        found = stored.find("key")
        assert found is not None
        assert found.body == bytes(2700)


def test_parts_grow_with_the_upload_so_that_they_stay_few() -> None:
    """S3 allows 10,000 parts."""
    with a_bucket() as (client, _, _):
        assert client.upload("key", 1)._part_bytes == uploads.PART_BYTES
        huge = uploads.PART_BYTES * uploads.MAX_PARTS * 3
        assert client.upload("key", huge)._part_bytes == 3 * uploads.PART_BYTES
        assert client.upload("key", huge + 1)._part_bytes == 3 * uploads.PART_BYTES + 1


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
    monkeypatch.setattr(uploads, "PARTS_IN_FLIGHT", 10)
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
        all_there = client.upload("key", 1)
        all_there.write(bytes(5500))
        for part in all_there._parts:
            client._calls.wait(part)
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
            assert held <= uploads.PARTS_IN_FLIGHT * 1000
        assert len(upload._parts) == 20
