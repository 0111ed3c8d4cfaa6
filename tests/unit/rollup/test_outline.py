"""A rollup's metadata says what cannot be in it, and never that of a member."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.logs import DAY, PREFIX

from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rollup.originals import Originals
from s3_log_roller.rollup.outline import FIRST_MEMBER, LAST_MEMBER, MAX_NAMED, MEMBERS, NAMES, Outline, decode_outline

GROUP = DayGroup("bucket", PREFIX, DAY)
ETAG = "0" * 32


def originals_of(numbers: list[int]) -> Originals:
    """Logs with those numbers: the second of the day above the unique string's 64 bits."""
    table = Originals(GROUP)
    for number in sorted(numbers):
        second, unique = number >> 64, number & (1 << 64) - 1
        clock = f"{second // 3600:02}-{second // 60 % 60:02}-{second % 60:02}"
        table.append(f"{DAY}-{clock}-{unique:016X}", ETAG, 1, 0)
    return table


def random_logs(count: int, rng: Random) -> list[int]:
    return list({rng.randrange(86_400) << 64 | rng.getrandbits(64) for _ in range(count)})


def through_s3(outline: Outline) -> Outline:
    decoded = decode_outline(outline.encode(), GROUP)
    assert decoded is not None
    return decoded


NUMBERS = st.lists(st.integers(0, (86_400 << 64) - 1), min_size=1, max_size=60, unique=True)


@given(NUMBERS, st.binary(min_size=0, max_size=32))
def test_every_member_may_be_in_it(numbers: list[int], digest: bytes) -> None:
    """Whatever the unique strings are, also after the way through S3's headers."""
    members = originals_of(numbers)
    outline = Outline.of(members, digest)
    assert through_s3(outline) == outline
    assert all(outline.may_hold(original) for original in members)


@pytest.mark.parametrize(("members", "least"), [(1, 1000), (50, 980), (500, 980), (2000, 700), (8192, 1)])
def test_of_other_logs_most_are_certain_not_to_be_in_it(members: int, least: int) -> None:
    """So many of 1,000 that lie between the first and the last member, by the number of members."""
    rng = Random(members)
    inside = [0, *random_logs(members - 2, rng), (86_400 << 64) - 1] if members > 1 else random_logs(1, rng)
    outline = through_s3(Outline.of(originals_of(inside)))
    others = originals_of(random_logs(1000, rng))
    assert sum(not outline.may_hold(original) for original in others) >= least


def test_with_many_members_only_the_range_tells() -> None:
    """A filter for so many would hold hardly anything back: it is left out."""
    numbers = [second << 64 for second in range(100, 100 + MAX_NAMED + 1)]
    outline = through_s3(Outline.of(originals_of(numbers)))
    assert not outline.names
    below, inside, above = originals_of([99 << 64, 150 << 64 | 7, 86_000 << 64])
    assert [outline.may_hold(one) for one in (below, inside, above)] == [False, True, False]


@pytest.mark.parametrize("count", [1, 500, MAX_NAMED, MAX_NAMED + 1])
def test_metadata_fits_the_2_kb_that_s3_allows(count: int) -> None:
    """All names and values together, in ASCII (API_PutObject, "System and user-defined metadata")."""
    metadata = Outline.of(originals_of(random_logs(count, Random(1))), bytes(32)).encode()
    assert sum(len(name) + len(value) for name, value in metadata.items()) <= 2048
    assert all((name + value).isascii() for name, value in metadata.items())


def test_the_metadata_of_today_is_read_for_ever() -> None:
    """It stays with the rollups: read otherwise, it would deny members, and they would be packed once more."""
    numbers = [1 << 64 | 0x42117B9A70B0F1BA, 2 << 64 | 0x66A49E4B82CEA312, 86_399 << 64 | 0xFFFFFFFFFFFFFFFF]
    assert Outline.of(originals_of(numbers), bytes(range(32))).encode() == {
        "rollup-first-member": "2022-07-01-00-00-01-42117B9A70B0F1BA",
        "rollup-last-member": "2022-07-01-23-59-59-FFFFFFFFFFFFFFFF",
        "rollup-members": "3",
        "rollup-names": "QJABCEYQ",
        "rollup-content-sha256": bytes(range(32)).hex(),
    }


WHOLE = Outline.of(originals_of([5 << 64, 9 << 64])).encode()


@pytest.mark.parametrize(
    "change",
    [
        {FIRST_MEMBER: ""},
        {FIRST_MEMBER: "2022-07-02-00-00-00-0000000000000000"},
        {LAST_MEMBER: "2022-07-01-25-00-00-0000000000000000"},
        {FIRST_MEMBER: WHOLE[LAST_MEMBER], LAST_MEMBER: WHOLE[FIRST_MEMBER]},
        {MEMBERS: "0"},
        {MEMBERS: "3"},
        {MEMBERS: "9" * 400},
        {MEMBERS: "9000"},
        {NAMES: "AAAA"},
        {NAMES: "?"},
        {NAMES: WHOLE[NAMES] + "?"},
        {NAMES: ""},
        {"rollup-content-sha256": "no"},
    ],
)
def test_metadata_that_is_not_whole_tells_nothing(change: dict[str, str]) -> None:
    """Whoever wrote it: then everything may be in that rollup."""
    assert decode_outline(WHOLE, GROUP) is not None
    assert decode_outline({**WHOLE, **change}, GROUP) is None
    assert decode_outline({}, GROUP) is None
