"""What reconcile relies on, held by every store: in memory, SeaweedFS, ministack's S3, the benchmark's server."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import md5
from typing import TYPE_CHECKING

import boto3
import pytest
from tests.support import odd_api
from tests.support.memory_store import MemoryStore
from tests.support.servers import session_for

from s3_log_roller.aws.s3 import open_bucket
from s3_log_roller.aws.s3.uploads import PART_BYTES
from s3_log_roller.demo.servers import LocalServer
from s3_log_roller.errors import AlreadyExists, CredentialsError, ObjectGone, StorageError, WrongRegion
from s3_log_roller.store import ByteRange, ListedObject, Metadata, NewObject, Pager, Store

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

REGION = "us-west-2"


OWN = {"bench": None} | {
    f"bench, {quirk.__name__}": quirk
    for quirk in (
        odd_api.keys_as_they_are,
        odd_api.version_1_without_a_word,
        odd_api.version_1_and_says_so,
        odd_api.weak_etags_everywhere,
        odd_api.no_delete_objects,
    )
}
"""The benchmark's server, and with what other servers do otherwise: none of it makes a difference to the use cases.
What does is refused with a clear error, see tests/unit/aws/s3/test_odd_servers.py."""


@pytest.fixture(params=["memory", "seaweedfs", "ministack", *OWN])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty bucket behind the port, in memory or on one of the servers."""
    if request.param == "memory":
        yield MemoryStore()
        return
    if request.param in OWN:
        from bench.buckets import Bucket
        from bench.s3_server import serving

        session = boto3.Session(aws_access_key_id="a", aws_secret_access_key="b", region_name=REGION)
        quirk = OWN[request.param]
        with serving() as own_server:
            if quirk is not None:
                own_server.api = odd_api.OddApi(quirk)
            own_server.api.buckets["bucket"] = Bucket()
            with closing(open_bucket(session, "bucket", endpoint_url=own_server.url)) as opened:
                yield opened
            while own_server.connections:
                time.sleep(0.001)
        return
    server: LocalServer = request.getfixturevalue(request.param)
    bucket = request.getfixturevalue("bucket" if request.param == "seaweedfs" else "any_key_bucket")
    with closing(open_bucket(session_for(server), bucket, endpoint_url=server.endpoint)) as opened:
        yield opened


def put(store: Store, key: str, body: bytes) -> ListedObject:
    upload = store.upload(key, len(body))
    upload.write(body)
    return ListedObject(key, upload.finish(), len(body), 0, archived=False)


def piece(entry: ListedObject, offset: int = 0, length: int | None = None) -> ByteRange:
    whole = length is None
    return ByteRange(entry.key, entry.etag, offset, entry.size if length is None else length, whole)


def fetch(store: Store, *pieces: ByteRange) -> list[tuple[bytes, bytes]]:
    return list(store.fetch(pieces))


KEYS = ["a b", "a+b", "a%2Fb", "a%b", "a#b", "a&b", "a'b\"c", "é/ü", "日本", "a:b~c!d*e(f)", "a=b?c", "<x>&amp;"]


def test_odd_keys_are_listed_fetched_and_deleted_as_they_are(store: Store) -> None:
    """Spaces, +, %, #, &, quotes, non-ASCII and XML's own signs survive every call."""
    written = [put(store, key, key.encode()) for key in KEYS]
    listed = store.list_page("").objects
    assert {entry.key for entry in listed} == set(KEYS)
    assert [body for body, _ in fetch(store, *map(piece, written))] == [key.encode() for key in KEYS]
    report = store.delete((entry.key, entry.etag) for entry in listed)
    assert (report.deleted, report.failures) == (len(KEYS), [])
    assert store.list_page("").objects == []


def test_a_listing_goes_on_behind_start_after_with_sizes_and_etags(store: Store) -> None:
    """Pages are in order, `truncated` tells whether more follow, and what is listed is what was written."""
    for number in range(5):
        put(store, f"p/{number}", b"x" * number)
    put(store, "q", b"")
    first = store.list_page("p/", max_keys=3)
    second = store.list_page("p/", first.objects[-1].key, max_keys=3)
    assert [entry.key for entry in (*first.objects, *second.objects)] == [f"p/{n}" for n in range(5)]
    assert (first.truncated, second.truncated) == (True, False)
    assert [entry.size for entry in first.objects] == [0, 1, 2]
    assert first.objects[2].etag == md5(b"xx").hexdigest()
    assert store.list_page("p/", "p/3:").objects[0].key == "p/4"


def test_folders_are_listed_without_what_is_in_them(store: Store) -> None:
    """With the keys beside them, behind any key, in the order of keys; their names are decoded like keys."""
    for key in ("p/a/1", "p/a/2/3", "p/b", "p/c d+é&/1", "p/e/1", "q/1"):
        put(store, key, b"x")
    level = store.list_folders("p/", "")
    assert (level.folders, level.keys) == (["p/a/", "p/c d+é&/", "p/e/"], ["p/b"])
    level = store.list_folders("p/", "p/a/2/4")
    assert ([folder for folder in level.folders if folder > "p/a/2/4"], level.keys) == (["p/c d+é&/", "p/e/"], ["p/b"])


def test_many_pieces_come_in_the_order_they_were_asked_for(store: Store) -> None:
    """With many requests in flight, bodies and MD5s keep the order; ranges are exactly what was asked."""
    written = [put(store, f"{number:03}", b"%d" % number * number) for number in range(60)]
    bodies = fetch(store, *map(piece, written))
    assert [body for body, _ in bodies] == [b"%d" % number * number for number in range(60)]
    assert all(digest == md5(body).digest() for body, digest in bodies)
    assert fetch(store, piece(written[50], 3, 4))[0][0] == (b"50" * 50)[3:7]


def test_nothing_is_written_over(store: Store) -> None:
    """A second upload to a key is refused, small or in parts, and leaves the first object as it was."""
    put(store, "key", b"first")
    for body in (b"second", b"x" * (PART_BYTES + 1)):
        upload = store.upload("key", len(body))
        upload.write(body)
        with pytest.raises(AlreadyExists):
            upload.finish()
        upload.abort()
        upload.abort()
    (entry,) = store.list_page("").objects
    assert fetch(store, piece(entry))[0][0] == b"first"


def test_an_upload_in_parts_is_whole_or_not_there(store: Store) -> None:
    """Nothing shows before `finish`; then every byte is there; an aborted upload leaves nothing."""
    data = bytes(range(256)) * 4096
    upload = store.upload("big", 0)
    for _ in range(20):
        upload.write(data)
    assert store.list_page("").objects == []
    etag = upload.finish()
    (entry,) = store.list_page("").objects
    assert (entry.etag, entry.size) == (etag, 20 * len(data))
    pieces = [piece(entry, offset, 4 << 20) for offset in range(0, entry.size, 4 << 20)]
    assert b"".join(body for body, _ in fetch(store, *pieces)) == data * 20
    dropped = store.upload("dropped", 0)
    for _ in range(20):
        dropped.write(data)
    dropped.abort()
    assert [entry.key for entry in store.list_page("").objects] == ["big"]


def test_an_object_that_is_gone_or_replaced_says_so(store: Store) -> None:
    """Fetching with an old ETag, or after a delete, raises `ObjectGone`, and earlier pieces still came."""
    entry = put(store, "key", b"body")
    with pytest.raises(ObjectGone):
        fetch(store, piece(entry._replace(etag="0" * 32)))
    bodies = store.fetch([piece(entry), piece(entry._replace(key="absent"))])
    assert next(bodies)[0] == b"body"
    with pytest.raises(ObjectGone):
        next(bodies)


def test_a_delete_is_conditional_and_answers_for_every_key(store: Store) -> None:
    """A replaced object stays, with a reason; an absent one counts as done; a thousand and one take two batches."""
    entries = [put(store, f"{number:04}", b"") for number in range(12)]
    pairs = [(entry.key, entry.etag) for entry in entries]
    pairs[3] = (pairs[3][0], "0" * 32)
    absent = ((f"absent-{number}", "0" * 32) for number in range(1001))
    report = store.delete(itertools.chain(pairs, absent))
    assert [failure.key for failure in report.failures] == ["0003"]
    assert report.failures[0].reason
    assert report.deleted == 11 + 1001
    assert [entry.key for entry in store.list_page("").objects] == ["0003"]


@pytest.mark.parametrize("key", ["x//y", "./x", "x/../y", "x/./y", "/x", "x/.", "..", "x\\y"])
def test_keys_that_look_like_paths_are_not_normalised(ministack: LocalServer, any_key_bucket: str, key: str) -> None:
    """`//` and dot segments reach the object of that very name (SeaweedFS itself cannot hold such keys)."""
    with closing(open_bucket(session_for(ministack), any_key_bucket, endpoint_url=ministack.endpoint)) as store:
        written = put(store, key, key.encode())
        assert [entry.key for entry in store.list_page("").objects] == [key]
        assert fetch(store, piece(written))[0][0] == key.encode()
        assert store.delete([(key, written.etag)]).deleted == 1
        assert store.list_page("").objects == []


def test_aborted_uploads_leave_no_parts(seaweedfs: LocalServer, s3: S3Client, bucket: str) -> None:
    """After an abort the bucket has no upload in progress."""
    with closing(open_bucket(session_for(seaweedfs), bucket, endpoint_url=seaweedfs.endpoint)) as store:
        upload = store.upload("key", 0)
        upload.write(b"x" * (PART_BYTES * 2))
        assert s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
        upload.abort()
        assert not s3.list_multipart_uploads(Bucket=bucket).get("Uploads")


def test_a_bucket_that_is_not_there_is_named(seaweedfs: LocalServer) -> None:
    """Opening it fails with its name."""
    with pytest.raises(StorageError, match="s3://no-such-bucket does not exist"):
        open_bucket(session_for(seaweedfs), "no-such-bucket", endpoint_url=seaweedfs.endpoint)


def test_wrong_credentials_are_named_as_such(seaweedfs: LocalServer, bucket: str) -> None:
    """Neither a wrong secret nor no credentials at all end in anything but one clear error."""
    wrong = session_for(seaweedfs, aws_secret_access_key="wrong")
    with pytest.raises(CredentialsError, match="SignatureDoesNotMatch"):
        open_bucket(wrong, bucket, endpoint_url=seaweedfs.endpoint).list_page("")


def test_no_credentials_are_named_as_such(seaweedfs: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without any credentials hears what to set."""
    for name, value in seaweedfs.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(CredentialsError, match="AWS_PROFILE"):
        open_bucket(boto3.Session(), "bucket", endpoint_url=seaweedfs.endpoint)


@pytest.mark.parametrize(
    ("policy", "call"),
    [
        ("no-list", lambda store: store.list_page("")),
        ("no-get", lambda store: fetch(store, ByteRange("key", md5(b"body").hexdigest(), 0, 4, whole=True))),
        ("no-put", lambda store: put(store, "other", b"body")),
    ],
)
def test_a_refused_call_is_named_with_its_resource(
    seaweedfs: LocalServer, s3: S3Client, bucket: str, policy: str, call: Callable[[Store], object]
) -> None:
    """The error says which permission is missing on what."""
    s3.put_object(Bucket=bucket, Key="key", Body=b"body")
    access_key, secret_key = seaweedfs.credentials(policy)  # type: ignore[attr-defined]
    session = session_for(seaweedfs, aws_access_key_id=access_key, aws_secret_access_key=secret_key)
    names = {"no-list": "s3:ListBucket", "no-get": "s3:GetObject", "no-put": "s3:PutObject"}
    with pytest.raises(StorageError, match=f"{names[policy]} on s3://{bucket}"):
        call(open_bucket(session, bucket, endpoint_url=seaweedfs.endpoint))


def test_a_refused_delete_is_answered_per_key(seaweedfs: LocalServer, s3: S3Client, bucket: str) -> None:
    """Without s3:DeleteObject the object stays and the report, or the error, says why."""
    s3.put_object(Bucket=bucket, Key="key", Body=b"body")
    access_key, secret_key = seaweedfs.credentials("no-delete")  # type: ignore[attr-defined]
    session = session_for(seaweedfs, aws_access_key_id=access_key, aws_secret_access_key=secret_key)
    store = open_bucket(session, bucket, endpoint_url=seaweedfs.endpoint)
    try:
        reasons = [failure.reason for failure in store.delete([("key", md5(b"body").hexdigest())]).failures]
    except StorageError as error:
        reasons = [str(error)]
    assert len(reasons) == 1
    assert "AccessDenied" in reasons[0]
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"body"


def test_a_bucket_in_another_region_is_refused_with_both_named(ministack: LocalServer, any_key_bucket: str) -> None:
    """Unless crossing regions is allowed; the transport then signs for the bucket's own region."""
    session = session_for(ministack, region_name="eu-central-1")
    with pytest.raises(WrongRegion, match=r"us-west-2.*eu-central-1"):
        open_bucket(session, any_key_bucket, worker_region="eu-central-1", endpoint_url=ministack.endpoint)
    store = open_bucket(
        session, any_key_bucket, worker_region="eu-central-1", endpoint_url=ministack.endpoint, allow_cross_region=True
    )
    assert put(store, "key", b"body").size == 4


def test_many_listings_bodies_and_uploads_at_once(store: Store) -> None:
    """What a pass relies on: each of many fails alone, and nothing is written over."""
    answers = store.publish_all({f"many/{name}": NewObject(name.encode()) for name in "abc"}, lambda keys: keys)
    assert sorted(answers) == ["many/a", "many/b", "many/c"]
    again = store.publish_all(
        {"many/a": NewObject(b"other"), "many/d": NewObject(b"d")}, lambda keys: [key for key in keys if key[-1] == "a"]
    )
    assert isinstance(again["many/a"], AlreadyExists)
    assert set(again) == {"many/a"}
    first, none = store.next_pages([Pager(store.bucket, "many/"), Pager(store.bucket, "none/")])
    assert not isinstance(first, StorageError)
    assert not isinstance(none, StorageError)
    assert [entry.key for entry in first.objects] == ["many/a", "many/b", "many/c"]
    assert none.objects == []
    wanted = [piece(entry) for entry in first.objects]
    wanted[1] = wanted[1]._replace(etag="0" * 32)
    bodies = list(store.fetch_each(wanted))
    assert isinstance(bodies[1], ObjectGone)
    assert [body[0] for body in bodies if not isinstance(body, StorageError)] == [b"a", b"c"]


def test_metadata_comes_back_as_it_was_sent(store: Store) -> None:
    """With one PUT, with many and in parts, where it is asked for when it is sent; and of the listed version only."""
    metadata = {"rollup-members": "3", "rollup-names": "ab+/AA=="}
    asked: list[int] = []
    written = 0

    def metadata_now() -> Metadata:
        asked.append(written)
        return metadata

    for key, size in (("one", 10), ("parts", 2 * PART_BYTES)):
        upload = store.upload(key, size, metadata_now)
        for _ in range(10):
            upload.write(bytes(size // 10))
            written += 1
        upload.finish()
    publish = {"small": NewObject(b"small", metadata), "plain": NewObject(b"plain")}
    store.publish_all(publish, lambda keys: keys)
    listed = {entry.key: entry for entry in store.list_page("").objects}
    found = store.read_metadata([listed[key] for key in ("one", "parts", "small", "plain")])
    assert found == [metadata, metadata, metadata, {}]
    assert len(asked) == 2
    gone, replaced = store.read_metadata([listed["one"]._replace(key="gone"), listed["one"]._replace(etag="0" * 32)])
    assert isinstance(gone, ObjectGone)
    assert isinstance(replaced, ObjectGone)
