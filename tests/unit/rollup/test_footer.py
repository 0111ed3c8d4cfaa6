"""Each number of a footer is held to the others, to the byte, before anything is read for it."""

from __future__ import annotations

import pytest

from s3_log_roller.errors import DamagedRollup
from s3_log_roller.rollup import Footer, read_footer
from s3_log_roller.rollup.footer import DIRECTORY, MEMBERS, Section

NUMBERS = {"members": 10, "original_bytes": 1_100_000, "tar_bytes": 1_200_000, "blocks": 2, "data_bytes": 1_318}
"""Of a footer that can be; 1,300 bytes are deflated."""


def sections_behind(data_bytes: int) -> tuple[Section, ...]:
    return Section(MEMBERS, 0, data_bytes, 200, 11), Section(DIRECTORY, 0, data_bytes + 200, 100, 12)


def footer_of(changed: dict[str, int], sections: tuple[Section, ...] = ()) -> Footer:
    numbers = NUMBERS | changed
    return Footer(
        numbers["members"],
        numbers["original_bytes"],
        numbers["tar_bytes"],
        numbers["blocks"],
        numbers["data_bytes"],
        b"d" * 32,
        sections or sections_behind(numbers["data_bytes"]),
    )


def read_back(changed: dict[str, int], sections: tuple[Section, ...] = (), longer: int = 0) -> None:
    """A footer with those numbers has to come out of a file's last bytes as it went in."""
    footer = footer_of(changed, sections)
    tail = footer.encode()
    assert read_footer(tail, footer.start + len(tail) + longer) == footer


@pytest.mark.parametrize(
    ("field", "least", "most"),
    [
        ("members", 1, (1_200_000 - 1_100_000 - 1024) // 512),
        ("original_bytes", 0, 1_200_000 - 1024 - 10 * 512),
        ("tar_bytes", 1_100_000 + 1024 + 10 * 512, 1_300 * 1032),
        ("blocks", 2, 4),
        ("data_bytes", 18 + 1_200_000 // 1032 + 1, 1 << 40),
    ],
)
def test_numbers_that_cannot_be_are_damage(field: str, least: int, most: int) -> None:
    """A small file cannot ask for much memory or time."""
    read_back({field: least})
    read_back({field: most})
    beyond = {least - 1} if field == "data_bytes" else {least - 1, most + 1} - {-1}
    for number in beyond:
        with pytest.raises(DamagedRollup, match=r"contradicts itself|the index claims 5 blocks for 1200000 bytes"):
            read_back({field: number})


def test_a_tar_longer_than_its_blocks_is_damage() -> None:
    """They hold a MiB each, and the last the end of the archive, too."""
    most = 2 * (1 << 20) + 1024
    read_back({"tar_bytes": most, "data_bytes": 5_000})
    with pytest.raises(DamagedRollup, match="contradicts itself"):
        read_back({"tar_bytes": most + 1, "data_bytes": 5_000})


def test_a_rollup_without_blocks_is_damage() -> None:
    """However little there is in it."""
    with pytest.raises(DamagedRollup, match="contradicts itself"):
        read_back({"members": 0, "original_bytes": 0, "tar_bytes": 1024, "blocks": 1})
    with pytest.raises(DamagedRollup, match="contradicts itself"):
        read_back({"members": 1, "original_bytes": 0, "tar_bytes": 1536, "blocks": 0})
    read_back({"members": 1, "original_bytes": 0, "tar_bytes": 1536, "blocks": 1})


@pytest.mark.parametrize("gap", [-1, 1])
def test_sections_that_do_not_follow_each_other_are_damage(gap: int) -> None:
    """Nor the last of them the footer: nothing may hide between them."""
    members, directory = sections_behind(1_318)
    for sections in (
        (members._replace(offset=members.offset + gap), directory),
        (members, directory._replace(offset=directory.offset + gap)),
        (directory, members),
    ):
        with pytest.raises(DamagedRollup, match="do not follow each other"):
            read_back({}, sections)
    length = 1_618 + len(footer_of({}).encode())
    with pytest.raises(DamagedRollup, match=f"the file has {length + gap} bytes, its footer says {length}"):
        read_back({}, longer=gap)
