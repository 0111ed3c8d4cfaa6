"""Many listings, bodies and small uploads at once: what fails fails alone, and each attempt follows a look."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from bench.s3_api import Call
from tests.support import odd_api
from tests.support.answers import a_bucket, fill, with_body

from s3_log_roller.aws.s3 import limit
from s3_log_roller.errors import AlreadyExists, CredentialsError, ObjectGone, StorageError
from s3_log_roller.store import ByteRange, NewObject, Pager

DENIED = with_body(b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>", b"403 Forbidden")
EXPIRED = with_body(b"<Error><Code>ExpiredToken</Code><Message>old</Message></Error>", b"400 Bad Request")
SLOW_DOWN = with_body(b"<Error><Code>SlowDown</Code><Message>slow</Message></Error>", b"503 Slow Down")


def everything(keys: Collection[str]) -> Collection[str]:
    return keys


def test_a_body_that_cannot_be_had_is_an_error_in_its_place() -> None:
    """Gone and refused objects do not end the stream; the others come in their order."""
    with a_bucket() as (client, stored, intruder):
        objects = fill(stored, 40)
        stored.remove("00007")
        intruder.change = lambda call, answer: DENIED if call.key == "00011" else answer
        ranges = [ByteRange(key, etag, 0, len(b"%d" % number), True) for number, (key, etag) in enumerate(objects)]
        answers = list(client.fetch_each(ranges))
        failed = {number: type(answer) for number, answer in enumerate(answers) if isinstance(answer, StorageError)}
        assert failed == {7: ObjectGone, 11: StorageError}
        assert [answer[0] for answer in answers if not isinstance(answer, StorageError)] == [
            b"%d" % number for number in range(40) if number not in failed
        ]


def test_what_fails_all_others_too_is_raised() -> None:
    """Credentials that expired are not an affair of one object."""
    with a_bucket() as (client, stored, intruder):
        objects = fill(stored, 3)
        intruder.change = lambda call, answer: EXPIRED
        with pytest.raises(CredentialsError):
            list(client.fetch_each(ByteRange(key, etag, 0, 1, True) for key, etag in objects))
        with pytest.raises(CredentialsError):
            client.next_pages([Pager("bucket", "")])
        with pytest.raises(CredentialsError):
            client.publish_all({"new": NewObject(b"x")}, everything)


def test_a_server_that_does_nothing_fails_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As an error of each of many objects it would be met by others that are asked for in their place."""
    monkeypatch.setattr(limit, "PATIENCE_S", 0.0)
    with a_bucket(max_in_flight=1) as (client, stored, intruder):
        objects = fill(stored, 3)
        intruder.change = lambda call, answer: SLOW_DOWN
        with pytest.raises(
            StorageError,
            match=r"s3:GetObject .* failed, as all requests did for 60 s: SlowDown: slow; nothing was lost",
        ):
            list(client.fetch_each(ByteRange(key, etag, 0, 1, True) for key, etag in objects))
        with pytest.raises(
            StorageError,
            match=r"s3:ListBucket .* failed, as all requests did for 60 s: SlowDown: slow; nothing was lost",
        ):
            client.next_pages([Pager("bucket", "a"), Pager("bucket", "b")])
        with pytest.raises(
            StorageError,
            match=r"s3:PutObject .* failed, as all requests did for 60 s: SlowDown: slow; nothing was lost",
        ):
            client.publish_all({"new": NewObject(b"x"), "other": NewObject(b"x")}, everything)


def test_listings_go_on_beside_each_other_and_fail_alone() -> None:
    """Each pager has moved on behind its page; the refused one has an error."""
    with a_bucket() as (client, stored, intruder):
        for prefix in "abc":
            for number in range(1_500):
                stored.put(f"{prefix}{number:04}", b"", 0)
        intruder.change = lambda call, answer: DENIED if "prefix=b" in call.query else answer
        pagers = [Pager("bucket", prefix) for prefix in "abc"]
        first, refused, other = client.next_pages(pagers)
        assert isinstance(refused, StorageError)
        assert not isinstance(first, StorageError)
        assert not isinstance(other, StorageError)
        assert [len(first.objects), len(other.objects)] == [1_000, 1_000]
        again = client.next_pages([pagers[0], pagers[2]])
        assert [page.objects[0].key for page in again if not isinstance(page, StorageError)] == ["a1000", "c1000"]
        assert [pager.ended for pager in pagers] == [True, False, True]


@pytest.mark.parametrize("quirk", [odd_api.version_1_without_a_word, odd_api.version_1_and_says_so])
def test_listings_beside_each_other_are_right_on_a_server_of_version_1(quirk: odd_api.Quirk) -> None:
    """The first answer, which tells that it is one, costs no listing its beginning."""
    with a_bucket(quirk=quirk) as (client, stored, _):
        for prefix in "ab":
            for number in range(1_002):
                stored.put(f"{prefix}{number:04}", b"", 0)
        pagers = [Pager("bucket", prefix) for prefix in "ab"]
        keys: dict[str, list[str]] = {"a": [], "b": []}
        for _ in range(2):
            for pager, page in zip(pagers, client.next_pages(pagers), strict=True):
                assert not isinstance(page, StorageError)
                keys[pager.prefix] += [entry.key for entry in page.objects]
        assert keys == {prefix: [f"{prefix}{number:04}" for number in range(1_002)] for prefix in "ab"}
        assert all(pager.ended for pager in pagers)


def test_a_listing_that_does_not_go_on_is_an_error_in_its_place() -> None:
    """Taken for a page, it would be asked for again and again."""
    page = (
        b"<ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>a1</Key><ETag>e</ETag><Size>1</Size>"
        b"<LastModified>2022-07-01T00:00:00.000Z</LastModified></Contents><KeyCount>1</KeyCount></ListBucketResult>"
    )
    with a_bucket() as (client, stored, intruder):
        stored.put("b1", b"", 0)
        intruder.change = lambda call, answer: with_body(page) if "prefix=a" in call.query else answer
        pagers = [Pager("bucket", "a"), Pager("bucket", "b")]
        first, _ = client.next_pages(pagers)
        assert not isinstance(first, StorageError)
        stuck, other = client.next_pages(pagers)
        assert isinstance(stuck, StorageError)
        assert "the server says that more follows, but it lists nothing more" in str(stuck)
        assert not isinstance(other, StorageError)


def test_every_attempt_to_publish_follows_a_look_at_what_is_about_to_be_written() -> None:
    """The first at all of them, a repeated one at those that are tried again; what it leaves out is not written."""
    looks: list[set[str]] = []

    def look(keys: Collection[str]) -> Collection[str]:
        looks.append(set(keys))
        return [key for key in keys if key != "left-out" and (key, len(looks)) != ("left-out-later", 2)]

    def is_put_off(call: Call) -> bool:
        return call.method == "PUT" and call.key in ("b", "left-out-later") and len(looks) == 1

    with a_bucket() as (client, stored, intruder):
        taken = stored.put("taken", b"", 0)
        intruder.change = lambda call, answer: SLOW_DOWN if is_put_off(call) else answer
        objects = {key: NewObject(key.encode()) for key in ("a", "b", "left-out", "left-out-later", "taken")}
        answers = client.publish_all(objects, look)
        assert looks == [set(objects), {"b", "left-out-later"}]
        assert set(answers) == {"a", "b", "taken"}
        assert isinstance(answers["taken"], AlreadyExists)
        assert isinstance(answers["b"], AlreadyExists)  # this server had taken it in, and said that it had not
        found = stored.find("a")
        assert found is not None
        assert answers["a"] == found.etag
        sent = [call.body for call in intruder.calls if call.method == "PUT" and call.key == "b"]
        assert sent == [b"b", b"b"]
        assert stored.find("taken") is taken
        assert stored.find("left-out") is None
        puts = [call for call in intruder.calls if call.method == "PUT"]
        assert all(call.header(b"if-none-match") == b"*" and call.header(b"content-md5") for call in puts)


def test_a_look_that_raises_stops_the_publishing() -> None:
    """Nothing is written, and nothing is left under way."""

    def look(keys: Collection[str]) -> Collection[str]:
        raise StorageError("cannot look")

    with a_bucket() as (client, stored, _):
        with pytest.raises(StorageError, match="cannot look"):
            client.publish_all({"a": NewObject(b"x")}, look)
        assert stored.find("a") is None


def test_an_object_that_is_never_taken_is_an_error_of_its_own() -> None:
    """After the last attempt; the others are written."""
    with a_bucket() as (client, stored, intruder):
        intruder.change = lambda call, answer: SLOW_DOWN if call.method == "PUT" and call.key == "b" else answer
        answers = client.publish_all({"a": NewObject(b"x"), "b": NewObject(b"x")}, everything)
        assert isinstance(answers["a"], str)
        assert isinstance(answers["b"], StorageError)
        assert stored.find("a") is not None
