"""Deleting for good in a versioned bucket: which version goes, in which order, and what a refusal leaves behind."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import pytest
from bench.s3_api import Call
from tests.support.answers import a_bucket, with_body

from s3_log_roller.errors import StorageError
from s3_log_roller.store import DeleteReport

KEY = "a/2022-07-01-00-00-00-0123456789ABCDEF"
OTHER = "a/2022-07-01-00-00-01-0123456789ABCDEF"
PROVEN, OLDER = "0" * 32, "1" * 32
NOON, LATER = "2022-07-02T12:00:00.000Z", "2022-07-02T13:00:00.000Z"


def version(key: str, version_id: str, etag: str, at: str = NOON, latest: str = "false") -> str:
    return (
        f"<Version><Key>{key}</Key><VersionId>{version_id}</VersionId><IsLatest>{latest}</IsLatest>"
        f"<LastModified>{at}</LastModified><ETag>&quot;{etag}&quot;</ETag><Size>1</Size></Version>"
    )


def marker(key: str, version_id: str, at: str = NOON) -> str:
    return (
        f"<DeleteMarker><Key>{key}</Key><VersionId>{version_id}</VersionId><IsLatest>true</IsLatest>"
        f"<LastModified>{at}</LastModified></DeleteMarker>"
    )


def page(*entries: str, next_key: str = "", next_version: str = "") -> str:
    more = f"<IsTruncated>{str(bool(next_key)).lower()}</IsTruncated>"
    if next_key:
        more += f"<NextKeyMarker>{next_key}</NextKeyMarker><NextVersionIdMarker>{next_version}</NextVersionIdMarker>"
    return f"<ListVersionsResult>{more}{''.join(entries)}</ListVersionsResult>"


class VersionedServer:
    """Answers deletes by ETag with markers, lists the given pages, and notes which versions it was asked to delete."""

    def __init__(self, *pages: str, refused: str = "") -> None:
        self.listings: list[str] = []
        self.deleted: list[list[tuple[str, str]]] = []
        self._pages = list(pages)
        self._refused = refused

    def __call__(self, call: Call, answer: bytes) -> bytes:
        if call.method == "GET":
            self.listings.append(call.query)
            return with_body(self._pages.pop(0).encode() if len(self._pages) > 1 else self._pages[0].encode())
        body = call.body.decode()
        versions = re.findall(r"<Key>([^<]*)</Key><VersionId>([^<]*)</VersionId>", body)
        if not versions:
            keys = re.findall(r"<Key>([^<]*)</Key>", body)
            return self._result(
                f"<Deleted><Key>{key}</Key><DeleteMarker>true</DeleteMarker>"
                f"<DeleteMarkerVersionId>m-{key}</DeleteMarkerVersionId></Deleted>"
                for key in keys
            )
        self.deleted.append(versions)
        return self._result(
            f"<Error><Key>{key}</Key><Code>AccessDenied</Code><Message>no</Message></Error>"
            if version_id == self._refused
            else f"<Deleted><Key>{key}</Key><VersionId>{version_id}</VersionId></Deleted>"
            for key, version_id in versions
        )

    def _result(self, entries: Iterable[str]) -> bytes:
        return with_body(f"<DeleteResult>{''.join(entries)}</DeleteResult>".encode())


def delete(server: Callable[[Call, bytes], bytes], *keys: str) -> DeleteReport:
    with a_bucket() as (client, _, intruder):
        intruder.change = server
        return client.delete([(key, PROVEN) for key in keys or (KEY,)], versions=True)


def test_the_version_goes_before_its_marker() -> None:
    """So that nothing comes back where the run ends in between."""
    server = VersionedServer(page(marker(KEY, f"m-{KEY}"), version(KEY, "v", PROVEN)))
    report = delete(server)
    assert server.deleted == [[(KEY, "v")], [(KEY, f"m-{KEY}")]]
    assert (report.deleted, report.versions, report.markers, report.other_versions) == (1, 1, 0, 0)


def test_an_older_version_is_left_and_its_marker_too() -> None:
    """Without the marker it would be taken for a log that came late."""
    entries = (marker(KEY, f"m-{KEY}"), version(KEY, "v", PROVEN), version(KEY, "o", OLDER))
    server = VersionedServer(page(*entries))
    report = delete(server)
    assert server.deleted == [[(KEY, "v")]]
    assert (report.versions, report.other_versions) == (1, 1)


def test_a_newer_version_of_the_same_bytes_is_not_taken_for_it() -> None:
    """Somebody put the log there again, after the delete."""
    entries = (
        version(KEY, "new", PROVEN, LATER, latest="true"),
        marker(KEY, f"m-{KEY}"),
        version(KEY, "v", PROVEN),
    )
    server = VersionedServer(page(*entries))
    delete(server)
    assert server.deleted == [[(KEY, "v")]]
    server = VersionedServer(page(version(KEY, "new", PROVEN, latest="true"), *entries[1:]))
    delete(server)
    assert server.deleted == [[(KEY, "v")]]
    hidden_again = (marker(KEY, "m2", LATER), version(KEY, "new", PROVEN, LATER), *entries[1:])
    server = VersionedServer(page(*hidden_again))
    delete(server)
    assert server.deleted == [[(KEY, "v")]]


def test_versions_are_found_on_whatever_page_they_are() -> None:
    """A marker may end one page and its version begin the next one; other keys of the day are passed over."""
    server = VersionedServer(
        page(version("a/2022-07-01-00-00-00-0", "x", PROVEN), marker(KEY, f"m-{KEY}"), next_key=KEY, next_version="m"),
        page(version(KEY, "v", PROVEN), marker(OTHER, f"m-{OTHER}"), version(OTHER, "w", PROVEN)),
    )
    report = delete(server, KEY, OTHER)
    assert server.deleted[0] == [(KEY, "v"), (OTHER, "w")]
    assert report.versions == 2
    first, second = server.listings
    assert first == "encoding-type=url&max-keys=1000&prefix=a%2F2022-07-01-&versions="
    assert f"key-marker={KEY.replace('/', '%2F')}&max-keys=1000" in second
    assert "&version-id-marker=m&" in second


def test_what_is_refused_keeps_its_marker_and_is_told() -> None:
    """Object Lock holds it, or the permission is missing."""
    entries = (marker(KEY, f"m-{KEY}"), version(KEY, "v", PROVEN))
    server = VersionedServer(page(*entries), refused="v")
    report = delete(server)
    assert server.deleted == [[(KEY, "v")]]
    assert (report.deleted, report.versions, report.markers) == (1, 0, 1)
    assert [(one.key, one.reason) for one in report.version_failures] == [(KEY, "AccessDenied: no")]


def test_a_version_that_is_not_listed_keeps_no_other_key_from_its_own() -> None:
    """Those behind it are deleted all the same."""
    listed = (
        marker(KEY, f"m-{KEY}"),
        version(KEY, "o", OLDER),
        marker(OTHER, f"m-{OTHER}"),
        version(OTHER, "w", PROVEN),
    )
    server = VersionedServer(page(*listed))
    report = delete(server, KEY, OTHER)
    assert server.deleted[0] == [(OTHER, "w")]
    assert (report.versions, [one.key for one in report.version_failures]) == (1, [KEY])


def test_a_version_that_is_not_listed_is_told_and_nothing_is_guessed() -> None:
    """No other version is deleted in its place."""
    server = VersionedServer(page(marker(KEY, f"m-{KEY}"), version(KEY, "o", OLDER)))
    report = delete(server)
    assert server.deleted == []
    assert [one.reason for one in report.version_failures] == ["the version that was proven is not listed"]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (page(marker(KEY, "m"), next_key=KEY, next_version="m"), "lists the same versions again and again"),
        ("<ListVersionsResult></ListVersionsResult>", "does not say whether and where it goes on"),
        (page("<Version><Key>a</Key></Version>"), "a Version without VersionId"),
        ("<html></html>", "the answer is a html, not a ListVersionsResult"),
    ],
)
def test_odd_listings_end_with_one_error(answer: str, why: str) -> None:
    """And no version is deleted."""
    server = VersionedServer(answer)
    with pytest.raises(StorageError, match=why):
        delete(server)
    assert server.deleted == []
