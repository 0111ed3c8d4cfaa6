"""Hostile input: what coverage-guided fuzzing found (fuzz/corpus), and Hypothesis on top of it, in seconds."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from fuzz import targets
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.paths import ROOT

from s3_log_roller.aws.s3.pages import parse_page
from s3_log_roller.aws.s3.xml import UnreadableAnswer, parse_delete_answer, parse_fields
from s3_log_roller.errors import MalformedTask
from s3_log_roller.reading.records import decode_line, parse_record
from s3_log_roller.rolling.tasks import decode_task

CORPUS = ROOT / "fuzz" / "corpus"


@pytest.mark.parametrize("name", targets.TARGETS)
def test_the_corpus_is_taken_or_properly_refused(name: str) -> None:
    """Every input that fuzzing kept, and the seeds themselves."""
    kept = [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))]
    assert kept
    for data in [*targets.seeds(name), *kept]:
        targets.TARGETS[name](data)


@pytest.mark.parametrize("name", targets.TARGETS)
@settings(max_examples=150)
@given(data=st.data())
@pytest.mark.heavy
def test_mutated_seeds_are_taken_or_properly_refused(name: str, data: st.DataObject) -> None:
    """Well-formed input with pieces overwritten, cut out, doubled or put in."""
    body = data.draw(st.sampled_from(targets.seeds(name)))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(body)))
        stop = data.draw(st.integers(start, min(len(body), start + 40)))
        instead = data.draw(st.sampled_from([b"", body[start:stop] * 2]) | st.binary(max_size=40))
        body = body[:start] + instead + body[stop:]
    targets.TARGETS[name](body)


LISTING = targets.seeds("listing")[0]


@pytest.mark.parametrize("bit", [0, 5])
def test_a_flipped_bit_never_makes_a_listing_shorter(bit: int) -> None:
    """Neither an entry nor the word that more follows can get lost unnoticed: that would hide a rollup."""
    for place in range(len(LISTING)):
        flipped = bytearray(LISTING)
        flipped[place] ^= 1 << bit
        try:
            page = parse_page(bytes(flipped))
        except ValueError:
            continue
        assert len(page.objects) == 2
        assert page.truncated


def test_any_bytes_for_a_delete_answer_are_an_unreadable_answer() -> None:
    """Text that is no UTF-8, encodings nobody knows: refused, so that the call is tried again; never another error."""
    for body in (
        b"<DeleteResult><Deleted><Key>\xff</Key></Deleted></DeleteResult>",
        b"<?xml version='1.0' encoding='UUF-8'?><DeleteResult><Error><Code>x</Code></Error></DeleteResult>",
        b"<?xml version='1.0' encoding='shift_jis'?><DeleteResult></DeleteResult>",
        b"",
        b"\0",
    ):
        with pytest.raises(UnreadableAnswer):
            parse_delete_answer(body)
        assert parse_fields(body) == {} or body.startswith(b"<DeleteResult")


@pytest.mark.parametrize("entity", ["&a;", "&x;"], ids=["billion laughs", "external entity"])
def test_xml_bombs_and_external_entities_are_refused(entity: str, tmp_path: Path) -> None:
    """A server that answers with them gets no memory and no file."""
    secret = tmp_path / "secret"
    secret.write_text("SECRET")
    laughs = "".join(
        f'<!ENTITY {name} "{f"&{following};" * 40}">' for name, following in zip("abcde", "bcdef", strict=True)
    )
    bomb = (
        f'<!DOCTYPE Error [<!ENTITY x SYSTEM "file://{secret}">{laughs}<!ENTITY f "{"ha" * 500}">]>'
        f"<Error><Code>{entity}</Code></Error>"
    ).encode()
    started = time.thread_time()
    fields = parse_fields(bomb)
    assert time.thread_time() - started < 2
    assert "SECRET" not in str(fields)
    assert sum(map(len, fields.values())) < 10_000_000


@pytest.mark.parametrize(
    "line",
    [
        '"' * 60_000,
        "a " * 30_000,
        'a b [c] d e f g h "' + '" 200 - ' * 8_000,
        'o b [06/Feb/2019:00:00:38 +0000] 1 r i O k "GET" 200 - 1 1 1 1 "-" "' + '" - h SigV4 ' * 5_000,
        'o b [06/Feb/2019:00:00:38 +0000] 1 r i O k "GET" 200 - 1 1 1 1 - "' + 'x" ' * 20_000,
        'o b [06/Feb/2019:00:00:38 +0000] 1 r i O k "' + '" - ' * 15_000,
    ],
)
def test_no_line_takes_long_to_parse(line: str) -> None:
    """60 KB made to send the record parser in circles (a client chooses its user agent) take less than 2 seconds."""
    started = time.thread_time()
    parse_record(decode_line(line.encode()))
    assert time.thread_time() - started < 2


@pytest.mark.parametrize(
    "body",
    [
        "[" * 100_000,
        '{"a":' * 5_000,
        "1" * 10_000,
        '{"v":1,"task":"roll","max_members":' + "9" * 5_000 + "}",
        '{"v":1e999}',
        '{"v":1,"task":"delete"}',
        "nul",
        "\ud800",
        '{"v":1,"task":"roll","bucket":"../x","target_prefix":"","day":"2022-07-01","cutoff":"2022-07-02"}',
        '{"v":1,"task":"roll","bucket":"bucket","target_prefix":"","day":"2022-W26-5","cutoff":"2022-07-02"}',
        '{"v":1,"task":"roll","bucket":"bucket","target_prefix":"","day":"2022-07-03","cutoff":"2022-07-02"}',
        '{"v":1,"task":"scan","bucket":"bucket","prefix":"","cutoff":"2022-07-02","role":"arn:aws:iam::1:user/x"}',
        '{"v":1,"task":"scan","bucket":"bucket","prefix":"","cutoff":"2022-07-02","delete":true}',
    ],
)
def test_hostile_messages_are_malformed_tasks(body: str) -> None:
    """Nested, huge, of another kind, naming what cannot be: one error, never another exception."""
    with pytest.raises(MalformedTask):
        decode_task(body)
