"""Proves rollups: every member against the index, and against the originals where they still exist.

Proving is `verify.verify`, what rolling up does before it deletes. Here is what a user wants to know beyond that: which
members are damaged, and what can be said of tarballs without an index.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from hashlib import md5, sha256
from typing import Final, Literal

from s3_log_roller.errors import DamagedRollup, NewerFormat, RollerError
from s3_log_roller.local_files import LOCAL
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.reading.asking import MOST_GROUPS, ask_for_originals
from s3_log_roller.reading.contents import Tails, whole_if_small
from s3_log_roller.reading.groups import Group, Stores, place_of
from s3_log_roller.reading.overlaps import Packed
from s3_log_roller.reading.packed import NO_INDEX_TO_READ, read_through
from s3_log_roller.reading.shares import Share, Shares
from s3_log_roller.reading.tarball import Member, read_tar
from s3_log_roller.rollup import Block, Originals, inflate_block
from s3_log_roller.rollup.footer import LostIndex
from s3_log_roller.rollup.matching import match
from s3_log_roller.rollup.stored import Index, PackedFile, extent, read_index
from s3_log_roller.rollup.verify import verify_index
from s3_log_roller.store import ByteRange, ReadStore, list_objects, split_range

RANGE_BYTES: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class Proof:
    """What became of a rollup."""

    where: str
    verdict: Literal["ok", "no-index", "changed", "damaged", "unreadable"]
    members: int = 0
    originals: int = 0
    """Originals that are still there and are the same."""
    reason: str = ""
    damaged: tuple[str, ...] = ()
    """The names of the damaged members."""
    sha256: str = ""
    """The SHA-256 of the rollup's bytes, if it was asked for. Whoever knows another one makes the verdict `changed`."""


def find_rollups(groups: Iterable[Group]) -> Iterator[Share]:
    """A share of work for every rollup of the groups."""
    for group in groups:
        for rollup in group.rollups:
            share = Share(
                group.bucket, group.root, group.day_group, group.selection, (Packed(rollup),), elsewhere=group.elsewhere
            )
            yield replace(share, may_have_loose=group.has_loose or group.loose_unseen)


def prove(stores: Stores, shares: Shares, *, with_sha256: bool = False) -> Iterator[Proof]:
    """Read the shares' rollups whole and prove all of them; small ones are fetched many at once.

    For the SHA-256 those that are not small are read once more.
    """
    rollups = [(share, packed.listed) for share in shares for packed in share.packed]
    with closing(Tails(stores, [(share.bucket, listed) for share, listed in rollups], whole_if_small)) as files:
        for first in range(0, len(rollups), MOST_GROUPS):
            few = rollups[first : first + MOST_GROUPS]
            asked = ask_for_originals(stores, (share.group for share, _ in few if share.group and share.may_have_loose))
            for share, listed in few:
                where = place_of(share.bucket, listed)
                try:
                    file = files.take()
                    proof = _prove(file, asked(share.bucket), share, where)
                    yield replace(proof, sha256=_sha256(file)) if with_sha256 else proof
                except DamagedRollup as error:
                    reason = error.__cause__ if isinstance(error.__cause__, DamagedRollup) else error
                    yield Proof(where, "damaged", reason=str(reason))
                except RollerError as error:
                    yield Proof(where, "unreadable", reason=str(error))


def _prove(file: PackedFile, store: ReadStore, share: Share, where: str) -> Proof:
    """Prove a rollup of a share, against the originals in the store of its logs."""
    group = share.group
    try:
        index = read_index(file)
    except LostIndex as error:
        read = _prove_through(file, _list_originals(store, group, share), where)
        return replace(read, verdict="damaged", reason=f"{error}{read.reason and '; '}{read.reason}")
    except NO_INDEX_TO_READ as error:
        read = _prove_through(file, _list_originals(store, group, share), where)
        return replace(read, reason=str(error)) if isinstance(error, NewerFormat) and not read.reason else read
    group = group or DayGroup(store.bucket, index.directory.target_prefix, index.directory.day)
    originals = _list_originals(store, group, share)
    held = bytearray(len(originals))
    not_md5 = bytearray(len(originals))
    for row, _, member in match(originals, index.members(), lambda member: member.suffix):
        held[row] = 1
        not_md5[row] = member.etag is not None
    md5s = _read_md5s(store, originals.select(not_md5))
    try:
        verified = verify_index(index, originals, md5s)
    except DamagedRollup as error:
        names = tuple(_find_damage(index))
        reason = str(error.__cause__ or error)
        return Proof(where, "damaged", index.footer.members, reason=reason, damaged=names)
    right = {original.suffix for original in verified.originals}
    differing = [original.suffix for original in originals.select(held) if original.suffix not in right]
    if differing:
        names = tuple(group.target_prefix.rpartition("/")[2] + suffix for suffix in differing)
        reason = "it holds other bytes than the originals of the same names"
        return Proof(where, "damaged", index.footer.members, len(right), reason, names)
    return Proof(where, "ok", index.footer.members, len(right))


def _sha256(file: PackedFile) -> str:
    digest = sha256()
    for part in file.read_all() if len(file.tail) < file.listed.size else [file.tail]:
        digest.update(part)
    return digest.hexdigest()


def _list_originals(store: ReadStore, group: DayGroup | None, share: Share) -> Originals:
    originals = Originals(group or DayGroup(LOCAL, "", date.min))
    if group is not None and store.bucket != LOCAL and share.may_have_loose:
        for entry in list_objects(store, group.logs_prefix):
            originals.append(entry.key[len(group.target_prefix) :], entry.etag, entry.size, entry.mtime)
    return originals


def _read_md5s(store: ReadStore, originals: Originals) -> Mapping[str, bytes]:
    """The MD5s of originals whose ETags are not MD5s. They must be read for it."""
    md5s = {}
    for original in originals:
        content = md5(usedforsecurity=False)
        key = originals.group.target_prefix + original.suffix
        parts = split_range(range(original.size), RANGE_BYTES)
        ranges = [ByteRange.part(key, original.etag, part) for part in parts]
        with closing(store.fetch(ranges)) as bodies:
            for body, _ in bodies:
                content.update(body)
        md5s[original.suffix] = content.digest()
    return md5s


def _find_damage(index: Index) -> Iterator[str]:
    """The names of the members that do not come out as the index says; nothing if the index itself is wrong."""
    members = index.members()
    blocks = index.directory.blocks
    starts = [number for number, block in enumerate(blocks) if block.first_header == 0]
    for start, stop in zip(starts, [*starts[1:], len(blocks)], strict=True):
        span = blocks[start:stop]
        end = blocks[stop].ordinal if stop < len(blocks) else index.footer.members
        try:
            expected = [next(members) for _ in range(span[0].ordinal, end)]
        except (DamagedRollup, StopIteration):
            return
        right: dict[Member, bytes] = {}
        try:
            for found, digest in _digests(index.file, span):
                right[found] = digest
        except DamagedRollup:
            pass
        for member in expected:
            name = index.name_prefix + member.suffix
            if not right.get(Member(name, member.size, member.mtime), b"").startswith(member.digest):
                yield name


def _digests(file: PackedFile, span: Iterable[Block]) -> Iterator[tuple[Member, bytes]]:
    """The members that can be read in those blocks, each with its MD5."""
    blocks = list(span)
    bodies = file.read((extent([block]) for block in blocks), ahead=False)
    tars = (inflate_block(body, block) for body, block in zip(bodies, blocks, strict=True))
    content = md5(usedforsecurity=False)
    for member, data, last in read_tar(tars, lambda name, what: None, whole=False):
        content.update(data)
        if last:
            yield member, content.digest()
            content = md5(usedforsecurity=False)


def _prove_through(file: PackedFile, originals: Originals, where: str) -> Proof:
    """Read a tarball without an index to its end: its checksums, its form, and the originals are all there is."""
    listed = {original.suffix: original for original in originals}
    prefix = originals.group.target_prefix.rpartition("/")[2]
    content = md5(usedforsecurity=False)
    members = same = 0
    differing = []
    last_name = ""
    try:
        for member, data, last in read_through(file, lambda name, what: None):
            content.update(data)
            last_name = member.name
            if not last:
                continue
            members += 1
            original = listed.get(member.name.rpartition("/")[2].removeprefix(prefix))
            if original is not None and original.md5 is not None:
                if original.size == member.size and original.md5 == content.digest():
                    same += 1
                else:
                    differing.append(member.name)
            content = md5(usedforsecurity=False)
    except DamagedRollup as error:
        behind = f"; what came last was {last_name!r}" if last_name else ""
        return Proof(where, "damaged", members, same, f"{error}{behind}")
    if differing:
        reason = "it holds other bytes than the originals of the same names"
        return Proof(where, "damaged", members, same, reason, tuple(differing))
    return Proof(where, "no-index", members, same)
