"""The XML of deletes, uploads and errors, in both directions."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

from s3_log_roller.store import DeleteFailure

_NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"

_PER_KEY_RETRIES: Final = {"InternalError", "SlowDown", "ServiceUnavailable", "OperationAborted", "RequestTimeout"}


_PLAIN_DELETES: Final = re.compile(
    rb"(?:<\?xml[^<]*>\s*)?<DeleteResult[^<]*>((?:<Deleted><Key>[^<&]*</Key></Deleted>)+)</DeleteResult>\s*"
)
"""A DeleteObjects answer with nothing to tell but keys."""


_PLAIN: Final = re.compile(r"[A-Za-z0-9/._-]*")
_NOT_XML: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_WEAK_OR_QUOTED: Final = re.compile(r'(?:W/)?"?([^"]*)"?')


class UnreadableAnswer(ValueError):
    """An answer that is not the XML it should be: cut short, or not from S3."""


def bare_etag(text: str) -> str:
    """An ETag without its quotes, and without the `W/` that a proxy in between may have put before it."""
    match = _WEAK_OR_QUOTED.fullmatch(text.replace("&quot;", '"'))
    return match[1] if match else text


def delete_request(objects: Iterable[tuple[str, str]]) -> bytes:
    """The body of a DeleteObjects call for (key, ETag) pairs. It is not `Quiet`, so that every key is answered for."""
    entries = "".join(
        f"<Object><Key>{_escape(key)}</Key><ETag>&quot;{etag}&quot;</ETag></Object>" for key, etag in objects
    )
    return f'<Delete xmlns="{_NAMESPACE}">{entries}</Delete>'.encode()


def delete_versions_request(objects: Iterable[tuple[str, str]]) -> bytes:
    """The same for (key, version id) pairs. S3 holds an ETag against the current version only, so none is given."""
    entries = "".join(
        f"<Object><Key>{_escape(key)}</Key><VersionId>{escape(version_id)}</VersionId></Object>"
        for key, version_id in objects
    )
    return f'<Delete xmlns="{_NAMESPACE}">{entries}</Delete>'.encode()


def is_not_xml(key: str) -> bool:
    """Whether the key has characters that XML 1.0 cannot express, so that S3 refuses a DeleteObjects call with it."""
    return _NOT_XML.search(key) is not None


def _escape(key: str) -> str:
    if _PLAIN.fullmatch(key):
        return key
    # A carriage return or newline would be normalised away by the server's parser.
    return escape(key, {"\r": "&#13;", "\n": "&#10;", "\t": "&#9;", '"': "&quot;"})


class DeleteAnswer(NamedTuple):
    """What S3 said of every key of a DeleteObjects call."""

    deleted: set[str]
    markers: dict[str, str]
    """The version ids of the delete markers that were written instead of deleting, by key."""
    failures: list[DeleteFailure]
    put_off: dict[str, str]
    """The reasons by the keys that are worth another attempt."""


def parse_delete_answer(body: bytes) -> DeleteAnswer:
    """Parse a DeleteObjects answer that was not asked to be `Quiet`."""
    plain = _PLAIN_DELETES.fullmatch(body)
    if plain is not None:
        keys = _text(plain[1]).removeprefix("<Deleted><Key>").removesuffix("</Key></Deleted>")
        return DeleteAnswer(set(keys.split("</Key></Deleted><Deleted><Key>")), {}, [], {})
    root = root_of(body, "DeleteResult")
    deleted = set()
    markers = {}
    for fields in children(root, "Deleted"):
        deleted.add(fields.get("Key", ""))
        if fields.get("DeleteMarker") == "true":
            markers[fields.get("Key", "")] = fields.get("DeleteMarkerVersionId", "")
    failures = []
    put_off = {}
    for fields in children(root, "Error"):
        code = fields.get("Code", "")
        if code in ("NoSuchKey", "NoSuchVersion"):
            # The ETag makes the delete conditional, and so an absent key an error: another worker deleted it, or an
            # earlier attempt whose answer was lost.
            deleted.add(fields.get("Key", ""))
            continue
        key, reason = fields.get("Key", ""), _reason(code, fields.get("Message", ""))
        if code not in _PER_KEY_RETRIES:
            failures.append(DeleteFailure(key, reason))
        elif key not in deleted:
            put_off[key] = reason
    return DeleteAnswer(deleted, markers, failures, put_off)


def parse_single_delete(key: str, status: int, body: bytes, *, marker: str | None) -> DeleteAnswer | None:
    """The answer to a DeleteObject of that key; None if the call failed for a reason that is not the object's.

    `marker` is the version id of the delete marker that was written, if any was.
    """
    if 200 <= status < 300 or (status == 404 and parse_fields(body).get("Code") != "NoSuchBucket"):
        return DeleteAnswer({key}, {} if marker is None else {key: marker}, [], {})
    if status not in (409, 412):
        return None
    fields = parse_fields(body)
    reason = _reason(fields.get("Code", f"HTTP {status}"), fields.get("Message", ""))
    return DeleteAnswer(set(), {}, [DeleteFailure(key, reason)], {})


def _reason(code: str, message: str) -> str:
    return f"{code}: {message}" if message else code or ""


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UnreadableAnswer(f"the answer is not UTF-8: {error}") from error


def complete_request(etags: Sequence[str], checksums: Sequence[str] = ()) -> bytes:
    """The body of CompleteMultipartUpload for the parts' ETags, and their checksums as XML, if they have any."""
    parts = "".join(
        f"<Part><ETag>&quot;{escape(etag)}&quot;</ETag><PartNumber>{number}</PartNumber>{checksum}</Part>"
        for number, (etag, checksum) in enumerate(zip(etags, checksums or [""] * len(etags), strict=True), 1)
    )
    return f'<CompleteMultipartUpload xmlns="{_NAMESPACE}">{parts}</CompleteMultipartUpload>'.encode()


def parse_fields(body: bytes) -> dict[str, str]:
    """The text of the root's children by name; `{}` where the body is not XML."""
    try:
        root = _parse(body)
    except UnreadableAnswer:
        return {}
    return {_local(child.tag): child.text or "" for child in root}


def root_name(body: bytes) -> str:
    """The name of the document's root element; empty where the body is not XML."""
    try:
        return _local(_parse(body).tag)
    except UnreadableAnswer:
        return ""


def root_of(body: bytes, name: str) -> ET.Element:
    """The root element, which has that name. Raises `UnreadableAnswer`."""
    root = _parse(body)
    if _local(root.tag) != name:
        raise UnreadableAnswer(f"the answer is a {_local(root.tag)}, not a {name}")
    return root


def _parse(body: bytes) -> ET.Element:
    try:
        return ET.fromstring(body)  # noqa: S314 - expat without external entities; the server is the user's own
    except (ET.ParseError, LookupError, ValueError) as error:  # the latter two: an encoding that does not exist
        raise UnreadableAnswer(f"the answer is not XML: {error}") from error


def children(root: ET.Element, name: str) -> Iterator[dict[str, str]]:
    """The fields of every child of that name, those of its own children among them."""
    for child in root:
        if _local(child.tag) == name:
            yield {_local(field.tag): field.text or "" for field in child.iter()}


def tagged_children(root: ET.Element) -> Iterator[tuple[str, dict[str, str]]]:
    """Every child by its name, with its fields and its own text among them, in the order of the document."""
    for child in root:
        yield _local(child.tag), {_local(one.tag): one.text or "" for one in child.iter()}


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]
