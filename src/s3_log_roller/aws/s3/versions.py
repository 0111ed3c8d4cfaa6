"""Deleting for good in a versioned bucket: the very version that was proven, and no other.

S3 holds the ETag of a delete against the current version only, and never against a version that is named. So the delete
goes first, with its ETag, as in any bucket: it writes a marker on top of exactly the version that was proven. That
version is then deleted by its id, and the marker as well if it hides nothing any more. Wherever this ends early, the
marker hides what is left; no older version ever comes back in the place of what was deleted.

It takes one listing of versions for 500 logs, since each has a version and a marker, and two more deletes for 1,000.
A bucket without versioning writes no markers, so nothing of this is done there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import Final
from urllib.parse import unquote_plus

from s3_log_roller.aws.s3.calls import Calls, quote_query
from s3_log_roller.aws.s3.deletes import delete, delete_by_version
from s3_log_roller.aws.s3.failures import failure
from s3_log_roller.aws.s3.pages import parse_time
from s3_log_roller.aws.s3.request import Request
from s3_log_roller.aws.s3.xml import UnreadableAnswer, bare_etag, root_of, tagged_children
from s3_log_roller.errors import StorageError
from s3_log_roller.log_keys import parse_log_key
from s3_log_roller.store import DeleteFailure, DeleteReport

AT_A_TIME: Final = 10_000
"""Keys that get their markers before the versions below are deleted: what a killed run leaves behind at most."""

_ENTRIES: Final = {
    "Version": ("Key", "VersionId", "LastModified", "ETag"),
    "DeleteMarker": ("Key", "VersionId", "LastModified"),
}
"""What a listing has of each kind of entry."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Versions:
    """What a listing shows of one key."""

    versions: list[_Version] = field(default_factory=list)
    markers: dict[str, int] = field(default_factory=dict)
    """When each delete marker was written, in seconds since the epoch, by its version id."""

    def below(self, marker: str, etag: str) -> _Version | None:
        """The newest version with that ETag that is not newer than the marker; None if there is none."""
        written_at = self.markers.get(marker, 0)
        found = [one for one in self.versions if one.etag == etag and not one.latest and one.mtime <= written_at]
        return max(found, key=lambda one: one.mtime, default=None)


@dataclass(frozen=True, slots=True)
class _Version:
    version_id: str
    etag: str
    mtime: int
    """LastModified, in seconds since the epoch."""
    latest: bool


def delete_for_good(calls: Calls, objects: Iterable[tuple[str, str]], report: DeleteReport) -> DeleteReport:
    """See `Store.delete`, with `versions`."""
    waiting, behind = iter(objects), ""
    while etags := dict(islice(waiting, AT_A_TIME)):
        markers: dict[str, str] = {}
        delete(calls, etags.items(), report, markers)
        if markers:
            _delete_below(calls, {key: etags[key] for key in markers if key in etags}, markers, behind, report)
        behind = max(etags)
    return report


def _delete_below(
    calls: Calls, etags: Mapping[str, str], markers: Mapping[str, str], behind: str, report: DeleteReport
) -> None:
    """Delete what the markers hide, and then those that hide nothing more. The day of the key `behind` is listed on."""
    proven: dict[str, str] = {}
    bare: set[str] = set()
    for key, found in _list_versions(calls, sorted(etags), behind).items():
        version = found.below(markers[key], etags[key])
        if version is None:
            report.version_failures.append(DeleteFailure(key, "the version that was proven is not listed"))
            continue
        proven[key] = version.version_id
        if others := len(found.versions) - 1:
            report.other_versions += others
        else:
            bare.add(key)
    gone = _by_version(calls, proven, report)
    report.versions += len(gone)
    report.markers -= len(gone)
    _by_version(calls, {key: markers[key] for key in bare & gone}, report)


def _by_version(calls: Calls, version_ids: Mapping[str, str], report: DeleteReport) -> set[str]:
    """Delete these versions; the keys of those that are gone now."""
    done = delete_by_version(calls, version_ids.items(), DeleteReport())
    report.version_failures += done.failures
    return version_ids.keys() - {failed.key for failed in done.failures}


def _list_versions(calls: Calls, keys: list[str], behind: str) -> dict[str, _Versions]:
    """All versions and markers of these keys, which are in order; the days' listings are taken side by side."""
    listings = [_Listing(calls, prefix, list(of_day), behind) for prefix, of_day in groupby(keys, key=_listed_with)]
    going = listings
    while going:
        requests = [listing.next_page() for listing in going]
        calls.transport.run_each(requests)
        for listing, request in zip(going, requests, strict=True):
            listing.take(request)
        going = [listing for listing in going if listing.place is not None]
    return {key: found for listing in listings for key, found in listing.wanted.items()}


def _listed_with(key: str) -> str:
    """What the keys of a log's day begin with."""
    log = parse_log_key(key)
    return f"{log.target_prefix}{log.day}-" if log else key


class _Listing:
    """The versions of some keys that begin alike, page by page."""

    def __init__(self, calls: Calls, prefix: str, keys: list[str], behind: str) -> None:
        self.wanted = {key: _Versions() for key in keys}
        self.place: tuple[str, str] | None = (behind if prefix < behind < keys[0] else "", "")
        """The key and the version behind which the next page begins; None if all is listed."""
        self._calls = calls
        self._prefix = prefix
        self._last = keys[-1]
        self._places: set[tuple[str, str]] = set()

    def next_page(self) -> Request:
        """The request for it."""
        key, version = self.place or ("", "")
        query = f"encoding-type=url&key-marker={quote_query(key)}" if key else "encoding-type=url"
        query += f"&max-keys=1000&prefix={quote_query(self._prefix)}"
        query += f"&version-id-marker={quote_query(version)}" if version else ""
        path = self._calls.bucket_path
        return Request("s3:ListBucketVersions", "GET", path, f"{query}&versions=", key=self._prefix, check=_check_page)

    def take(self, request: Request) -> None:
        """Note what the page shows. Raises what the call failed with."""
        request.check = None
        if request.fault or request.status >= 300:
            raise failure(self._calls.bucket, request)
        fields = {}
        for name, entry in tagged_children(root_of(request.answer, "ListVersionsResult")):
            if name not in _ENTRIES:
                fields[name] = entry.get(name, "")
            elif (found := self.wanted.get(unquote_plus(entry["Key"]))) is not None:
                _note(found, name, entry)
        logger.debug("versions_listed", extra={"bucket": self._calls.bucket, "prefix": self._prefix})
        place = unquote_plus(fields.get("NextKeyMarker", "")), fields.get("NextVersionIdMarker", "")
        self.place = place if fields["IsTruncated"] == "true" and place[0] <= self._last else None
        if self.place in self._places:
            what = f"s3://{self._calls.bucket}/{self._prefix}"
            raise StorageError(f"{what}: the server lists the same versions again and again, without an end")
        self._places.add(place)


def _note(found: _Versions, name: str, entry: Mapping[str, str]) -> None:
    mtime = parse_time(entry["LastModified"])
    if name == "DeleteMarker":
        found.markers[entry["VersionId"]] = mtime
    else:
        etag = bare_etag(entry["ETag"])
        found.versions.append(_Version(entry["VersionId"], etag, mtime, entry.get("IsLatest") == "true"))


def _check_page(request: Request) -> str | None:
    """What is wrong with a page, so that it is fetched again."""
    names = set()
    try:
        for name, entry in tagged_children(root_of(request.answer, "ListVersionsResult")):
            names.add(name)
            if missing := [one for one in _ENTRIES.get(name, ()) if not entry.get(one)]:
                return f"unreadable listing of versions: a {name} without {missing[0]}"
            if name == "IsTruncated" and entry[name] == "true":
                names.add("truncated")
    except UnreadableAnswer as error:
        return f"unreadable listing of versions: {error}"
    if "IsTruncated" not in names or ("truncated" in names and "NextKeyMarker" not in names):
        return "unreadable listing of versions: it does not say whether and where it goes on"
    return None
