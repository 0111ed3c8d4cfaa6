"""Rollups written once can be read for ever, and the format's document says how they are made."""

from __future__ import annotations

import gzip
import hashlib
import re
from datetime import UTC, date, datetime

import pytest
from isal import isal_zlib
from tests.support.packing import Log, decode_index, pack, prove
from tests.support.paths import GOLDEN, ROOT

from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rollup import read_footer
from s3_log_roller.rollup.carriers import decode_carriers
from s3_log_roller.rollup.tar import TarHeaders

MIDNIGHT = int(datetime(2022, 7, 1, tzinfo=UTC).timestamp())


GOLDEN_GROUP = DayGroup("bucket1", "example.com/logs-", date(2022, 7, 1))
GOLDEN_LOGS: list[Log] = [
    Log("2022-07-01-05-15-43-42117B9A70B0F1BA", b"79a5 example.com REST.GET.OBJECT a\n" * 20, MIDNIGHT + 18944, None),
    Log(
        "2022-07-01-05-21-46-66A49E4B82CEA312", b"79a5 example.com REST.PUT.OBJECT b\n" * 60000, MIDNIGHT + 19310, None
    ),
    Log("2022-07-01-23-59-59-FFFFFFFFFFFFFFFF", b"", MIDNIGHT + 86401, "d41d8cd98f00b204e9800998ecf8427e-1"),
]
EXAMPLE_GROUP = DayGroup("bucket1", "example.com/", date(2022, 7, 1))
EXAMPLE_LOGS: list[Log] = [Log("2022-07-01-05-15-43-42117B9A70B0F1BA", b"hello\n", MIDNIGHT + 18944, None)]


Proven = tuple[str, bytes, int, str | None]
"""Suffix, MD5, mtime, and the ETag where that is not the body's MD5."""


def check(rollup: bytes, group: DayGroup) -> list[Proven]:
    """Verify the rollup; its members."""
    _, directory, _ = decode_index(rollup)
    assert (directory.target_prefix, directory.day) == (group.target_prefix, group.day)
    return [(member.suffix, md5, member.mtime, member.etag) for member, md5 in prove(rollup)]


def expected_of(logs: list[Log]) -> list[Proven]:
    return [
        (suffix, hashlib.md5(body, usedforsecurity=False).digest(), mtime, etag) for suffix, body, mtime, etag in logs
    ]


def listings() -> list[bytes]:
    """The hex listings of docs/reference/format.md, comments left out."""
    document = (ROOT / "docs" / "reference" / "format.md").read_text(encoding="utf-8")
    found = re.findall(r"^```hex\n(.*?)^```$", document, re.DOTALL | re.MULTILINE)
    return [bytes.fromhex(re.sub(";.*", "", listing)) for listing in found]


GOLDEN_FILES = ("rollup-v1-2022-07-01.tgz", "rollup-0.1-2022-07-01.tgz")
"""Of the same logs, from when version 1 was made, and by 0.1, which had another layout."""


@pytest.mark.parametrize("name", GOLDEN_FILES)
def test_rollups_that_were_written_once_are_read(name: str) -> None:
    """They hold several blocks, a long log, an empty one, and one whose ETag is not an MD5."""
    assert check((GOLDEN / name).read_bytes(), GOLDEN_GROUP) == expected_of(GOLDEN_LOGS)


@pytest.mark.parametrize("name", GOLDEN_FILES)
def test_the_same_originals_make_the_same_tar_as_ever(name: str) -> None:
    """And the same name; the compressed bytes may change with zlib-ng's release."""
    golden = (GOLDEN / name).read_bytes()
    key, rollup = pack(GOLDEN_GROUP, GOLDEN_LOGS)
    assert gzip.decompress(rollup) == gzip.decompress(golden)
    assert key == "example.com/logs-rollup-2022-07-01-fc9c0e4a.tgz"
    again, before = (decode_index(data)[1].blocks for data in (rollup, golden))
    assert [block.tar_length for block in again] == [block.tar_length for block in before]


def test_the_documents_example_is_a_rollup() -> None:
    """The listing is verified whole, and is what the program makes of that log."""
    rollup = listings()[0]
    assert check(rollup, EXAMPLE_GROUP) == expected_of(EXAMPLE_LOGS)
    key, again = pack(EXAMPLE_GROUP, EXAMPLE_LOGS)
    assert gzip.decompress(rollup) == gzip.decompress(again)
    assert key in (ROOT / "docs" / "reference" / "format.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("section", "head_bytes", "listing"), [(0, 4 + 12, 1), (1, 2, 2)])
def test_the_documents_inflated_records_are_those_of_its_example(section: int, head_bytes: int, listing: int) -> None:
    """The offsets and the records in the text are right, read here without the program's own decoder."""
    rollup, *records = listings()
    reach = read_footer(rollup, len(rollup)).sections[section].reach
    assert reach.start == (119, 173)[section]
    payload = decode_carriers(rollup[reach.start : reach.stop])
    assert isal_zlib.decompress(payload[head_bytes:], -15) == records[listing - 1]


def test_the_documents_long_name_is_what_tar_writes() -> None:
    """The three records of a name over 100 bytes."""
    suffix = EXAMPLE_LOGS[0].suffix
    header = TarHeaders("n" * 80 + "-").header(suffix, 6, MIDNIGHT)
    text = (ROOT / "docs" / "reference" / "format.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^```text\n(.*LongLink.*)\n```$", text, re.MULTILINE)
    spelled = line.replace(" NUL×87 ", "\0" * 87).replace(" NUL", "\0").replace(" space", " ~").replace(" ", "")
    assert header.startswith(spelled.replace("~", " ").encode())
    name = ("n" * 80 + "-" + suffix).encode()
    assert len(header) == 1536
    assert header[512:1024] == name + bytes(395)
    assert header[1024:1124] == name[:100]


def test_the_documents_index_has_the_length_it_says() -> None:
    """That of a single log is 317 bytes."""
    rollup = listings()[0]
    assert len(rollup) - read_footer(rollup, len(rollup)).data_bytes == 317
