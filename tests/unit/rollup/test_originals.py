"""The table of originals gives back what was put in, in order, and refuses the rest."""

from __future__ import annotations

import hashlib
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_log_roller.errors import StorageError
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rollup.originals import Originals

GROUP = DayGroup("bucket1", "example.com/", date(2022, 7, 1))
MD5 = hashlib.md5(b"", usedforsecurity=False).hexdigest()
SUFFIX = "2022-07-01-05-15-43-42117B9A70B0F1BA"

Listed = tuple[str, str, int, int]


def suffix(second: int, unique: int) -> str:
    return f"2022-07-01-{second // 3600:02}-{second // 60 % 60:02}-{second % 60:02}-{unique:016X}"


SUFFIXES = st.builds(suffix, st.integers(0, 86399), st.integers(0, 2**64 - 1))
ETAGS = st.binary(min_size=16, max_size=16).map(bytes.hex) | st.sampled_from(["0" * 32, f"{MD5}-12", MD5.upper(), "x"])
LISTED = st.lists(
    st.tuples(SUFFIXES, ETAGS, st.integers(0, 2**47 - 1), st.integers(0, 2**32 - 1)),
    unique_by=lambda listed: listed[0],
).map(sorted)


def fill(listed: list[Listed], group: DayGroup = GROUP) -> Originals:
    originals = Originals(group)
    for entry in listed:
        originals.append(*entry)
    return originals


def listed_again(originals: Originals) -> list[Listed]:
    return [(original.suffix, original.etag, original.size, original.mtime) for original in originals]


@given(LISTED)
def test_originals_come_back_as_they_were_listed(listed: list[Listed]) -> None:
    """Names, ETags, sizes and times, and the MD5 exactly where the ETag has its form."""
    originals = fill(listed)
    assert listed_again(originals) == listed
    assert len(originals) == len(listed)
    assert originals.total_bytes == sum(size for _, _, size, _ in listed)
    for original in originals:
        is_md5 = len(original.etag) == 32 and original.etag == original.etag.lower()
        assert original.md5 == (bytes.fromhex(original.etag) if is_md5 else None)


@given(LISTED, st.data())
def test_a_selection_is_the_table_of_the_chosen(listed: list[Listed], data: st.DataObject) -> None:
    """`select` and `head` keep order, ETags, totals and digest."""
    mask = data.draw(st.lists(st.integers(0, 1), min_size=len(listed), max_size=len(listed)))
    chosen = fill(listed).select(bytearray(mask))
    expected = [entry for entry, keep in zip(listed, mask, strict=True) if keep]
    assert listed_again(chosen) == expected
    assert chosen.total_bytes == fill(expected).total_bytes
    assert chosen.content_digest() == fill(expected).content_digest()
    count = data.draw(st.integers(0, len(listed) + 2))
    assert listed_again(fill(listed).head(count)) == listed[:count]


@given(LISTED)
def test_the_content_digest_is_what_the_design_says(listed: list[Listed]) -> None:
    """SHA-256 over key, ETag and size of each in key order, for any target prefix."""
    group = DayGroup("bucket1", "Zoë's/logs-", GROUP.day)
    plain = "".join(f"{group.target_prefix}{name}\0{etag}\0{size}\n" for name, etag, size, _ in listed)
    assert fill(listed, group).content_digest() == hashlib.sha256(plain.encode()).digest()


def test_a_long_table_has_the_content_digest_of_its_whole_text() -> None:
    """Digesting in batches leaves nothing out."""
    listed = [(suffix(row // 10, row), MD5, row, 0) for row in range(1500)]
    plain = "".join(f"example.com/{name}\0{etag}\0{size}\n" for name, etag, size, _ in listed)
    assert fill(listed).content_digest() == hashlib.sha256(plain.encode()).digest()


@pytest.mark.parametrize(
    "bad",
    [
        (SUFFIX, MD5, 1, 1),
        ("2022-07-01-05-15-42-FFFFFFFFFFFFFFFF", MD5, 1, 1),
        (suffix(80000, 1), "", 1, 1),
        (suffix(80000, 1), "ä", 1, 1),
        (suffix(80000, 1), "x" * 256, 1, 1),
        (suffix(80000, 1), MD5, -1, 1),
        (suffix(80000, 1), f"{MD5}-2", 2**47, 1),
        (suffix(80000, 1), MD5, 1, -1),
        (suffix(80000, 1), MD5, 1, 2**32),
    ],
    ids=["twice", "order", "no etag", "etag", "long etag", "negative", "giant", "before 1970", "after 2106"],
)
def test_what_cannot_be_is_refused_and_leaves_no_trace(bad: Listed) -> None:
    """An error that names the place, and the table is as before."""
    originals = fill([(SUFFIX, f"{MD5}-2", 1, 1)])
    with pytest.raises(StorageError, match=r"2022-"):
        originals.append(*bad)
    assert listed_again(originals) == [(SUFFIX, f"{MD5}-2", 1, 1)]
    assert originals.total_bytes == 1


@pytest.mark.parametrize(
    "other",
    [
        "2022-07-02-05-15-43-42117B9A70B0F1BA",
        "2022-07-01-24-00-00-42117B9A70B0F1BA",
        "2022-07-01-06-15-43-42117b9a70b0f1ba",
        f"{SUFFIX}0",
        f"2022-07-01-{SUFFIX}",
        "",
    ],
    ids=["day", "time", "case", "length", "nested", "empty"],
)
def test_what_is_no_log_of_the_day_is_left_out(other: str) -> None:
    """It is none of the day group's, and the table is as before."""
    originals = fill([(SUFFIX, MD5, 1, 1)])
    assert originals.append(other, MD5, 1, 1) is False
    assert listed_again(originals) == [(SUFFIX, MD5, 1, 1)]
    assert originals.total_bytes == 1


def test_a_mask_of_another_length_is_refused() -> None:
    """Never select by a mask made for another table."""
    with pytest.raises(ValueError, match="mask"):
        fill([(SUFFIX, MD5, 1, 1)]).select(b"\1\1")


def test_a_selection_stays_in_order_when_it_grows() -> None:
    """What was left out cannot come back behind its place."""
    chosen = fill([(SUFFIX, MD5, 1, 1)]).select(b"\0")
    with pytest.raises(StorageError, match="comes behind"):
        chosen.append(SUFFIX, MD5, 1, 1)
