"""The XML of S3's bulk calls, in both directions."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import unquote_plus
from xml.sax.saxutils import escape, unescape

from s3_log_roller.store import DeleteFailure, ListedObject, Page

_NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"

_ARCHIVE_CLASSES: Final = {"GLACIER", "DEEP_ARCHIVE"}
"""GLACIER is Glacier Flexible Retrieval. Glacier Instant Retrieval (GLACIER_IR) is read like any other class."""

_ENTRY: Final = re.compile(
    r"<Contents><Key>([^<]*)</Key><LastModified>([^<]*)</LastModified><ETag>([^<]*)</ETag>"
    r"(?:<Checksum[^<]*>[^<]*</Checksum[^<]*>)*<Size>([0-9]+)</Size>"
    r"(?:<StorageClass>([^<]*)</StorageClass>)?</Contents>"
)
"""One entry as S3 writes it; six times as fast as an XML parser on what most of a listing's CPU time goes into."""

_TOKEN: Final = re.compile(r"<NextContinuationToken>([^<]*)</NextContinuationToken>")

_PER_KEY_RETRIES: Final = {"InternalError", "SlowDown", "ServiceUnavailable", "OperationAborted", "RequestTimeout"}


_PLAIN_DELETES: Final = re.compile(
    rb"(?:<\?xml[^<]*>\s*)?<DeleteResult[^<]*>((?:<Deleted><Key>[^<&]*</Key></Deleted>)+)</DeleteResult>\s*"
)
"""A DeleteObjects answer with nothing to tell but keys."""


_PLAIN: Final = re.compile(r"[A-Za-z0-9/._-]*")


class UnreadableAnswer(ValueError):
    """An answer that is not the XML it should be: cut short, or not from S3."""


def parse_page(body: bytes) -> Page:
    """Parse a ListObjectsV2 answer made with `encoding-type=url`."""
    text = body.decode()
    truncated = "<IsTruncated>true</IsTruncated>" in text
    if not truncated and "<IsTruncated>false</IsTruncated>" not in text:
        raise UnreadableAnswer("the listing does not say whether more follows")
    entries: list[tuple[str, str, str, str, str | None]] = _ENTRY.findall(text)
    counts = text.count("<Contents>"), text.count("</Contents>")  # both: in a damaged listing one may be another word
    if counts != (len(entries), len(entries)) or not text.endswith("</ListBucketResult>"):
        entries = _parse_entries(body)
    objects = [
        ListedObject(
            unquote_plus(key) if "%" in key or "+" in key else key,
            etag.replace("&quot;", "").replace('"', ""),
            int(size),
            parse_time(time),
            storage_class in _ARCHIVE_CLASSES,
        )
        for key, time, etag, size, storage_class in entries
    ]
    token = _TOKEN.search(text) if truncated else None
    return Page(objects, truncated, unescape(token[1]) if token else "")


def _parse_entries(body: bytes) -> list[tuple[str, str, str, str, str | None]]:
    """What `_ENTRY` finds, in documents that arrange it in another way."""
    entries = []
    for fields in _children(_root(body, "ListBucketResult"), "Contents"):
        try:
            entries.append(
                (fields["Key"], fields["LastModified"], fields["ETag"], fields["Size"], fields.get("StorageClass"))
            )
        except KeyError as error:
            raise UnreadableAnswer(f"an entry of the listing has no {error}") from error
    return entries


@lru_cache(maxsize=4096)
def _minute_s(minute: str) -> int:
    return int(datetime.strptime(f"{minute}Z", "%Y-%m-%dT%H:%M%z").timestamp())


def parse_time(text: str) -> int:
    """Seconds since the epoch of `YYYY-MM-DDThh:mm:ss[.fff]Z`."""
    return _minute_s(text[:16]) + int(text[17:19])


def delete_request(objects: Iterable[tuple[str, str]]) -> bytes:
    """The body of a DeleteObjects call for (key, ETag) pairs. Not `Quiet`: every key is to be answered for."""
    entries = "".join(
        f"<Object><Key>{_escape(key)}</Key><ETag>&quot;{etag}&quot;</ETag></Object>" for key, etag in objects
    )
    return f'<Delete xmlns="{_NAMESPACE}">{entries}</Delete>'.encode()


def _escape(key: str) -> str:
    if _PLAIN.fullmatch(key):
        return key
    # A carriage return or newline would be normalised away by the server's parser.
    return escape(key, {"\r": "&#13;", "\n": "&#10;", "\t": "&#9;", '"': "&quot;"})


class DeleteAnswer(NamedTuple):
    """What S3 said of every key of a DeleteObjects call."""

    deleted: set[str]
    markers: int
    """Of the deleted, those that only got a delete marker."""
    failures: list[DeleteFailure]
    worth_retrying: bool


def parse_delete_answer(body: bytes) -> DeleteAnswer:
    """Parse a DeleteObjects answer that was not asked to be `Quiet`."""
    plain = _PLAIN_DELETES.fullmatch(body)
    if plain is not None:
        keys = _text(plain[1]).removeprefix("<Deleted><Key>").removesuffix("</Key></Deleted>")
        return DeleteAnswer(set(keys.split("</Key></Deleted><Deleted><Key>")), 0, [], worth_retrying=False)
    root = _root(body, "DeleteResult")
    deleted = set()
    markers = 0
    for fields in _children(root, "Deleted"):
        deleted.add(fields.get("Key", ""))
        markers += fields.get("DeleteMarker") == "true"
    failures = []
    worth_retrying = False
    for fields in _children(root, "Error"):
        code = fields.get("Code", "")
        if code == "NoSuchKey":
            # The ETag makes the delete conditional, and so an absent key an error: another worker deleted it, or an
            # earlier attempt whose answer was lost.
            deleted.add(fields.get("Key", ""))
            continue
        worth_retrying |= code in _PER_KEY_RETRIES
        failures.append(DeleteFailure(fields.get("Key", ""), f"{code}: {fields.get('Message', '')}".rstrip(": ")))
    return DeleteAnswer(deleted, markers, failures, worth_retrying)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UnreadableAnswer(f"the answer is no UTF-8: {error}") from error


def complete_request(etags: Iterable[str]) -> bytes:
    """The body of CompleteMultipartUpload for the parts' ETags in order."""
    parts = "".join(
        f"<Part><ETag>{escape(etag)}</ETag><PartNumber>{number}</PartNumber></Part>"
        for number, etag in enumerate(etags, 1)
    )
    return f'<CompleteMultipartUpload xmlns="{_NAMESPACE}">{parts}</CompleteMultipartUpload>'.encode()


def parse_fields(body: bytes) -> dict[str, str]:
    """The text of the root's children by name; `{}` where the body is no XML."""
    try:
        root = _parse(body)
    except UnreadableAnswer:
        return {}
    return {_local(child.tag): child.text or "" for child in root}


def root_name(body: bytes) -> str:
    """The name of the document's root element; empty where the body is no XML."""
    try:
        return _local(_parse(body).tag)
    except UnreadableAnswer:
        return ""


def _root(body: bytes, name: str) -> ET.Element:
    root = _parse(body)
    if _local(root.tag) != name:
        raise UnreadableAnswer(f"the answer is a {_local(root.tag)}, not a {name}")
    return root


def _parse(body: bytes) -> ET.Element:
    try:
        return ET.fromstring(body)  # noqa: S314 - expat without external entities; the server is the user's own
    except (ET.ParseError, LookupError, ValueError) as error:  # the latter two: an encoding that does not exist
        raise UnreadableAnswer(f"the answer is no XML: {error}") from error


def _children(root: ET.Element, name: str) -> Iterator[dict[str, str]]:
    """The fields of every child of that name."""
    for child in root:
        if _local(child.tag) == name:
            yield {_local(field.tag): field.text or "" for field in child}


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]
