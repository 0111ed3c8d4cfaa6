"""Servers, proxies and caches that do not answer as S3 does: what is seen is right, or an error says what is odd."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from hashlib import md5

import pytest
from bench import s3_api
from bench.s3_api import Call
from tests.support import odd_api
from tests.support.answers import a_bucket, fill
from tests.support.odd_api import Answer, Quirk, in_listings

from s3_log_roller.errors import ObjectArchived, StorageError
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rolling.day_listing import list_originals
from s3_log_roller.store import ByteRange, list_objects

ODD_KEYS = ["a+b", "a b", "a%2Bb", "a&amp;b", "a&b", "a<b>'\"", "é/ü"]
DAY = date(2022, 7, 1)
CONTENT = bytes(range(256)) * 8


@pytest.mark.parametrize(
    "quirk",
    [
        odd_api.keys_as_they_are,
        odd_api.version_1_without_a_word,
        odd_api.version_1_and_says_so,
        odd_api.empty_pages_between,
        odd_api.weak_etags,
    ],
)
def test_a_listing_is_right_all_the_same(quirk: Quirk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every key as it is, once, with its ETag, in pages of three."""
    monkeypatch.setattr(s3_api, "MAX_KEYS", 3)
    with a_bucket(quirk=quirk) as (client, stored, _):
        etags = {key: stored.put(key, key.encode(), 0).etag for key in ODD_KEYS}
        listed = list(list_objects(client, ""))
        assert [(entry.key, entry.etag) for entry in listed] == sorted(etags.items())
        behind = [entry.key for entry in list_objects(client, "a", "a+b")]
        assert behind == sorted(key for key in ODD_KEYS if key.startswith("a") and key > "a+b")
        wanted = [ByteRange(entry.key, entry.etag, 0, entry.size, whole=True) for entry in listed]
        assert [body.decode() for body, _ in client.fetch(wanted)] == [entry.key for entry in listed]


def test_a_server_of_version_1_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """One sentence, and then it is asked in that version at once."""
    with a_bucket(quirk=odd_api.version_1_and_says_so) as (client, stored, intruder):
        fill(stored, 5)
        for _ in range(3):
            assert len(client.list_page("").objects) == 5
        assert ["list-type" in call.query for call in intruder.calls] == [True, False, False, False]
    assert [record.message for record in caplog.records] == ["lists_in_version_1"]


@pytest.mark.parametrize(
    ("quirk", "error"),
    [
        (odd_api.empty_etags, "has an ETag that no object has: ''"),
        (odd_api.doubled_entries, "'2022-07-01-00-00-00-0000000000000000' comes behind"),
        (odd_api.foreign_entries, "'elsewhere' is not under the prefix that was asked for"),
    ],
)
def test_a_listing_that_cannot_be_is_one_clear_error(quirk: Quirk, error: str) -> None:
    """It names the place and what is odd."""
    with a_bucket(quirk=quirk) as (client, stored, _):
        for number in range(2):
            stored.put(f"p/2022-07-01-00-00-0{number}-{number:016X}", b"x", 0)
        with pytest.raises(StorageError, match=error) as seen:
            list_originals(client, DayGroup("bucket", "p/", DAY), start_after="", max_keys=10, unreadable=set())
        assert "s3://bucket/p/" in str(seen.value)


@pytest.mark.parametrize(
    ("quirk", "error"),
    [
        (odd_api.ranges_from_the_start, r"another range came \(bytes 0-99/2048\) than was asked for \(bytes 100-199\)"),
        (odd_api.ranges_without_a_name, r"another range came \(none named, status 206\)"),
        (odd_api.ranges_unknown, "2048 bytes came instead of 100"),
    ],
)
def test_bytes_of_another_range_are_never_handed_out(quirk: Quirk, error: str) -> None:
    """Whatever their number; those of the beginning are right where the beginning was asked for."""
    with a_bucket(quirk=quirk) as (client, stored, _):
        etag = stored.put("key", CONTENT, 0, "0-odd").etag
        with pytest.raises(StorageError, match=error):
            list(client.fetch([ByteRange.part("key", etag, range(100, 200))]))
        if quirk is odd_api.ranges_from_the_start:
            assert list(client.fetch([ByteRange.part("key", etag, range(100))])) == [(CONTENT[:100], b"")]


def test_a_range_must_come_as_one() -> None:
    """A status of 200 does not say which bytes came, even if their number is right."""
    with a_bucket(quirk=odd_api.ranges_unknown) as (client, stored, _):
        etag = stored.put("key", CONTENT, 0).etag
        with pytest.raises(StorageError, match=r"another range came \(none named, status 200\)"):
            next(client.fetch([ByteRange.part("key", etag, range(len(CONTENT)))]))


def test_a_part_is_not_taken_for_the_whole() -> None:
    """Though it is as long, and nothing tells its bytes from others where the ETag is not an MD5."""
    with a_bucket(quirk=odd_api.parts_of_whole_objects) as (client, stored, _):
        etag = stored.put("key", CONTENT, 0, "0-odd").etag
        with pytest.raises(StorageError, match=r"a part of it came \(status 206\), though all of it was asked for"):
            list(client.fetch([ByteRange("key", etag, 0, len(CONTENT), whole=True)]))


def test_etags_that_only_look_like_md5s_are_said_to_be_so_and_can_be_left_aside() -> None:
    """Nothing is called damaged; the option takes the digest of what was downloaded."""
    etag = "0" * 32
    wanted = [ByteRange("key", etag, 0, 4, whole=True)]
    with a_bucket() as (client, stored, _):
        stored.put("key", b"body", 0, etag)
        with pytest.raises(StorageError, match="cannot be relied on; with --etags-not-md5") as seen:
            list(client.fetch(wanted))
        assert "damaged" not in str(seen.value)
        assert client.etag_is_md5("key")
    with a_bucket(etags_are_md5=False) as (client, stored, intruder):
        stored.put("key", b"body", 0, etag)
        assert list(client.fetch(wanted)) == [(b"body", md5(b"body").digest())]
        assert len(intruder.calls) == 1
        assert not client.etag_is_md5("key")


@pytest.mark.parametrize("knows", [True, False])
def test_restored_objects_are_ordinary(knows: bool) -> None:
    """The server says so where it was asked for it."""
    quirk = odd_api.archive(odd_api.RESTORED, readable=True)
    with a_bucket(quirk=quirk, tells_restores=knows) as (client, stored, _):
        (pair, *_) = fill(stored, 3)
        assert [entry.archived for entry in client.list_page("").objects] == [False] * 3
        assert next(client.fetch([ByteRange(*pair, 0, 1, whole=True)]))[0] == b"0"


@pytest.mark.parametrize(("restore", "knows"), [(b"", True), (odd_api.IN_PROGRESS, True), (odd_api.IN_PROGRESS, False)])
def test_objects_that_are_not_restored_yet_are_archived(restore: bytes, knows: bool) -> None:
    """Whether nobody asked for it or it is under way; a server that tells of one restore would tell of all."""
    with a_bucket(quirk=odd_api.archive(restore), tells_restores=knows) as (client, stored, _):
        fill(stored, 3)
        assert [entry.archived for entry in client.list_page("").objects] == [True] * 3


def test_where_the_listing_does_not_tell_of_restores_the_get_decides() -> None:
    """A server that is not known to tell, and tells nothing: the object is read, or refuses it."""
    for readable in (True, False):
        with a_bucket(quirk=odd_api.archive(readable=readable), tells_restores=False) as (client, stored, _):
            (pair,) = fill(stored, 1)
            assert [entry.archived for entry in client.list_page("").objects] == [False]
            bodies = client.fetch([ByteRange(*pair, 0, 1, whole=True)])
            if readable:
                assert next(bodies)[0] == b"0"
            else:
                with pytest.raises(ObjectArchived):
                    next(bodies)


@pytest.mark.parametrize(("owner", "right"), [("111122223333", True), ("444455556666", False)])
def test_an_expected_owner_is_named_with_every_request(owner: str, right: bool) -> None:
    """A bucket that somebody else registered anew is neither read nor written; the error says what may be wrong."""
    with a_bucket(quirk=odd_api.owned_by(b"111122223333"), owner=owner) as (client, stored, intruder):
        pairs = fill(stored, 2)
        upload = client.upload("key", 1)
        upload.write(b"body")
        calls: list[Callable[[], object]] = [
            lambda: client.list_page(""),
            lambda: list(client.fetch([ByteRange(*pairs[0], 0, 1, whole=True)])),
            upload.finish,
            lambda: client.delete(pairs),
        ]
        for call in calls:
            if right:
                call()
            else:
                with pytest.raises(StorageError, match="is not of the account 444455556666, as --expected"):
                    call()
        assert {call.header(b"x-amz-expected-bucket-owner") for call in intruder.calls} == {owner.encode()}
        assert len(stored) == (1 if right else 2)


def test_what_support_asks_for_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """S3's ids of a refused request are in the verbose log, and nothing of the credentials."""
    caplog.set_level("DEBUG", "s3_log_roller")  # whatever commands that ran in this process left behind
    error = b"<Error><Code>AccessDenied</Code><RequestId>4442587FB7D0A2F9</RequestId><HostId>host</HostId></Error>"

    def refuse(call: Call, answer: Answer) -> bytes:
        return odd_api.reply(error, b"403 Forbidden")

    with a_bucket(quirk=refuse) as (client, _, _), pytest.raises(StorageError):
        client.list_page("p/")
    (record,) = [record.__dict__ for record in caplog.records if record.message == "refused_by_s3"]
    assert (record["request_id"], record["host_id"], record["key"]) == ("4442587FB7D0A2F9", "host", "p/")
    assert "ignature" not in caplog.text


def test_a_weak_etag_of_an_upload_is_taken_without_its_mark() -> None:
    """So that what was uploaded is found again by it."""

    def weak(call: Call, answer: Answer) -> bytes:
        return answer(call).replace(b'ETag: "', b'ETag: W/"')

    with a_bucket(quirk=weak) as (client, _, _):
        upload = client.upload("key", 1)
        upload.write(b"body")
        assert upload.finish() == md5(b"body").hexdigest()


def test_a_server_without_conditional_writes_is_named() -> None:
    """One line says what it lacks and what works there all the same; nothing is written."""
    with a_bucket(quirk=odd_api.no_conditional_writes) as (client, stored, _):
        upload = client.upload("key", 1)
        upload.write(b"body")
        with pytest.raises(StorageError, match=r"does not know If-None-Match.*reading .* works"):
            upload.finish()
        assert len(stored) == 0


def test_a_cut_of_the_word_url_makes_no_other_keys() -> None:
    """Where the answer does not say that keys are encoded they are taken as they are, in XML."""
    quirk = in_listings(lambda text: text.replace(b"<EncodingType>url</EncodingType>", b""))
    with a_bucket(quirk=quirk) as (client, stored, _):
        stored.put("p/a+b", b"", 0)
        assert [entry.key for entry in client.list_page("p/").objects] == ["p/a%2Bb"]
