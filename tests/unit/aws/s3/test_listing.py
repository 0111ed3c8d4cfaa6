"""Listings: as asked for, and asked for again until they are one."""

from __future__ import annotations

import pytest
from tests.support.answers import a_bucket, fill, first_only, with_body

from s3_log_roller.aws.s3.calls import Calls
from s3_log_roller.aws.s3.pages import parse_page, parse_time
from s3_log_roller.errors import StorageError
from s3_log_roller.store import list_objects


def test_a_listing_is_asked_for_again_until_it_is_one() -> None:
    """Cut short, without the word whether more follows, another document."""
    for body in (b"<ListBucketResult><IsTru", b"<ListBucketResult></ListBucketResult>", b"<b></b>", b"\xff"):
        with a_bucket() as (client, stored, intruder):
            fill(stored, 2)
            intruder.change = first_only(lambda call: True, lambda call, answer, body=body: with_body(body))  # type: ignore[misc]
            assert [entry.key for entry in client.list_page("").objects] == ["00000", "00001"]
            assert client.requests_sent == 2
            intruder.change = lambda call, answer, body=body: with_body(body)
            with pytest.raises(StorageError, match=r"failed after 3 attempts: unreadable listing"):
                client.list_page("")


def test_a_web_page_is_taken_for_a_bad_moment_once() -> None:
    """A proxy's page goes away; that of a wrong endpoint stays, and the user need not wait for many attempts."""
    for page in (b"<!DOCTYPE html>\n<p>", b"\n<html></html>"):
        with a_bucket() as (client, stored, intruder):
            fill(stored, 2)
            intruder.change = first_only(lambda call: True, lambda call, answer, page=page: with_body(page))  # type: ignore[misc]
            assert [entry.key for entry in client.list_page("").objects] == ["00000", "00001"]
            intruder.change = lambda call, answer, page=page: with_body(page)
            with pytest.raises(
                StorageError, match="failed after 2 attempts: unreadable listing: it is a web page; check"
            ):
                client.list_page("")


def test_prefix_start_and_size_of_a_page_are_asked_for_as_they_are() -> None:
    """Odd signs in prefix and start are escaped, and an empty start is not sent."""
    with a_bucket() as (client, stored, intruder):
        for key in ("a b&c/1", "a b&c/2", "a b&c/3", "a b"):
            stored.put(key, b"", 0)
        page = client.list_page("a b&c/", "a b&c/1", max_keys=1)
        assert [entry.key for entry in page.objects] == ["a b&c/2"]
        assert page.truncated
        assert "start-after=a%20b%26c%2F1" in intruder.calls[0].query
        client.list_page("a")
        assert "start-after" not in intruder.calls[1].query
        assert "encoding-type=url" in intruder.calls[1].query


def test_an_empty_page_is_followed_by_its_token() -> None:
    """A server may answer with no keys and go on all the same; the token is escaped both ways."""
    empty = b"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>%b</NextContinuationToken>"
    assert parse_page(empty % b"a&amp;b" + b"</ListBucketResult>").continuation_token == "a&b"
    with a_bucket() as (client, stored, intruder):
        fill(stored, 2)
        answer = with_body(empty % b"MA==" + b"</ListBucketResult>")
        intruder.change = first_only(lambda call: True, lambda call, _: answer)
        assert [entry.key for entry in list_objects(client, "", "0")] == ["00000", "00001"]
        assert [call.query.partition("&")[0] for call in intruder.calls] == [
            "encoding-type=url",
            "continuation-token=MA%3D%3D",
        ]
        assert "start-after=0" in intruder.calls[0].query
        assert "start-after" not in intruder.calls[1].query


def test_a_bucket_at_the_root_of_its_host_is_reached() -> None:
    """Virtual-host style: the path of the bucket itself is `/`."""
    assert Calls("b", "/", None).bucket_path == "/"  # type: ignore[arg-type]
    assert Calls("b", "/b/", None).bucket_path == "/b"  # type: ignore[arg-type]


def test_times_are_told_to_the_second() -> None:
    """They become the times of the files in a rollup."""
    assert parse_time("2022-07-01T05:15:43.000Z") == 1_656_652_543
    assert parse_time("2024-02-29T23:59:01Z") - parse_time("2024-02-29T00:00:00Z") == 86_341


@pytest.mark.parametrize("encoded", [False, True])
@pytest.mark.parametrize(("text", "key"), [("a+b", "a b"), ("a%2Bb", "a+b"), ("a%20b", "a b"), ("ab", "ab")])
def test_keys_are_decoded_where_the_answer_says_that_they_are_encoded(encoded: bool, text: str, key: str) -> None:
    """S3 writes a blank as a plus sign; without that word every sign stands for itself."""
    entry = (
        f"<Contents><Key>{text}</Key><LastModified>2022-07-01T00:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag>"
        "<Size>1</Size><StorageClass>STANDARD</StorageClass></Contents>"
    )
    said = "<EncodingType>url</EncodingType>" if encoded else ""
    body = f"<ListBucketResult><IsTruncated>false</IsTruncated>{said}{entry}</ListBucketResult>"
    assert [one.key for one in parse_page(body.encode()).objects] == [key if encoded else text]


@pytest.mark.parametrize(("code", "requests"), [(b"RequestTimeout", 2), (b"InvalidRequest", 1)])
def test_a_bad_request_is_sent_again_if_it_came_too_slowly(code: bytes, requests: int) -> None:
    """S3 calls that a bad request, too (400): what it says in words counts."""
    refusal = with_body(b"<Error><Code>%b</Code></Error>" % code, b"400 Bad Request")
    with a_bucket() as (client, stored, intruder):
        fill(stored, 2)
        intruder.change = first_only(lambda call: True, lambda call, answer: refusal)
        if requests == 1:
            with pytest.raises(StorageError, match="InvalidRequest"):
                client.list_page("")
        else:
            assert len(client.list_page("").objects) == 2
        assert client.requests_sent == requests
