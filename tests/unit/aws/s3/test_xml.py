"""The XML of requests and answers, without a server."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from s3_log_roller.aws.s3.checksums import Checksums
from s3_log_roller.aws.s3.pages import parse_folders, parse_page
from s3_log_roller.aws.s3.request import Request
from s3_log_roller.aws.s3.xml import (
    UnreadableAnswer,
    complete_request,
    delete_request,
    delete_versions_request,
    parse_single_delete,
    root_name,
)

NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"
ODD_KEY = "a\r\n\t\"<&>'é/ b"


def texts(body: bytes, name: str) -> list[str | None]:
    return [element.text for element in ET.fromstring(body).iter(NAMESPACE + name)]


@pytest.mark.parametrize("key", ["plain/2022-07-01", ODD_KEY])
def test_a_delete_names_its_keys_as_they_are(key: str) -> None:
    """Line breaks and quotes among their characters, which a parser would change if they were not written otherwise."""
    by_etag, by_version = delete_request([(key, "e1"), ("b", "e2")]), delete_versions_request([(key, "<v&>")])
    assert texts(by_etag, "Key") == [key, "b"]
    assert texts(by_etag, "ETag") == ['"e1"', '"e2"']
    assert (texts(by_version, "Key"), texts(by_version, "VersionId")) == ([key], ["<v&>"])


@pytest.mark.parametrize(("checksums", "found"), [((), []), (["<C>x</C>", "<C>y</C>"], ["x", "y"])])
def test_an_upload_is_completed_with_its_parts_in_order(checksums: list[str], found: list[str]) -> None:
    """Counted from one, each with its checksum if there are any."""
    body = complete_request(["e&1", "e2"], checksums)
    assert texts(body, "ETag") == ['"e&1"', '"e2"']
    assert texts(body, "PartNumber") == ["1", "2"]
    assert texts(body, "C") == found


@pytest.mark.parametrize(
    ("status", "code", "deleted", "reason"),
    [
        (200, "", True, None),
        (204, "", True, None),
        (404, "NoSuchKey", True, None),
        (409, "ConditionalRequestConflict", False, "ConditionalRequestConflict: why"),
        (412, "PreconditionFailed", False, "PreconditionFailed: why"),
    ],
)
def test_the_answer_to_a_single_delete_is_of_its_object(
    status: int, code: str, deleted: bool, reason: str | None
) -> None:
    """Gone, or refused with a reason."""
    body = f"<Error><Code>{code}</Code><Message>why</Message></Error>".encode() if code else b""
    answer = parse_single_delete("k", status, body, marker=None)
    assert answer is not None
    assert answer.deleted == ({"k"} if deleted else set())
    assert [(failure.key, failure.reason) for failure in answer.failures] == ([("k", reason)] if reason else [])
    assert not answer.put_off


@pytest.mark.parametrize(
    ("status", "code"), [(300, ""), (403, "AccessDenied"), (404, "NoSuchBucket"), (503, "SlowDown")]
)
def test_a_single_delete_that_failed_for_another_reason_says_nothing_of_its_object(status: int, code: str) -> None:
    """Whether it is gone is not known."""
    assert parse_single_delete("k", status, f"<Error><Code>{code}</Code></Error>".encode(), marker=None) is None


def test_what_is_not_xml_has_no_root() -> None:
    """A name that nothing is compared with by chance."""
    assert (root_name(b"<a><b/></a>"), root_name(b"junk")) == ("a", "")


LISTING = "<ListBucketResult>{0}<IsTruncated>false</IsTruncated>{1}</ListBucketResult>"


@pytest.mark.parametrize(("encoding", "folder"), [("<EncodingType>url</EncodingType>", "a b+/"), ("", "a+b%2B/")])
def test_folders_are_decoded_where_the_answer_says_that_they_are_encoded(encoding: str, folder: str) -> None:
    """As keys are."""
    prefixes = "".join(f"<CommonPrefixes><Prefix>{one}</Prefix></CommonPrefixes>" for one in ("a+b%2B/", "c/"))
    assert parse_folders(LISTING.format(encoding, prefixes).encode()) == [folder, "c/"]


def test_another_document_has_no_folders() -> None:
    """It is not taken for a listing without any."""
    with pytest.raises(UnreadableAnswer, match="the answer is a Other, not a ListBucketResult"):
        parse_folders(b"<Other/>")


FIELDS = {"Key": "k", "LastModified": "2022-07-01T00:00:00.000Z", "ETag": '"e"', "Size": "1"}


@pytest.mark.parametrize("missing", FIELDS)
def test_an_entry_that_lacks_something_makes_a_listing_unreadable(missing: str) -> None:
    """And is not left out."""
    entry = "".join(f"<{name}>{text}</{name}>" for name, text in FIELDS.items() if name != missing)
    with pytest.raises(UnreadableAnswer, match=f"an entry of the listing has no '{missing}'"):
        parse_page(LISTING.format("", f"<Contents>{entry}</Contents>").encode())


def test_without_an_algorithm_nothing_is_said_of_checksums() -> None:
    """Neither of the object nor of its parts."""
    checksums = Checksums("")
    assert (
        checksums.of_object(b"x") == checksums.of_upload() == checksums.of_part(b"x") == checksums.of_all_parts() == ()
    )
    assert checksums.elements() == []


def test_a_header_is_found_by_its_whole_name() -> None:
    """In whatever case it comes; one that only begins alike is another."""
    request = Request("s3:GetObject", "HEAD", "/k")
    request.header_lines = [b"ETag-Of-Before: 1\r\n", b"ETAG:  2 \r\n"]
    assert (request.header("etag"), request.header("etag-of"), request.header("x")) == ("2", None, None)
