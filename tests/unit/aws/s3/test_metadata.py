"""The metadata of objects: what of an answer's headers it is, and which answers have none."""

from __future__ import annotations

from bench.s3_api import Call
from tests.support.answers import a_bucket

from s3_log_roller.errors import ObjectGone, StorageError
from s3_log_roller.store import CHECKSUM, ListedObject

ANSWERS = {
    "good": (
        b'HTTP/1.1 200 OK\r\nETag: "e1"\r\nx-amz-meta-outline: one\r\nX-Amz-Meta-Other: two\r\n'
        b"x-amz-checksum-crc64nvme: AAAA\r\nx-amz-checksum-type: FULL_OBJECT\r\nContent-Type: text/plain\r\n"
    ),
    "replaced": b'HTTP/1.1 200 OK\r\nETag: "e2"\r\nx-amz-meta-outline: one\r\n',
    "unnamed": b"HTTP/1.1 200 OK\r\nx-amz-meta-outline: one\r\n",
    "refused": b"HTTP/1.1 403 Forbidden\r\n",
    "elsewhere": b'HTTP/1.1 300 Multiple Choices\r\nETag: "e1"\r\n',
}


def answer(call: Call, plain: bytes) -> bytes:
    assert call.method == "HEAD"
    assert call.header(b"x-amz-checksum-mode") == b"ENABLED"
    return ANSWERS[call.key] + b"Content-Length: 0\r\n\r\n"


def listed(name: str) -> ListedObject:
    return ListedObject(name, "e1", 10, 0, archived=False)


def test_metadata_and_checksums_are_read_object_by_object() -> None:
    """In the order in which they were asked for, from any iterable; an error is that of its own object."""
    with a_bucket() as (bucket, _, intruder):
        intruder.change = answer
        good, replaced, unnamed, refused, elsewhere = bucket.read_metadata(listed(name) for name in ANSWERS)
        assert good == {"outline": "one", "other": "two", f"{CHECKSUM}crc64nvme": "AAAA"}
        assert isinstance(replaced, ObjectGone)
        assert isinstance(unnamed, ObjectGone)
        assert "s3://bucket/replaced was replaced since it was listed" in str(replaced)
        assert isinstance(refused, StorageError)
        assert isinstance(elsewhere, StorageError)
        assert len(intruder.calls) == len(ANSWERS)


def test_metadata_goes_out_with_the_object() -> None:
    """Each entry is a header."""
    with a_bucket() as (bucket, _, intruder):
        upload = bucket.upload("key", 10, lambda: {"outline": "one", "other": "two"})
        upload.write(b"content")
        upload.finish()
        (call,) = intruder.calls
        assert (call.header(b"x-amz-meta-outline"), call.header(b"x-amz-meta-other")) == (b"one", b"two")
