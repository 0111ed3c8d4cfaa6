"""Holds the tar of a rollup against its index, and so proves every member of it."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator

from s3_log_roller.rollup.damage import damaged
from s3_log_roller.rollup.directory import Block, Directory
from s3_log_roller.rollup.footer import Footer
from s3_log_roller.rollup.members import IndexedMember
from s3_log_roller.rollup.originals import ContentDigest
from s3_log_roller.rollup.tar import END_OF_ARCHIVE, RECORD_BYTES, TarHeaders, name_prefix, padding


class TarChecker:
    """Holds a rollup's tar against its index: every header byte for byte, every body by its MD5, no byte unexplained.

    `members` are those of the index, in order. Methods raise `DamagedRollup`, naming the member and what differs.
    """

    def __init__(self, footer: Footer, members: Iterator[IndexedMember], directory: Directory) -> None:
        self._footer = footer
        self._members = members
        self._target_prefix = target_prefix = directory.target_prefix
        self._day = f"{directory.day}-"
        self._ordinal = 0
        self._headers = TarHeaders(name_prefix(target_prefix))
        self._content = ContentDigest(target_prefix)
        self._held = b""
        self._member: IndexedMember | None = None
        self._expected = b""
        self._ended = False
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._body_left = 0
        self._padding_left = 0
        self._expect_next()

    def expect(self, block: Block) -> None:
        """Check what the directory says of a block, the next one to be fed: what it begins with."""
        left = self._body_left + self._padding_left
        if self._held:
            left = len(self._expected) - len(self._held)
            if self._member is not None:
                left += self._member.size + len(padding(self._member.size))
        suffix = self._member.suffix if self._member else ""
        header_follows = not left or self._ordinal + 1 < self._footer.members
        first_header = min(left, block.tar_length) if header_follows else block.tar_length
        if (block.ordinal, block.suffix, block.first_header) != (self._ordinal, suffix, first_header):
            damaged(f"the index is wrong about what the block at offset {block.offset} begins with")

    def feed(self, tar: bytes) -> list[tuple[IndexedMember, bytes]]:
        """Check the next piece of tar; returns the members that ended in it, each with the MD5 of its content."""
        if self._held:
            tar, self._held = self._held + tar, b""
        proven: list[tuple[IndexedMember, bytes]] = []
        position, end = 0, len(tar)
        view = memoryview(tar)
        while position < end:
            member = self._member
            if self._body_left or self._padding_left:
                position = self._go_on(view, position)
                if member is not None and not self._body_left and not self._padding_left:
                    proven.append((member, self._prove(member, self._md5.digest())))
                continue
            body = position + len(self._expected)
            if self._ended:
                damaged("there are bytes behind the end of the archive")
            if body > end:
                self._held = tar[position:]
                break
            if not tar.startswith(self._expected, position):
                damaged(self._difference(tar[position : position + RECORD_BYTES]))
            if member is None:
                self._ended = True
                position = body
                continue
            size = member.size
            pad = body + size
            behind = pad + -size % RECORD_BYTES
            if behind <= end:
                if not tar.startswith(padding(size), pad):
                    damaged(f"{self._key(member)} is followed by bytes that are not zeros")
                proven.append(
                    (member, self._prove(member, hashlib.md5(view[body:pad], usedforsecurity=False).digest()))
                )
                position = behind
            else:
                self._md5 = hashlib.md5(usedforsecurity=False)
                self._body_left, self._padding_left = size, behind - pad
                position = body
        return proven

    def finish(self) -> None:
        """Check that the tar ended where it should and that its members are those the content digest was made of."""
        if not self._ended:
            what = f"in or before {self._key(self._member)}" if self._member else "in its end-of-archive mark"
            damaged(f"the tar is cut off {what}")
        if self._content.digest() != self._footer.content_digest:
            damaged("the members do not have the content digest in the footer")

    def _go_on(self, view: memoryview, position: int) -> int:
        """Take what the piece holds of a member that began in an earlier one."""
        if self._body_left:
            stop = min(position + self._body_left, len(view))
            self._md5.update(view[position:stop])
            self._body_left -= stop - position
        else:
            stop = min(position + self._padding_left, len(view))
            if any(view[position:stop]):
                damaged(f"{self._key(self._member)} is followed by bytes that are not zeros")
            self._padding_left -= stop - position
        return stop

    def _prove(self, member: IndexedMember, md5: bytes) -> bytes:
        if not md5.startswith(member.digest):
            damaged(f"{self._key(member)} has other content: its MD5 is {md5.hex()}, not {member.digest.hex()}…")
        if member.etag is None:
            self._content.add(member.suffix, md5.hex(), member.size)
        else:
            self._content.add(member.suffix, member.etag, member.size, None if self._footer.draft else md5)
        self._ordinal += 1
        self._expect_next()
        return md5

    def _expect_next(self) -> None:
        member = self._member = next(self._members, None)
        if member is None:
            self._expected = END_OF_ARCHIVE
        else:
            self._expected = self._headers.header(member.suffix, member.size, member.mtime)

    def _key(self, member: IndexedMember | None) -> str:
        return repr(self._target_prefix + member.suffix) if member else "the end of the archive"

    def _difference(self, found: bytes) -> str:
        """Say in what the header that was found differs from the expected one."""
        member = self._member
        expected = self._key(member)
        if not any(found):
            return f"{expected} is missing: the tar ends before it"
        try:
            header = tarfile.TarInfo.frombuf(found, "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            return f"there is no tar header where {expected} should begin"
        if member is None:
            return f"{header.name!r} is not in the index: it stands behind the last member"
        name = self._headers.name_prefix + member.suffix
        if (
            header.type == tarfile.GNUTYPE_LONGNAME
            or len(name.encode("utf-8", "surrogateescape")) > tarfile.LENGTH_NAME
        ):
            return f"the header of {expected} differs"
        if header.name != name:
            if not header.name.startswith(self._headers.name_prefix + self._day):
                return f"{expected} is renamed to {header.name!r}"
            if header.name > name:
                return f"{expected} is missing: {header.name!r} stands in its place"
            return f"{header.name!r} is not in the index: it stands in the place of {expected}"
        if header.size != member.size:
            return f"{expected} has {header.size} instead of {member.size} bytes"
        if header.mtime != member.mtime:
            return f"{expected} has the time {header.mtime} instead of {member.mtime}"
        return f"the header of {expected} differs"
