"""A place in another bucket looks like the bucket of the logs, and nothing outside of it is seen or touched."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pytest
from tests.support.memory_store import MemoryStore, MemoryUpload

from s3_log_roller.errors import AlreadyExists, StorageError
from s3_log_roller.mirrored import MirroredStore, place_in, split_place
from s3_log_roller.store import ByteRange, ListedObject, NewObject, Page, Pager, list_objects
from s3_log_roller.uris import S3Uri

PLACE = "archive/kept/logs"


@pytest.fixture
def store() -> MemoryStore:
    made = MemoryStore("archive", page_size=2)
    for key in ("kept/log", "kept/logs", "kept/logs-2/a", "kept/logs0", "other"):
        made.put(key, b"outside")
    return made


@pytest.fixture
def place(store: MemoryStore) -> MirroredStore:
    return MirroredStore(store, PLACE)


def filled(place: MirroredStore) -> list[ListedObject]:
    objects = {key: NewObject(key.encode(), {"name": key}) for key in ("a", "b/1", "b/2", "b/3", "c")}
    place.publish_all(objects, lambda keys: keys)
    return list(list_objects(place, ""))


@pytest.mark.parametrize(
    ("destination", "place"),
    [
        ("s3://archive", "archive/my-logs"),
        ("s3://archive/", "archive/my-logs"),
        ("s3://archive/logs", "archive/logs/my-logs"),
        ("s3://archive/logs/", "archive/logs/my-logs"),
        ("s3://archive/a/b/", "archive/a/b/my-logs"),
    ],
)
def test_every_bucket_has_a_folder_of_its_own(destination: str, place: str) -> None:
    """So no two buckets' rollups ever have the same key, whatever their target prefixes are."""
    assert place_in(S3Uri.parse(destination), "my-logs") == place
    bucket, key = split_place(place, "web/rollup.tgz")
    assert f"s3://{bucket}/{key}" == f"s3://{place}/web/rollup.tgz"
    assert bucket == "archive"


def test_what_is_written_there_is_seen_there_alone(store: MemoryStore, place: MirroredStore) -> None:
    """Listings, bodies and metadata have the keys of the logs' bucket."""
    listed = filled(place)
    assert [entry.key for entry in listed] == ["a", "b/1", "b/2", "b/3", "c"]
    assert {key for key in store.objects if key.startswith("kept/logs/")} == {f"kept/logs/{x.key}" for x in listed}
    ranges = [ByteRange(entry.key, entry.etag, 0, entry.size, True) for entry in listed]
    assert [body for body, _ in place.fetch(ranges)] == [entry.key.encode() for entry in listed]
    assert [body[0] for body in place.fetch_each(ranges) if not isinstance(body, StorageError)][-1] == b"c"
    assert place.read_metadata(listed) == [{"name": entry.key} for entry in listed]
    assert place.etag_is_md5("a")
    assert [entry.key for entry in list_objects(place, "b/", "b/1")] == ["b/2", "b/3"]


def test_several_listings_go_on_side_by_side(place: MirroredStore) -> None:
    """Each pager moves on behind its own page, with the keys of the logs' bucket."""
    filled(place)
    pagers = [Pager(place.bucket, "b/"), Pager(place.bucket, "", "b/3"), Pager(place.bucket, "none")]
    found: list[list[str]] = [[] for _ in pagers]
    while any(not pager.ended for pager in pagers):
        going = [(keys, pager) for keys, pager in zip(found, pagers, strict=True) if not pager.ended]
        for (keys, _), page in zip(going, place.next_pages([pager for _, pager in going]), strict=True):
            assert isinstance(page, Page)
            keys += [entry.key for entry in page.objects]
    assert found == [["b/1", "b/2", "b/3"], ["c"], []]


def test_a_listing_that_fails_there_fails_alone(
    store: MemoryStore, place: MirroredStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its error comes in the place of its page; and a listing goes on with the token that the server gave it."""
    asked: list[str] = []
    refused = StorageError("refused")

    def next_pages(pagers: Sequence[Pager]) -> list[Page | StorageError]:
        asked.extend(pager.continuation_token for pager in pagers)
        return [refused, Page([], truncated=True)]

    monkeypatch.setattr(store, "next_pages", next_pages)
    pagers = [Pager(place.bucket, "a"), Pager(place.bucket, "b")]
    pagers[1].continuation_token = "token"
    failed, endless = place.next_pages(pagers)
    assert asked == ["", "token"]
    assert failed is refused
    assert isinstance(endless, StorageError)
    assert "lists nothing more" in str(endless)


def test_nothing_is_written_over_there(store: MemoryStore, place: MirroredStore) -> None:
    """With the look before, whose keys are those of the logs' bucket."""
    filled(place)
    before = dict(store.objects)
    looked: list[str] = []

    def look(keys: Collection[str]) -> list[str]:
        looked.extend(keys)
        return ["a"]

    answers = place.publish_all({"a": NewObject(b"other"), "d": NewObject(b"other")}, look)
    assert looked == ["a", "d"]
    assert isinstance(answers.pop("a"), AlreadyExists)
    assert not answers
    upload = place.upload("a", 5, lambda: {"name": "other"})
    upload.write(b"other")
    with pytest.raises(AlreadyExists):
        upload.finish()
    upload.abort()
    assert store.objects == before
    assert store.open_uploads == 0


def test_a_part_never_stands_still_while_content_is_fetched(
    store: MemoryStore, place: MirroredStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was written is waited for at once: over other connections nobody would move it on."""
    steps: list[str] = []
    made = MemoryUpload(store, "kept/logs/a")
    monkeypatch.setattr(store, "upload", lambda *arguments: made)
    monkeypatch.setattr(made, "write", lambda data: steps.append(f"write {len(data)}"))
    monkeypatch.setattr(made, "settle", lambda: steps.append("settle"))
    upload = place.upload("a", 10)
    for size in (4, 6):
        upload.write(bytes(size))
    assert steps == ["write 4", "settle", "write 6", "settle"]
