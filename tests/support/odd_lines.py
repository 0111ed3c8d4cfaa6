"""Lines of access logs as they come and as nobody expects them, to hold quick ways of reading them to the exact one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from random import Random
from unittest.mock import patch

from tests.support.records import CHECKSUM, GUIDE, a_line

from s3_log_roller.demo.sample_logs import sample_log

LINES = [
    *(line.encode() for line in (*GUIDE, CHECKSUM)),
    *sample_log(Random(1), datetime(2022, 7, 1, 5, tzinfo=UTC), "example.com", 20).splitlines(),
    a_line(agent='Mozilla "5.0" (X; "Y")').encode(),
    a_line(agent='x" - fake= SigV4 FAKE AuthHeader fake.example.com TLSv9 - - nowhere').encode(),
    a_line(agent="=cmd()").encode(),
    a_line(agent="a, b").encode(),
    a_line(agent="").encode(),
    a_line(agent="-").encode(),
    a_line(agent="back\\slash").encode(),
    a_line(agent="caf\xe9").encode(),
    a_line(agent="caf\xe9").encode("latin-1"),
    a_line(referer="http://x/\x1b[31m").encode(),
    a_line(uri="-").encode(),
    a_line(behind=' new-1 "new 2" -').encode(),
    a_line().replace(" k ", " reports/My%2520File%2525.csv ").encode(),
    a_line().replace(" k ", " %2522%253A,%2522%253A%255C ").encode(),
    a_line().replace(" k ", " %252D ").encode(),
    a_line().replace(" k ", " %253Dsum() ").encode(),
    a_line().replace(" 113 ", " 0113 ").encode(),
    a_line().replace(" 200 ", " 099 ").encode(),
    a_line().replace("06/Feb/2019", "29/Feb/2019").encode(),
    a_line().replace("06/Feb/2019", "29/Feb/2020").encode(),
    a_line().replace("+0000", "-0730").encode(),
    a_line().replace(":38 ", ":60 ").encode(),
    a_line().replace(" host= ", " stray host= ").encode(),
    a_line().replace(" host= ", " +host= ").encode(),
    a_line().rpartition(" ")[0].encode(),
    a_line().rpartition(" - - ")[0].encode(),
    b"\xef\xbb\xbf" + a_line().encode(),
    a_line().encode() + b"\r",
    b"",
    b"\r",
    b"nonsense",
    b'-,"=',
]
_PIECES = [
    b" ",
    b'"',
    b"-",
    b",",
    b"\\",
    b"%22",
    b"+",
    b"=",
    b"@",
    b"\r",
    b"\t",
    b"\xff",
    b"[",
    b"]",
    b"0",
    b"\x00",
    b"- -",
]


def odd_lines(rng: Random, count: int) -> list[bytes]:
    """So many lines: some as they are, most with a few bytes changed, taken out, put in, or words swapped."""
    return [_changed(rng, rng.choice(LINES)) for _ in range(count)]


def _changed(rng: Random, line: bytes) -> bytes:
    for _ in range(rng.choice((0, 0, 1, 1, 2, 4))):
        at = rng.randrange(len(line) + 1)
        kind = rng.randrange(4)
        if kind == 0:
            line = line[:at] + rng.choice(_PIECES) + line[at:]
        elif kind == 1:
            line = line[:at] + line[at + rng.randrange(1, 4) :]
        elif kind == 2:
            line = line[:at] + rng.choice(_PIECES) + line[at + 1 :]
        else:
            words = line.split(b" ")
            one, other = rng.randrange(len(words)), rng.randrange(len(words))
            words[one], words[other] = words[other], words[one]
            line = b" ".join(words)
    return line.replace(b"\n", b"")


@contextmanager
def exact_way_only() -> Iterator[None]:
    """Every line goes through `parse_record` during the `with` block."""

    def nothing_is_strict(fields: int, names: tuple[str, ...], time_chars: int) -> re.Pattern[str]:
        return re.compile(rf"(?!)(){'()' * len(names)}|([^\n]*+)\n")

    with (
        patch("s3_log_roller.reading.formats.split_lines", lambda text, shape: iter(text.split("\n")[:-1])),
        patch("s3_log_roller.reading.terms.strict_lines", nothing_is_strict),
    ):
        yield
