"""Records parse as the S3 User Guide describes them, whatever clients sent, and nothing is lost that does not parse."""

from __future__ import annotations

import re
import time
from codecs import BOM_UTF8
from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.records import CHECKSUM, GUIDE, OWNER, POINT, a_line, parsed

from s3_log_roller.demo.sample_logs import sample_log
from s3_log_roller.reading.records import EXTRA, FIELDS, NUMBERS, decode_key, decode_line, parse_record


def test_the_guides_records() -> None:
    """All 27 fields, under the guide's names: numbers as numbers, `-` as null, the time as ISO 8601."""
    assert len(FIELDS) == 27
    assert parsed(GUIDE[0]) == {
        "bucket_owner": OWNER,
        "bucket": "amzn-s3-demo-bucket1",
        "time": "2019-02-06T00:00:38Z",
        "remote_ip": "192.0.2.3",
        "requester": OWNER,
        "request_id": "3E57427F3EXAMPLE",
        "operation": "REST.GET.VERSIONING",
        "key": None,
        "request_uri": "GET /amzn-s3-demo-bucket1?versioning HTTP/1.1",
        "http_status": 200,
        "error_code": None,
        "bytes_sent": 113,
        "object_size": None,
        "total_time": 7,
        "turn_around_time": None,
        "referer": None,
        "user_agent": "S3Console/0.4",
        "version_id": None,
        "host_id": "s9lzHYrFp76ZVxRcpX9+5cjAnEH2ROuNkd2BHfIa6UkFVdtjf5mKR3/eTPFvsiP/XV/VLi31234=",
        "signature_version": "SigV4",
        "cipher_suite": "ECDHE-RSA-AES128-GCM-SHA256",
        "authentication_type": "AuthHeader",
        "host_header": "amzn-s3-demo-bucket1.s3.us-west-1.amazonaws.com",
        "tls_version": "TLSV1.2",
        "access_point_arn": POINT,
        "acl_required": "Yes",
        "source_region": "us-east-1",
    }
    assert [parsed(line)["http_status"] for line in GUIDE] == [200, 200, 404, 200, 200]
    assert [parsed(line)["error_code"] for line in GUIDE] == [None, None, "NoSuchBucketPolicy", None, None]
    put = parsed(GUIDE[4])
    assert (put["key"], put["object_size"], put["total_time"], put["turn_around_time"]) == (
        "s3-dg.pdf",
        4406583,
        41754,
        28,
    )


def test_a_record_without_a_request() -> None:
    """Where S3 acted by itself, what else is in quotes is a bare `-`."""
    record = parsed(CHECKSUM)
    assert record["operation"] == "S3.COMPUTE.OBJECT.CHECKSUM"
    assert (record["request_uri"], record["http_status"], record["user_agent"]) == (None, None, None)
    assert record["object_size"] == 1048576


@pytest.mark.parametrize("fields", [18, 23, 24, 25, 26])
def test_older_records_end_early(fields: int) -> None:
    """Fields that did not exist yet are null; the others are where they belong."""
    whole = parsed(GUIDE[0])
    words = re.findall(r'"[^"]*"|\[[^\]]*\]|[^ ]+', GUIDE[0])
    record = parsed(" ".join(words[:fields]))
    assert [record[name] for name in FIELDS] == [whole[name] if n < fields else None for n, name in enumerate(FIELDS)]


def test_a_version_may_be_the_last_of_the_fields() -> None:
    """Before there were others; it is no token too many."""
    whole = a_line()
    record = parsed(whole[: whole.index(" - host=")] + " 3HL4kqtJvjVBH40Nrjfkd")
    assert record["version_id"] == "3HL4kqtJvjVBH40Nrjfkd"
    assert EXTRA not in record


def test_fields_that_aws_adds_are_kept() -> None:
    """Plain or quoted, they come as `extra`, in order."""
    record = parsed(a_line(behind=' new-1 "new 2" -'))
    assert record[EXTRA] == ["new-1", "new 2", "-"]
    assert record["source_region"] == "us-east-1"
    assert record["user_agent"] == "curl/8.0"


@pytest.mark.parametrize(
    ("uri", "referer", "agent"),
    [
        ('GET /a"b HTTP/1.1', "-", "x"),
        ('GET /?q="x" HTTP/1.1', 'http://x/"q"', '"quoted" agent'),
        ("GET /k HTTP/1.1", "http://x/", 'Mozilla "5.0" (X; "Y")'),
        ("GET /k HTTP/1.1", "http://x/", '"'),
        ("GET /k HTTP/1.1", '"', '""'),
        ("GET /k HTTP/1.1", "http://x/", ""),
        ("GET /k HTTP/1.1", "http://x/", '"' * 1000),
        ("GET /k HTTP/1.1", "http://x/", "two  spaces, \\ and \t"),
    ],
)
def test_quotes_inside_quoted_fields_survive(uri: str, referer: str, agent: str) -> None:
    """S3 writes what clients send as it comes."""
    record = parsed(a_line(uri, referer, agent))
    expected = (uri, None if referer == "-" else referer, agent)
    assert (record["request_uri"], record["referer"], record["user_agent"]) == expected
    assert (record["signature_version"], record["source_region"], EXTRA in record) == ("SigV4", "us-east-1", False)


def test_a_user_agent_cannot_forge_the_fields_behind_it() -> None:
    """A client that sends what looks like the end of a record is believed nothing."""
    fake = 'x" - fake= SigV4 FAKE AuthHeader fake.example.com TLSv9 - - nowhere'
    record = parsed(a_line(agent=fake))
    assert record["user_agent"] == fake
    assert (record["host_id"], record["tls_version"], record["source_region"]) == ("host=", "TLSv1.2", "us-east-1")


@given(agent=st.text(st.characters(exclude_characters="\n\r", codec="utf-8"), max_size=60))
def test_any_user_agent_comes_back(agent: str) -> None:
    """Byte for byte, and every field around it is right."""
    record = parsed(a_line(agent=agent))
    assert record["user_agent"] == (None if agent == "-" else agent)
    assert (record["http_status"], record["cipher_suite"], record["source_region"]) == (200, "ECDHE", "us-east-1")


def test_generated_records() -> None:
    """Every record of the demo's logs parses, with numbers where numbers belong."""
    log = sample_log(Random(1), datetime(2022, 7, 1, 5, tzinfo=UTC), "example.com", 200)
    for line in log.splitlines():
        record = parsed(decode_line(line))
        assert all(record[name] is None or isinstance(record[name], int) for name in NUMBERS)
        assert str(record["time"]).startswith("2022-07-01T")
        assert EXTRA not in record


@pytest.mark.parametrize(
    "line",
    [
        "",
        "nonsense",
        GUIDE[0][: len(GUIDE[0]) // 2],
        a_line().replace("06/Feb", "31/Feb"),
        a_line().replace("06/Feb", "06/Fub"),
        a_line().replace(" 200 ", " two "),
        a_line().replace("[", ""),
    ],
)
def test_what_is_no_record_is_said_to_be_none(line: str) -> None:
    """Half a line, an impossible date, a field of the wrong kind."""
    assert parse_record(line) is None


@pytest.mark.parametrize("filler", ['" "', '" 200 - 1 1 1 1 "', '"', " ", '" - - SigV4 x - '])
@pytest.mark.heavy
def test_hostile_lines_take_no_long_time(filler: str) -> None:
    """A megabyte made to make a parser try everything is done with within seconds."""
    begin = time.thread_time()
    parse_record(a_line(agent=filler * (1_000_000 // len(filler)))[:-40])
    assert time.thread_time() - begin < 10


def test_times_with_an_offset() -> None:
    """S3 writes UTC; another zone would be kept."""
    assert parsed(a_line().replace("+0000", "-0730"))["time"] == "2019-02-06T00:00:38-07:30"


def test_bytes_that_are_no_text_stay_readable() -> None:
    """They are shown as escapes; the rest of the line parses."""
    assert parsed(decode_line(a_line(agent="caf@").encode().replace(b"@", b"\xe9")))["user_agent"] == "caf\\xe9"


ORIGIN_ACCESS = "arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity E1ABCDEF234567"


@pytest.mark.parametrize("uri", ['"GET /k HTTP/1.1"', "-"])
def test_requesters_with_spaces(uri: str) -> None:
    """CloudFront's origin access identities have some; every field is where it belongs."""
    line = a_line().replace(" 192.0.2.3 - ", f" 192.0.2.3 {ORIGIN_ACCESS} ").replace('"GET /k HTTP/1.1"', uri)
    record = parsed(line)
    assert record["requester"] == ORIGIN_ACCESS
    whole = parsed(a_line().replace('"GET /k HTTP/1.1"', uri))
    assert {name: value for name, value in record.items() if name != "requester"} == {
        name: value for name, value in whole.items() if name != "requester"
    }


@pytest.mark.parametrize("stray", ["stray", "two strays", "4LnQYwx9T8"])
@pytest.mark.parametrize("agent", ["curl/8.0", 'x" - fake= SigV4 FAKE AuthHeader fake.example.com TLSv9 - - nowhere'])
def test_tokens_too_many_shift_no_field(stray: str, agent: str) -> None:
    """The signature's version tells where the host id is; what does not belong is kept as `extra`."""
    record = parsed(a_line(agent=agent).replace(" host= ", f" {stray} host= "))
    assert record.pop(EXTRA) == stray.split()
    assert record == parsed(a_line(agent=agent))


def test_a_tail_that_is_not_understood_fills_no_field() -> None:
    """Without a signature's version nothing tells which token is which: they are all `extra`."""
    record = parsed(a_line().partition(" SigV4")[0] + " what ever")
    assert (record["version_id"], record["host_id"], record["user_agent"]) == (None, None, "curl/8.0")
    assert record[EXTRA] == ["-", "host=", "what", "ever"]


def test_line_ends_of_other_systems_are_not_part_of_a_field() -> None:
    """Neither a carriage return, nor a byte order mark."""
    line = a_line().encode()
    for written in (line, line + b"\n", line + b"\r\n", BOM_UTF8 + line + b"\r\n"):
        assert parsed(decode_line(written)) == parsed(a_line())


@pytest.mark.parametrize(
    ("operation", "key", "decoded"),
    [
        ("REST.GET.OBJECT", "reports/My%2520File%2525.csv", "reports/My File%.csv"),
        ("REST.GET.OBJECT", "reports/My%2BFile%2525.csv", "reports/My File%.csv"),
        ("REST.PUT.OBJECT", "g%252B%252B.deb", "g++.deb"),
        ("WEBSITE.GET.OBJECT", "foo-%2525Y", "foo-%Y"),
        ("S3.EXPIRE.OBJECT", "foo-%2525Y", "foo-%25Y"),
        ("BATCH.DELETE.OBJECT", "reports/My+File%25.csv", "reports/My File%.csv"),
        ("REST.GET.OBJECT", "caf%25E9", "caf\\xe9"),
        ("REST.GET.OBJECT", "plain/key", "plain/key"),
        ("REST.GET.OBJECT", "my+file", "my file"),
        ("REST.GET.BUCKET", None, None),
    ],
)
def test_keys_are_decoded_as_often_as_s3_encoded_them(operation: str, key: str | None, decoded: str | None) -> None:
    """Twice for requests, once where S3 acts by itself; a percent sign of the key's own survives."""
    assert decode_key(operation, key) == decoded


def test_a_user_agent_without_its_second_quote_is_not_a_record() -> None:
    """Its only quote does not begin and end it at once."""
    assert parse_record(a_line().replace('"curl/8.0"', '""')) is not None
    assert parse_record(a_line().replace('"curl/8.0"', '"')) is None
