"""What 0.1 left behind is gone on with: its rollups hold their originals, and its messages are tasks."""

from __future__ import annotations

import struct
from datetime import date
from hashlib import md5

import pytest
from tests.support.logs import DAY, PREFIX, TODAY, log_key
from tests.support.memory_day import assert_exactly_once, assert_nothing_lost, rollups, run
from tests.support.memory_store import MemoryStore
from tests.support.paths import GOLDEN

from s3_log_roller.errors import DamagedRollup, RollerError
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rolling.tasks import RollTask, ScanTask, Task, decode_task
from s3_log_roller.rolling.window import Window
from s3_log_roller.rollup import draft
from s3_log_roller.rollup.carriers import decode_carriers, encode_carrier, encode_carriers
from s3_log_roller.rollup.compression import crc32, deflate, inflate_exactly
from s3_log_roller.rollup.directory import BLOCK_RECORD_BYTES
from s3_log_roller.uris import Role

LOG = f"{PREFIX}2022-07-01-05-15-43-42117B9A70B0F1BA"
BODY = b"hello\n"
ROLLUP = f"{PREFIX}rollup-2022-07-01-e87e5ff2.tgz"
"""0.1 named a rollup after all that is in it."""


def a_day_of_0_1(
    rollup: bytes = (GOLDEN / "rollup-0.1-one-log.tgz").read_bytes(),
) -> tuple[MemoryStore, dict[str, bytes]]:
    """A log that 0.1 rolled up and did not delete; the bodies by key."""
    store = MemoryStore()
    store.put(LOG, BODY)
    store.put(ROLLUP, rollup)
    return store, {LOG: BODY}


def test_what_0_1_rolled_up_is_not_packed_again() -> None:
    """Its rollup is verified, and the day is done."""
    store, bodies = a_day_of_0_1()
    run(store)
    assert rollups(store) == [ROLLUP]
    assert_exactly_once(store, bodies)


def test_what_0_1_rolled_up_is_deleted_once_it_is_verified() -> None:
    """Switching deletion on after an upgrade deletes what earlier runs packed."""
    store, bodies = a_day_of_0_1()
    run(store, delete=True)
    assert list(store.objects) == [ROLLUP]
    assert_exactly_once(store, bodies)


def test_late_logs_get_a_rollup_of_their_own() -> None:
    """Beside that of 0.1, which stays as it is."""
    store, bodies = a_day_of_0_1()
    store.put(log_key(7), b"late")
    run(store, delete=True)
    assert len(rollups(store)) == 2
    assert_exactly_once(store, bodies | {log_key(7): b"late"})


def test_an_original_of_other_content_is_not_deleted() -> None:
    """A member of that name and size proves nothing: the bytes are compared."""
    store, _ = a_day_of_0_1()
    store.put(LOG, b"HELLO\n")
    run(store, delete=True)
    assert_nothing_lost(store, {LOG: b"HELLO\n"})


def test_an_original_whose_etag_is_not_an_md5_is_compared_with_its_own_bytes() -> None:
    """The index of 0.1 binds such bytes by four bytes of MD5 only; deleting takes all sixteen of the original's."""
    golden = (GOLDEN / "rollup-0.1-2022-07-01.tgz").read_bytes()
    group = DayGroup("bucket", "example.com/logs-", DAY)
    key = f"{group.target_prefix}2022-07-01-23-59-59-FFFFFFFFFFFFFFFF"
    for body, left in ((b"", []), (b"other", [key])):
        store = MemoryStore()
        store.put(key, body, etag="d41d8cd98f00b204e9800998ecf8427e-1")
        rollup = f"{group.target_prefix}rollup-2022-07-01-fc9c0e4a.tgz"
        store.put(rollup, golden)
        task = RollTask(group, Window(TODAY))
        run(store, task, delete=True)
        assert_nothing_lost(store, {key: body})
        if left:
            assert len(rollups(store)) == 2
        else:
            assert list(store.objects) == [rollup]


def test_a_damaged_rollup_of_0_1_proves_nothing() -> None:
    """Whichever byte of it is another one, and wherever it is cut off, no original is deleted on its account."""
    sound = (GOLDEN / "rollup-0.1-one-log.tgz").read_bytes()
    damaged = [sound[:place] + bytes((sound[place] ^ 0x41,)) + sound[place + 1 :] for place in range(len(sound))]
    damaged += [sound[:length] for length in range(1, len(sound))]
    for rollup in damaged:
        store, _ = a_day_of_0_1(rollup)
        with pytest.raises(RollerError) as refused:
            run(store, delete=True)
        assert isinstance(refused.value, DamagedRollup) or "newer" in str(refused.value)
        assert LOG in store.objects


def with_first_block(sound: bytes, block: bytes, *, original_bytes: int = len(BODY)) -> bytes:
    """The one-log file with another first block of the same length, and an index that says so throughout."""
    footer = draft.read_footer(sound, len(sound))
    members, section = footer.sections
    payload = decode_carriers(sound[section.offset : section.offset + section.length])
    plain = inflate_exactly(payload[2:], BLOCK_RECORD_BYTES + len("2022-07-01") + len(PREFIX))
    sealed = payload[:2] + deflate(plain[:4] + struct.pack("<I", crc32(block)) + plain[8:], 8)
    blocks = encode_carriers(sealed)
    end = section.offset + len(blocks)
    numbers = (footer.data_bytes, section.offset, end, 1, 1, footer.tar_bytes, original_bytes, footer.content_digest)
    fields = struct.pack("<QQQQIQQ32sII", *numbers, members.crc32, crc32(sealed))
    ending = encode_carrier(fields + struct.pack("<I", crc32(fields)) + b"\x01S3LR")
    return block + sound[len(block) : section.offset] + blocks + ending


def test_what_the_index_says_of_a_forged_file_proves_nothing() -> None:
    """A gzip header that other tools read otherwise, a wrong trailer and a wrong sum of sizes are damage."""
    sound = (GOLDEN / "rollup-0.1-one-log.tgz").read_bytes()
    block = sound[:115]
    forged = [
        with_first_block(sound, block[:9] + b"\x03" + block[10:]),
        with_first_block(sound, block[:3] + b"\x01" + block[4:]),
        with_first_block(sound, block[:-1] + b"\x01"),
        with_first_block(sound, block, original_bytes=7),
    ]
    for rollup in forged:
        store, _ = a_day_of_0_1(rollup)
        with pytest.raises(DamagedRollup):
            run(store, delete=True)
        assert LOG in store.objects
    store, _ = a_day_of_0_1(with_first_block(sound, block))
    run(store, delete=True)
    assert list(store.objects) == [ROLLUP], "what forges forges soundly"


def test_a_name_that_0_1_did_not_give_is_refused() -> None:
    """It followed from the content, or at the end from the first log."""
    sound = (GOLDEN / "rollup-0.1-one-log.tgz").read_bytes()
    for digits, is_right in (("e87e5ff2", True), ("b33e1e0a", True), ("01234567", False)):
        store = MemoryStore()
        store.put(LOG, BODY)
        store.put(f"{PREFIX}rollup-2022-07-01-{digits}.tgz", sound)
        if is_right:
            run(store, delete=True)
        else:
            with pytest.raises(DamagedRollup):
                run(store, delete=True)
        assert (LOG in store.objects) != is_right


ROLE = Role.parse("arn:aws:iam::123456789012:role/s3-rollup-bucket-access", "secret")
SINCE = Window(date(2022, 7, 10), date(2022, 6, 1))
MESSAGES: dict[str, Task] = {
    '{"task":"scan","bucket":"my-log-bucket","prefix":"example.com/","v":1,"cutoff":"2022-07-10"}': ScanTask(
        "my-log-bucket", "example.com/", Window(TODAY)
    ),
    '{"task":"scan","bucket":"my-log-bucket","prefix":"","start_after":"example.com/2022-07-01-:","v":1,'
    '"cutoff":"2022-07-10","since":"2022-06-01","role":"arn:aws:iam::123456789012:role/s3-rollup-bucket-access",'
    '"external_id":"secret"}': ScanTask("my-log-bucket", "", SINCE, ROLE, "example.com/2022-07-01-:"),
    '{"task":"roll","bucket":"my-log-bucket","target_prefix":"example.com/","day":"2022-07-01","v":1,'
    '"cutoff":"2022-07-10"}': RollTask(DayGroup("my-log-bucket", "example.com/", DAY), Window(TODAY)),
    '{"task":"roll","bucket":"my-log-bucket","target_prefix":"ex\\u00e4mple/","day":"2022-07-01","v":1,'
    '"cutoff":"2022-07-10","since":"2022-06-01","role":"arn:aws:iam::123456789012:role/s3-rollup-bucket-access",'
    '"external_id":"secret","max_members":5000}': RollTask(
        DayGroup("my-log-bucket", "exämple/", DAY), SINCE, ROLE, 5000
    ),
}
"""What 0.1 sent, to the letter."""


@pytest.mark.parametrize("message", MESSAGES)
def test_messages_of_0_1_are_tasks(message: str) -> None:
    """They may lie in the queue for days while the workers are updated."""
    assert decode_task(message) == MESSAGES[message]


def test_the_golden_log_is_what_it_was() -> None:
    """The tests above speak of the log that is in the file."""
    assert md5(BODY).hexdigest() == "b1946ac92492d2347c6235b4d2611184"
