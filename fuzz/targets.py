"""What reads bytes from outside, each as a function of bytes that must never fail in an unforeseen way.

Used by `fuzz/run.py` (coverage-guided, minutes) and by `tests/unit/fuzz/test_corpus.py` (what was found, seconds).
A target returns for input that was taken or properly refused, and raises for everything else.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from functools import cache
from typing import Final

from tests.support.columns import rows_exactly
from tests.support.odd_lines import LINES, exact_way_only

from s3_log_roller.aws.s3.pages import parse_page
from s3_log_roller.aws.s3.xml import UnreadableAnswer, parse_delete_answer, parse_fields, root_name
from s3_log_roller.errors import DamagedRollup, MalformedTask, NewerFormat
from s3_log_roller.log_keys import DayGroup, after_day, parse_log_key, parse_rollup_key
from s3_log_roller.querying.columns import DAY, SOURCE, ColumnParser, Lines
from s3_log_roller.reading.formats import CsvRows, JsonLines
from s3_log_roller.reading.records import EXTRA, FIELDS, decode_line, parse_record
from s3_log_roller.reading.tarball import gunzip, read_tar
from s3_log_roller.reading.terms import Matcher, Where
from s3_log_roller.rolling.tasks import decode_task, encode_task
from s3_log_roller.rollup import (
    Directory,
    Footer,
    Originals,
    RollupChecker,
    RollupWriter,
    TarChecker,
    decode_directory,
    iter_members,
    read_footer,
)
from s3_log_roller.rollup.carriers import encode_carriers
from s3_log_roller.rollup.compression import DEFAULT_LEVEL, crc32, deflate
from s3_log_roller.rollup.directory import directory_reach
from s3_log_roller.rollup.footer import DIRECTORY, MEMBERS, Section
from s3_log_roller.rollup.members import CHUNK_MEMBERS, Chunk, iter_chunk
from s3_log_roller.rollup.tar import END_OF_ARCHIVE, TarHeaders, padding

GROUP: Final = DayGroup("bucket1", "example.com/logs-", date(2022, 7, 1))
MIDNIGHT: Final = int(datetime(2022, 7, 1, tzinfo=UTC).timestamp())
BODIES: Final = [b"one " * 90, b"", b"three " * 99, b"4" * 512, b"five"]
MAX_MEMBERS: Final = 5_000
"""Of a made-up index that are read: more of them say nothing new."""


def log_key(data: bytes) -> None:
    """A key that parses is a target prefix and 36 characters more; skipping its day skips nothing else."""
    key = data.decode("utf-8", "replace")
    log = parse_log_key(key)
    rollup = parse_rollup_key(key)
    assert log is None or rollup is None
    if log is not None:
        group = DayGroup("bucket", log.target_prefix, log.day)
        assert key.startswith(group.logs_prefix)
        assert len(key) == len(log.target_prefix) + 36
        assert key[-36:-26] == log.day.isoformat()
        assert key.encode() < after_day(key).encode() < (log.target_prefix + f"{log.day}.").encode()
        assert Originals(group).append(key[-36:], "0" * 32, 1, 1)
    if rollup is not None:
        group = DayGroup("bucket", rollup.target_prefix, rollup.day)
        assert key == f"{group.rollups_prefix}{rollup.digits}.tgz"


def record(data: bytes) -> None:
    """A line is a record with all the fields there are, in order, or none; numbers are numbers.

    The quick ways to JSON, to CSV and to the lines that terms pick give what the exact way gives.
    """
    where = Where.parse(["status>=200 key!=k agent!~x time<2030"])
    shown = [write.write(data, "") for write in (JsonLines(), CsvRows())]
    picked = Matcher(where).pick(data + b"\n")
    with exact_way_only():
        assert shown == [write.write(data, "") for write in (JsonLines(), CsvRows())]
        assert picked == Matcher(where).pick(data + b"\n")
    for line in data.split(b"\n"):
        found = parse_record(decode_line(line))
        if found is not None:
            names = list(found)
            assert tuple(names[: len(FIELDS)]) == FIELDS
            assert names[len(FIELDS) :] in ([], [EXTRA])
            assert found["http_status"] is None or isinstance(found["http_status"], int)


def columns(data: bytes) -> None:
    """Every line that is not blank is a row that says what `parse_record` says."""
    lines = data.split(b"\n")
    batch, counts = ColumnParser().parse(data + b"\n", [Lines(len(lines), "", None)])
    assert batch.drop_columns([DAY, SOURCE]).to_pylist() == rows_exactly(lines)
    assert counts.rows == batch.num_rows >= counts.slow >= counts.unparsable


def task(data: bytes) -> None:
    """A message is a task that encodes to itself, or a `MalformedTask` in one line."""
    try:
        decoded = decode_task(data.decode("utf-8", "surrogatepass"))
    except UnicodeDecodeError:
        return
    except MalformedTask:
        return
    assert decode_task(encode_task(decoded)) == decoded


def listing(data: bytes) -> None:
    """A listing is a page or refused; so are the answers to deletes, and errors always have fields or none."""
    with suppress(UnreadableAnswer, ValueError):  # what S3Bucket.list_page catches
        page = parse_page(data)
        assert all(type(entry.key) is str and type(entry.size) is int for entry in page.objects)
    with suppress(UnreadableAnswer):
        answer = parse_delete_answer(data)
        assert isinstance(answer.deleted, set)
    parse_fields(data)
    root_name(data)


@cache
def _rollup() -> bytes:
    originals = Originals(GROUP)
    for number, body in enumerate(BODIES):
        digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
        suffix = f"2022-07-01-00-00-{number:02}-{number:016X}"
        originals.append(suffix, digest if number else f"{digest}-2", len(body), MIDNIGHT + number)
    writer = RollupWriter(GROUP, DEFAULT_LEVEL)
    out = []
    for original, body in zip(originals, BODIES, strict=True):
        out.append(writer.add(original, body, hashlib.md5(body, usedforsecurity=False).digest()))
    return b"".join([*out, *writer.finish()])


@cache
def _index() -> tuple[Footer, Directory, bytes]:
    """Footer, directory and members section of the rollup."""
    rollup = _rollup()
    footer = read_footer(rollup, len(rollup))
    members = footer.members_section.reach
    return footer, _directory(rollup, footer), rollup[members.start : members.stop]


def _directory(data: bytes, footer: Footer) -> Directory:
    reach = directory_reach(footer)
    return decode_directory(footer, data[reach.start : reach.stop])


def rollup_file(data: bytes) -> None:
    """Any file is a rollup whose every byte is proven, or damaged, or newer."""
    with suppress(DamagedRollup, NewerFormat):
        footer = read_footer(data, len(data))
        directory = _directory(data, footer)
        chunks = ((chunk, data[chunk.offset : chunk.offset + chunk.length]) for chunk in directory.chunks)
        checker = RollupChecker(footer, iter_members(footer, chunks, directory.day), directory)
        for block in directory.blocks:
            checker.take(block, data[block.offset : block.offset + block.length])
        checker.finish(data[: directory.blocks[0].offset], data[directory.blocks.stop : footer.data_bytes])


_SHAPE: Final = struct.Struct("<HHBIIIQQ")


def index(data: bytes) -> None:
    """An index whose checksums are right whatever it says: read within bounds, or damaged.

    The input is cut into the numbers of the footer, the directory's plain bytes and a chunk's plain bytes.
    """
    if len(data) < _SHAPE.size:
        return
    directory_bytes, exceptions, prefix_bytes, data_bytes, members, blocks, tar_bytes, original_bytes = (
        _SHAPE.unpack_from(data)
    )
    directory_plain = data[_SHAPE.size :][:directory_bytes]
    rest = data[_SHAPE.size + directory_bytes :]
    stored = 12 * min(members, CHUNK_MEMBERS)
    chunk_bytes = encode_carriers(struct.pack("<I", exceptions) + rest[:stored] + deflate(rest[stored:], 1))
    section = encode_carriers(struct.pack("<H", prefix_bytes) + deflate(directory_plain, 1))
    members_section = Section(MEMBERS, 0, data_bytes, len(chunk_bytes), crc32(chunk_bytes))
    footer = Footer(
        members,
        original_bytes,
        tar_bytes,
        blocks,
        data_bytes,
        hashlib.sha256(data).digest(),
        (members_section, Section(DIRECTORY, 0, members_section.reach.stop, len(section), crc32(section))),
    )
    encoded = footer.encode()
    with suppress(DamagedRollup):
        read = read_footer(encoded, footer.start + len(encoded))
        assert read == footer
        assert len(directory_reach(read)) == len(section)
        directory = decode_directory(read, section)
        assert directory.blocks.stop + 8 == data_bytes
        last = ""
        for count, member in enumerate(iter_members(read, [(directory.chunks[0], chunk_bytes)], directory.day)):
            assert member.suffix > last
            last = member.suffix
            if count > MAX_MEMBERS:
                break
    chunk = Chunk(
        0, len(chunk_bytes), crc32(chunk_bytes), min(members, CHUNK_MEMBERS), "2022-07-01-00-00-00-" + "0" * 16
    )
    with suppress(DamagedRollup):
        for member in iter_chunk(chunk, chunk_bytes, GROUP.day):
            assert parse_log_key(member.suffix) is not None
            TarHeaders("logs-").header(member.suffix, member.size, member.mtime)


@cache
def sound_tar() -> bytes:
    """The one tar that the index of the rollup describes."""
    headers = TarHeaders("logs-")
    pieces = []
    for number, body in enumerate(BODIES):
        header = headers.header(f"2022-07-01-00-00-{number:02}-{number:016X}", len(body), MIDNIGHT + number)
        pieces += [header, body, padding(len(body))]
    return b"".join(pieces) + END_OF_ARCHIVE


def tar(data: bytes) -> None:
    """A tar that passes the check is the one that the index describes, byte for byte; in whatever pieces it comes.

    The first byte says how large the pieces are; the rest is laid over the sound tar by exclusive or.
    """
    if not data:
        return
    piece = 100 + data[0] * 16
    sound = sound_tar()
    changes = data[1:].ljust(len(sound), b"\0")
    changed = bytes(a ^ b for a, b in zip(sound, changes, strict=False)) + changes[len(sound) :]
    footer, directory, members = _index()
    proven = []
    try:
        checker = TarChecker(footer, iter_members(footer, [(directory.chunks[0], members)], GROUP.day), directory)
        for start in range(0, len(changed), piece):
            proven += checker.feed(changed[start : start + piece])
        checker.finish()
        passed = True
    except DamagedRollup:
        passed = False
    assert passed == (changed == sound)
    if passed:
        assert [md5 for _, md5 in proven] == [hashlib.md5(body, usedforsecurity=False).digest() for body in BODIES]


def tarball(data: bytes) -> None:
    """Other programs' tarballs: members come out, or it is damaged; names are text and sizes are kept."""

    def chunks(body: bytes) -> Iterator[bytes]:
        return (body[start : start + 700] for start in range(0, len(body), 700))

    for stream in (chunks(data), gunzip(chunks(data))):
        with suppress(DamagedRollup):
            got = 0
            for member, body, last in read_tar(stream, lambda name, what: None, whole=True):
                got += len(body)
                assert got <= member.size
                if last:
                    assert got == member.size
                    got = 0


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    target.__name__: target for target in (log_key, record, columns, task, listing, rollup_file, index, tar, tarball)
}


def seeds(name: str) -> list[bytes]:
    """Well-formed input to begin with."""
    rollup = _rollup()
    footer = read_footer(rollup, len(rollup))
    if name == "log_key":
        return [b"example.com/2022-07-01-05-15-43-42117B9A70B0F1BA", b"x/rollup-2022-07-01-e26daa03.tgz"]
    if name == "record":
        from random import Random

        from s3_log_roller.demo.sample_logs import sample_log

        return sample_log(Random(1), datetime(2022, 7, 1, tzinfo=UTC), "bucket1", 6).splitlines()
    if name == "columns":
        return [*seeds("record"), b"\n".join(LINES)]
    if name == "task":
        roll = '{"task":"roll","bucket":"bucket1","target_prefix":"x/","day":"2022-07-01","v":1,"cutoff":"2022-07-02"'
        return [
            b'{"task":"scan","bucket":"bucket1","prefix":"x/","start_after":"x/2","v":1,"cutoff":"2022-07-02",'
            b'"since":"2020-01-01","role":"arn:aws:iam::123456789012:role/roller","external_id":"abc"}',
            (roll + ',"max_members":7}').encode(),
            (roll + "}").encode(),
        ]
    if name == "listing":
        entry = (
            "<Contents><Key>a/2022-07-01-05-15-43-42117B9A70B0F1BA</Key><LastModified>2022-07-01T05:15:44.000Z"
            "</LastModified><ETag>&quot;b1946ac92492d2347c6235b4d2611184&quot;</ETag><Size>6</Size>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
        )
        return [
            f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<IsTruncated>true</IsTruncated>{entry * 2}</ListBucketResult>".encode(),
            b"<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Size>1</Size><Key>%20a</Key><ETag>e</ETag>"
            b"<LastModified>2022-07-01T05:15:44Z</LastModified></Contents></ListBucketResult>",
            b"<DeleteResult><Deleted><Key>a</Key></Deleted><Deleted><Key>b</Key></Deleted></DeleteResult>",
            b"<DeleteResult><Deleted><Key>a</Key><DeleteMarker>true</DeleteMarker></Deleted><Error><Key>b</Key>"
            b"<Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>",
            b"<?xml version='1.0' encoding='UTF-8'?><Error><Code>SlowDown</Code><Message>m</Message></Error>",
        ]
    if name == "index":
        return [_index_seed()]
    if name == "tar":
        return [b"\0", b"\x19" + bytes(600) + b"\1", b"\5" + bytes(len(sound_tar())) + bytes(512)]
    if name == "tarball":
        return [sound_tar(), rollup[: footer.data_bytes], rollup]
    return [rollup, rollup[: footer.data_bytes]]


def _index_seed() -> bytes:
    footer, _, _ = _index()
    member = struct.Struct("<IQqQ4s")
    digests = [hashlib.md5(body, usedforsecurity=False).digest() for body in BODIES]
    records = b"".join(
        member.pack(min(number, 1), len(body), 0, number, digest[:4])
        for number, (body, digest) in enumerate(zip(BODIES, digests, strict=True))
    )
    planes = b"".join(records[byte :: member.size] for byte in range(member.size))
    deflated, stored = planes[: 20 * len(BODIES)], planes[20 * len(BODIES) :]
    exception = struct.pack("<HB", 0, 3) + b"a-2" + digests[0][4:]
    prefix = b"example.com/logs-"
    block = struct.pack("<IIIIQIQ", 300, 1, footer.tar_bytes, 0, 0, 0, 0)
    described = encode_carriers(struct.pack("<I", len(exception)) + stored + deflate(deflated + exception, 1))
    plain = block + struct.pack("<IIIQ", len(described), crc32(described), 0, 0) + b"2022-07-01" + prefix
    shape = _SHAPE.pack(
        len(plain), len(exception), len(prefix), 318, len(BODIES), 1, footer.tar_bytes, footer.original_bytes
    )
    return shape + plain + stored + deflated + exception
