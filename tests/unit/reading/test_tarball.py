"""Other programs' tarballs are read through in bounded memory, and whatever is wrong with one is said."""

from __future__ import annotations

import gzip
import io
import tarfile
import tracemalloc
from collections.abc import Callable, Iterator
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.tarballs import tar_of

from s3_log_roller.errors import DamagedRollup
from s3_log_roller.reading.tarball import MAX_NAME_BYTES, MAX_PAX_BYTES, Member, gunzip, read_tar

MIB = 1 << 20


def cut_up(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def contents(chunks: Iterator[bytes], odd: Callable[[str, str], None] = lambda name, what: None) -> dict[Member, bytes]:
    found: dict[Member, bytes] = {}
    for member, data, _ in read_tar(chunks, odd, whole=True):
        found[member] = found.get(member, b"") + data
    return found


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0/"), min_size=1, max_size=150).filter(
    lambda name: name.strip("./ ") != ""
)


@settings(max_examples=60)
@given(
    members=st.lists(st.tuples(NAMES, st.binary(max_size=2000)), min_size=1, max_size=6, unique_by=lambda one: one[0]),
    tar_format=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    piece=st.sampled_from([1, 511, 512, 700, 100_000]),
    gzip_members=st.integers(1, 3),
)
def test_what_tarfile_writes_comes_out(
    members: list[tuple[str, bytes]], tar_format: int, piece: int, gzip_members: int
) -> None:
    """Names however long, bodies and times; however the file is cut, and of however many gzip members it is made."""
    tar = tar_of(members, tar_format)
    part = -(-len(tar) // gzip_members)
    packed = b"".join(gzip.compress(chunk) for chunk in cut_up(tar, part))
    found = contents(gunzip(cut_up(packed, piece)))
    assert [(member.name, member.mtime, body) for member, body in found.items()] == [
        (name, 1_656_652_543, body) for name, body in members
    ]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_do_not_come_out(kind: bytes) -> None:
    """They are told of, and the member behind them comes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("evil")
        info.type, info.linkname = kind, "/etc/passwd"
        tar.addfile(info)
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        info = tarfile.TarInfo("folder/good")
        info.size = 4
        tar.addfile(info, io.BytesIO(b"good"))
    odd: list[str] = []
    found = contents(iter([out.getvalue()]), lambda name, what: odd.append(name))
    assert [(member.name, body) for member, body in found.items()] == [("folder/good", b"good")]
    assert odd == ["evil"]


@pytest.mark.parametrize("cut", [1, 10, 300, 700, 1500, 2500, -1, -9])
def test_a_truncated_file_is_said_to_be_cut_off(cut: int) -> None:
    """Wherever the cut is, in gzip's header, its data or its trailer."""
    packed = gzip.compress(tar_of([("a", gzip.compress(bytes(3000), 0)), ("b", b"x" * 600)]), 0)
    with pytest.raises(DamagedRollup, match=r"cut off|corrupt"):
        contents(gunzip(iter([packed[:cut]])))


def test_a_tar_that_ends_inside_a_member_is_cut_off() -> None:
    """Even if its gzip stream is whole: the member is named."""
    tar = tar_of([("first", b"1"), ("second", b"2" * 3000)])
    with pytest.raises(DamagedRollup, match="second"):
        contents(iter([tar[:3000]]))


@pytest.mark.parametrize(
    "data",
    [b"", b"PK\3\4 no gzip at all", gzip.compress(b"no tar at all, but some text" * 50), gzip.compress(b"")],
    ids=["empty", "zip", "text", "nothing"],
)
def test_what_is_no_tarball_is_said_to_be_none(data: bytes) -> None:
    """An empty file, another format, other content."""
    with pytest.raises(DamagedRollup):
        contents(gunzip(iter([data])))


def damaged_header(tar: bytes, at: int, value: bytes) -> bytes:
    """A tar whose first header says something else, its checksum made right."""
    header = bytearray(tar[:512])
    header[at : at + len(value)] = value
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + tar[512:]


def test_a_size_that_lies_is_found_out() -> None:
    """A member that claims 8 GB ends where the file does; one that claims less than nothing is refused."""
    tar = tar_of([("liar", b"x" * 600)])
    with pytest.raises(DamagedRollup, match="inside 'liar'"):
        contents(iter([damaged_header(tar, 124, b"77777777777\0")]))
    with pytest.raises(DamagedRollup):
        contents(iter([damaged_header(tar, 124, b"\xff" * 12)]))


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK])
def test_a_bomb_in_a_header_does_not_go_off(kind: bytes) -> None:
    """A name of a gigabyte, which packs to a megabyte, is refused before it is read."""
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, 1 << 30
    header = info.tobuf(tarfile.USTAR_FORMAT)

    def chunks() -> Iterator[bytes]:
        yield header
        for _ in range(1 << 10):
            yield bytes(MIB)

    tracemalloc.start()
    with pytest.raises(DamagedRollup, match="header of 1073741824 bytes"):
        contents(chunks())
    assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    tracemalloc.stop()
    assert MAX_NAME_BYTES < MIB


@pytest.mark.heavy
def test_a_gigabyte_bomb_streams_in_bounded_memory() -> None:
    """A member of 256 MiB of zeros in a small file is read through in a few megabytes."""
    info = tarfile.TarInfo("zeros")
    info.size = 256 * MIB
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1) as file:
        file.write(info.tobuf())
        for _ in range(256):
            file.write(bytes(MIB))
        file.write(bytes(1024))
    tracemalloc.start()
    size = sum(len(data) for _, data, _ in read_tar(gunzip(iter([packed.getvalue()])), lambda n, w: None, whole=True))
    assert size == 256 * MIB
    assert tracemalloc.get_traced_memory()[1] < 24 * MIB
    tracemalloc.stop()


def pax_tar(headers: dict[str, str], *, size: int, body: bytes) -> bytes:
    """A tar of one member, whose own header says that size, with a pax header in front."""
    info = tarfile.TarInfo("log")
    info.size, info.pax_headers = size, headers
    return info.tobuf(tarfile.PAX_FORMAT) + body.ljust(512, b"\0") + bytes(1024)


def test_a_size_in_a_pax_header_counts_and_no_other_number_does() -> None:
    """Of huge files the size stands there alone; other records may be numbers, too."""
    tar = pax_tar({"comment": "7", "size": "3"}, size=0, body=b"abc")
    assert list(contents(iter([tar])).values()) == [b"abc"]
    tar = pax_tar({"comment": "7"}, size=3, body=b"abc")
    assert list(contents(iter([tar])).values()) == [b"abc"]


def test_a_sparse_file_in_a_pax_header_is_refused() -> None:
    """What is stored of it is not its content."""
    with pytest.raises(DamagedRollup, match="sparse file"):
        contents(iter([pax_tar({"GNU.sparse.major": "1"}, size=3, body=b"abc")]))


@pytest.mark.parametrize("at", [0, 50, 99, 107, 134, 146, 148, 153, 257], ids=lambda at: f"byte {at}")
def test_a_header_with_another_byte_than_was_written_is_damage(at: int) -> None:
    """It has a checksum, and this program's own headers go a quick way that looks at it, too."""
    header, rest = bytearray(tar_of([("log", b"abc")])[:512]), tar_of([("log", b"abc")])[512:]
    header[at] ^= 1
    with pytest.raises(DamagedRollup):
        contents(iter([bytes(header) + rest]))


@pytest.mark.parametrize("at", [124, 136], ids=["size", "time"])
def test_a_number_below_nothing_is_not_believed(at: int) -> None:
    """However right the checksum is. Of a time there may be one before 1970."""
    tar = damaged_header(tar_of([("log", b"abc")]), at, b"-0000000001")
    if at == 124:
        with pytest.raises(DamagedRollup, match="'log' claims -1 bytes"):
            contents(iter([tar]))
    else:
        assert list(contents(iter([tar]))) == [Member("log", 3, -1)]


@pytest.mark.parametrize("tar_format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("length", [99, 100, 101, 511, 512, 513, 1024])
def test_long_names_are_each_a_members_own(tar_format: int, length: int) -> None:
    """They stand in blocks of their own in front of it; one behind the other, and behind a short one."""
    names = ["a" * length, "b" * length, "short", "c" * length]
    tar = tar_of([(name, name.encode()) for name in names], tar_format)
    for piece in (512, len(tar)):
        found = contents(cut_up(tar, piece))
        assert [(member.name, body) for member, body in found.items()] == [(name, name.encode()) for name in names]


def test_a_long_name_of_no_bytes_belongs_to_nobody() -> None:
    """The members behind it have their own."""
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 0
    tar = info.tobuf(tarfile.GNU_FORMAT) + tar_of([("log", b"abc"), ("other", b"de")])
    assert [member.name for member in contents(iter([tar]))][-1] == "other"


def test_what_stands_behind_the_end_is_not_read() -> None:
    """A block of zeros ends it, as for tar: there may be anything behind it."""
    tar = tar_of([("log", b"abc")])
    end = tar.index(bytes(1024), 512 + 512) + 512
    for behind in (b"x" * 2000, tar):
        assert list(contents(iter([tar[:end], behind])).values()) == [b"abc"]
        assert list(contents(iter([tar[:end] + behind])).values()) == [b"abc"]


def test_a_sparse_file_of_gnu_tar_is_refused() -> None:
    """What is stored of it is not its content."""
    info = tarfile.TarInfo("holes")
    info.type, info.size = tarfile.GNUTYPE_SPARSE, 3
    with pytest.raises(DamagedRollup, match="'holes' is a sparse file"):
        contents(iter([info.tobuf(tarfile.GNU_FORMAT) + b"abc".ljust(512, b"\0") + bytes(1024)]))


@pytest.mark.parametrize(
    ("kind", "limit"),
    [(tarfile.GNUTYPE_LONGNAME, MAX_NAME_BYTES), (tarfile.XHDTYPE, MAX_PAX_BYTES), (tarfile.XGLTYPE, MAX_PAX_BYTES)],
)
def test_headers_of_names_and_others_have_bounds_of_their_own(kind: bytes, limit: int) -> None:
    """A name is short; other records may be long."""
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, limit + 1
    with pytest.raises(DamagedRollup, match=f"header of {limit + 1} bytes, more than the {limit} this"):
        contents(iter([info.tobuf(tarfile.USTAR_FORMAT)]))


@pytest.mark.parametrize(
    "record", [b"x", b"8 size=3\n", b"7size=3\n", b"9 size 3\n", b"99 size=3\n", b"9 size=3 ", b"0 size=3\n"]
)
def test_a_pax_header_that_makes_no_sense_is_damage(record: bytes) -> None:
    """Whatever of a record is not as POSIX has it: its length, the blank, the equals sign, the end of its line."""
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, len(record)
    tar = info.tobuf(tarfile.USTAR_FORMAT) + record.ljust(512, b"\0") + tar_of([("log", b"abc")])
    with pytest.raises(DamagedRollup, match="pax header that makes no sense"):
        contents(iter([tar]))


@pytest.mark.parametrize("piece", [1, 100, 1 << 20])
def test_a_gzip_file_may_be_filled_up_with_zeros(piece: int) -> None:
    """Behind its end, and between members; what is something else there is not."""
    tar = tar_of([("log", b"abc")])
    halves = [gzip.compress(tar[:700]), gzip.compress(tar[700:])]
    for filling in (b"", bytes(1), bytes(10_000)):
        packed = filling.join([*halves, b""])
        assert b"".join(gunzip(cut_up(packed, piece))) == tar
    with pytest.raises(DamagedRollup):
        list(gunzip(cut_up(b"".join([*halves, b"nonsense"]), piece)))


def test_corrupt_gzip_data_is_damage() -> None:
    """However much of it was right."""
    packed = bytearray(gzip.compress(tar_of([("log", Random(1).randbytes(100_000))])))
    for at in (20, len(packed) // 2, len(packed) - 6):
        damaged = bytearray(packed)
        damaged[at] ^= 0xFF
        with pytest.raises(DamagedRollup):
            list(gunzip(cut_up(bytes(damaged), 1000)))


@pytest.mark.parametrize("size", [1, 512, 600, 1500])
def test_what_is_of_an_unknown_type_is_passed_over_with_its_content(size: int) -> None:
    """It is told of, and the member behind it comes."""
    info = tarfile.TarInfo("odd")
    info.type, info.size = b"Z", size
    body = b"y" * size + bytes(-size % 512)
    told: list[tuple[str, str]] = []
    tar = info.tobuf(tarfile.GNU_FORMAT) + body + tar_of([("log", b"abc")])
    found = contents(iter([tar]), lambda name, what: told.append((name, what)))
    assert [(member.name, content) for member, content in found.items()] == [("log", b"abc")]
    assert told == [("odd", "of the unknown type b'Z'")]


def test_a_member_ends_with_its_last_piece() -> None:
    """One without content has a single piece, and that is its last."""
    tar = tar_of([("empty", b""), ("log", b"abcdef"), ("none", b"")])
    pieces = [
        (member.name, data, last) for member, data, last in read_tar(cut_up(tar, 515), lambda n, w: None, whole=True)
    ]
    assert pieces[0] == ("empty", b"", True)
    assert pieces[-1] == ("none", b"", True)
    assert [last for _, _, last in pieces[1:-1]] == [False] * (len(pieces) - 3) + [True]
