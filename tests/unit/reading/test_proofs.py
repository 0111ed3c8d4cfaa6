"""What is said of a rollup, and of a file that has no index: which members are damaged, and what its logs are to it."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from hashlib import sha256
from random import Random

import pytest
from tests.support.forging import flipped, one_block, reseal
from tests.support.logs import DAY, PREFIX, log_key
from tests.support.memory_day import put_logs, roll
from tests.support.memory_store import MemoryStore
from tests.support.packing import cut, decode_index, pack_day
from tests.support.tarballs import a_tarball

from s3_log_roller.log_keys import DayGroup
from s3_log_roller.reading import contents
from s3_log_roller.reading.groups import Group
from s3_log_roller.reading.proofs import Proof, find_rollups, prove
from s3_log_roller.reading.selection import Selection
from s3_log_roller.rollup import inflate_block, read_footer
from s3_log_roller.rollup.members import CHUNK_MEMBERS

GROUP = DayGroup("bucket", PREFIX, DAY)


def proof_of(store: MemoryStore, key: str, group: DayGroup | None = GROUP, *, with_sha256: bool = False) -> Proof:
    """What becomes of the file with that key, one of the group's or named by itself."""
    named = Group("bucket", "", group, Selection(), rollups=store.list_page(key).objects)
    (proof,) = prove(lambda bucket: store, tuple(find_rollups([named])), with_sha256=with_sha256)
    return proof


def proof_of_file(content: bytes) -> Proof:
    """What becomes of a file beside which no logs lie."""
    store = MemoryStore()
    store.put("x.tgz", content)
    return proof_of(store, "x.tgz")


def names(numbers: Sequence[int]) -> tuple[str, ...]:
    return tuple(log_key(number)[len(PREFIX) :] for number in numbers)


def test_a_member_of_a_logs_size_with_other_bytes_is_damaged() -> None:
    """It is named; the others, which are the same, are counted."""
    store = MemoryStore()
    bodies = put_logs(store, range(3))
    bodies[log_key(1)] = bytes(len(bodies[log_key(1)]))
    store.put("all.tgz", a_tarball((key[len(PREFIX) :], body) for key, body in bodies.items()))
    proof = proof_of(store, "all")
    assert (proof.verdict, proof.members, proof.originals) == ("damaged", 3, 2)
    assert proof.damaged == names([1])


def test_a_rollup_of_another_name_is_held_against_the_logs_of_its_day() -> None:
    """Its index tells which those are."""
    store = MemoryStore()
    bodies = put_logs(store, range(3))
    store.put("copies/july.tgz", store.objects[roll(store, delete=False)].body)
    assert proof_of(store, "copies/", None) == Proof("s3://bucket/copies/july.tgz", "ok", 3, 3)
    store.put(log_key(1), bytes(len(bodies[log_key(1)])))
    proof = proof_of(store, "copies/", None)
    assert (proof.verdict, proof.originals, proof.damaged) == ("damaged", 2, names([1]))


def test_a_tarball_without_an_index_is_read_to_its_end() -> None:
    """However large its members are; nothing is wrong with it, so no reason is given."""
    bodies = {"a": bytes(3 << 20), "b": b"b"}
    assert proof_of_file(a_tarball(bodies.items())) == Proof("s3://bucket/x.tgz", "no-index", 2)


def test_a_tarball_that_is_cut_off_is_damaged() -> None:
    """With the last member that came, if any did, and how many were whole."""
    bodies = [("a", b"a" * 10), ("b", Random(1).randbytes(300_000)), ("c", b"c")]
    whole = a_tarball(bodies)
    proof = proof_of_file(whole[: len(whole) // 2])
    assert (proof.verdict, proof.members, proof.damaged) == ("damaged", 1, ())
    assert proof.reason.endswith("; what came last was 'b'")
    at_once = proof_of_file(gzip.compress(b"a" * 700))
    assert (at_once.verdict, at_once.members) == ("damaged", 0)
    assert "what came last" not in at_once.reason


@pytest.mark.parametrize("read_bytes", [1 << 20, 1000])
def test_the_sha256_is_that_of_the_whole_file(read_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one that takes a request and of one that takes several."""
    monkeypatch.setattr(contents, "READ_BYTES", read_bytes)
    _, content = pack_day({log_key(number): Random(number).randbytes(200_000) for number in range(2)})
    store = MemoryStore()
    store.put("x.tgz", content)
    assert proof_of(store, "x.tgz", with_sha256=True).sha256 == sha256(content).hexdigest()
    assert not proof_of(store, "x.tgz").sha256


@pytest.mark.parametrize("wrong", [[0], [1], [0, 2], [2]])
def test_members_with_other_bytes_than_the_index_says_are_named(wrong: list[int]) -> None:
    """And only those, though they share a block."""
    bodies = {log_key(number): b"right" for number in range(3)}
    _, content = pack_day(bodies)
    (block,) = decode_index(content)[1].blocks
    tar = bytearray(inflate_block(cut(content, block), block))
    for number in wrong:
        at = tar.index(b"right", 1024 * number)
        tar[at : at + 5] = b"wrong"
    data, forged = one_block(bytes(tar), block.suffix)
    proof = proof_of_file(reseal(content, data=data, blocks=[forged]))
    assert (proof.verdict, proof.members, proof.damaged) == ("damaged", 3, names(wrong))
    assert "other content" in proof.reason
    assert "x.tgz" not in proof.reason  # whoever tells it names the file


def test_damage_behind_a_member_of_several_blocks_is_not_its_own() -> None:
    """Blocks in which no member begins are read with the one before them."""
    bodies = {log_key(0): b"0", log_key(1): Random(1).randbytes(2_500_000), log_key(2): Random(2).randbytes(900_000)}
    _, content = pack_day(bodies)
    footer, directory, _ = decode_index(content)
    assert [block.first_header == 0 for block in directory.blocks][-1]
    data = flipped(content[: footer.data_bytes], 0.95)
    proof = proof_of_file(data + content[footer.data_bytes :])
    assert (proof.verdict, proof.members, proof.damaged) == ("damaged", 3, names([2]))


@pytest.mark.parametrize(("members", "part"), [(90, 0), (CHUNK_MEMBERS + 9, 1)])
def test_where_the_list_of_members_is_damaged_none_is_named(members: int, part: int) -> None:
    """Nobody knows what they should be, from there on."""
    _, content = pack_day({log_key(number): b"0" for number in range(members)})
    chunk = decode_index(content)[1].chunks[part]
    at = chunk.offset + chunk.length // 2
    proof = proof_of_file(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    assert (proof.verdict, proof.damaged) == ("damaged", ())
    assert proof.reason


def test_a_rollup_that_lost_its_index_is_damaged_for_that_alone() -> None:
    """What is left is read; the reason ends there if all of it is right."""
    key, content = pack_day({log_key(number): b"0" for number in range(3)})
    store = MemoryStore()
    store.put(key, content[: read_footer(content, len(content)).start])
    proof = proof_of(store, key)
    assert (proof.verdict, proof.members) == ("damaged", 3)
    assert proof.reason.endswith("it is cut off, or another program made it")
