from __future__ import annotations

import pytest

from s3_log_roller.errors import UsageError
from s3_log_roller.uris import S3Uri, check_bucket_name, describe_empty


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("s3://my-logs/wbe/", "there is no object at all under s3://my-logs/wbe/: check its spelling"),
        (
            "s3://my-logs/web/*",
            "there is no object at all under s3://my-logs/web/*: * is an ordinary character there, and a prefix covers "
            "all that begins with it",
        ),
    ],
)
def test_an_empty_prefix_gets_a_hint(text: str, words: str) -> None:
    """A glob is named for what it is."""
    assert describe_empty(S3Uri.parse(text)) == words


@pytest.mark.parametrize("text", ["s3://a/,s3://b/", "s3://logs/web/, s3://logs/api/", "s3://a/;s3://b/"])
def test_prefixes_that_are_separated_by_commas_are_refused(text: str) -> None:
    """Taken literally it would be one prefix that nobody means."""
    with pytest.raises(UsageError, match=r"holds several URIs: separate them by spaces"):
        S3Uri.parse(text)


def test_a_comma_is_part_of_a_prefix() -> None:
    """S3 allows it in keys."""
    assert S3Uri.parse("s3://logs/a,b/").prefix == "a,b/"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("b", "3 to 63 characters"),
        ("a..b", "3 to 63 characters"),
        ("my-*", r"\* stands for nothing in a bucket's name: name each bucket"),
        ("arn:aws:s3:::logs", "write the name alone, s3://logs/"),
    ],
)
def test_a_wrong_bucket_name_says_what_is_valid(name: str, words: str) -> None:
    """And what the user may have meant."""
    with pytest.raises(UsageError, match=words):
        check_bucket_name(name)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("arn:aws:s3:::logs/web/", "write s3://logs/web/"),
        ("https://logs.s3.us-west-2.amazonaws.com/web/", "write s3://logs/web/"),
        ("https://logs.s3.amazonaws.com", "write s3://logs/"),
        ("https://s3.us-west-2.amazonaws.com/logs/web/", "write s3://logs/web/"),
        ("logs/web/", "write s3://BUCKET/PREFIX"),
        ("S3://logs/", "write s3://logs/"),
    ],
)
def test_other_ways_to_name_a_place_are_answered_with_the_uri(text: str, words: str) -> None:
    """ARNs and console URLs are what people have at hand."""
    with pytest.raises(UsageError, match=f"is not an S3 URI: {words}$"):
        S3Uri.parse(text)


def test_a_prefix_that_is_not_text_is_refused() -> None:
    """Bytes of a command line that are not UTF-8 come as lone surrogates; S3 has no such key."""
    for surrogate in "\ud800\udcff\udfff":
        with pytest.raises(UsageError, match="is not valid UTF-8"):
            S3Uri.parse(f"s3://bucket/logs-{surrogate}/")
