"""Faults on the wire between the program and a real S3 server: success or one clear error, never loss, never a hang.

The whole table, every fault at every call, is in proof/test_every_fault.py.
"""

from __future__ import annotations

import re
import socket
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.httpsession import get_cert_path
from tests.support import faulty_proxy as faults
from tests.support.fault_table import (
    FAULTS,
    ONE_PUT,
    SLOW_FAULTS,
    at_an_abort,
    break_and_mend,
    fill,
    may_fail,
    only,
    run_plainly,
    run_through,
    scan_through,
    two_pages,
)
from tests.support.faulty_proxy import Exchange, Fault
from tests.support.logs import log_key
from tests.support.real_day import RealDay, opened, reconcile_day, roll_many

from s3_log_roller.aws.s3 import open_bucket, retries
from s3_log_roller.demo.servers import REGION, SeaweedFS
from s3_log_roller.errors import StorageError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize(("number", "fault"), list(enumerate(FAULTS)))
def test_a_fault_that_passes_is_overcome(
    seaweedfs: SeaweedFS, s3: S3Client, bucket: str, number: int, fault: str
) -> None:
    """Once, at one kind of call: the run succeeds all the same."""
    operation = ONE_PUT[number % len(ONE_PUT)]
    day = RealDay(s3, bucket, "x/")
    fill(day, operation)
    error = break_and_mend(seaweedfs, day, only(operation, FAULTS[fault], 1))
    assert error is None or may_fail(fault, operation), f"{operation}: {error}"


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize(("number", "fault"), list(enumerate(FAULTS, 1)))
def test_a_fault_that_passes_is_overcome_in_a_pass(
    seaweedfs: SeaweedFS, s3: S3Client, bucket: str, number: int, fault: str
) -> None:
    """The same for four day groups that go together."""
    operation = ONE_PUT[number % len(ONE_PUT)]
    day = RealDay(s3, bucket, "x/")
    day.fill_many()
    error = break_and_mend(seaweedfs, day, only(operation, FAULTS[fault], 1), work=roll_many)
    assert error is None or may_fail(fault, operation), f"{operation}: {error}"


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize(
    ("operation", "fault"),
    [
        ("ListObjects", "503"),
        ("GetObject", "closed in the body"),
        ("PutRollup", "500"),
        ("GetRollup", "reset before the request"),
        ("DeleteObjects", "reset in the header"),
        ("CreateMultipartUpload", "503"),
        ("UploadPart", "reset before the request"),
        ("CompleteMultipartUpload", "429"),
    ],
)
def test_a_fault_that_stays_is_one_clear_error(
    seaweedfs: SeaweedFS, s3: S3Client, bucket: str, operation: str, fault: str
) -> None:
    """The error names the call, how often it was tried and what to do; nothing is lost, no upload stays open."""
    day = RealDay(s3, bucket, "x/")
    fill(day, operation)
    error = break_and_mend(seaweedfs, day, only(operation, FAULTS[fault], 1_000_000))
    assert isinstance(error, StorageError), error
    assert re.search(r"^s3:\w+ on s3://\S+ failed after 3 attempts: .*nothing was lost, run again$", str(error))
    assert day.open_uploads() == []


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize(("fault", "times"), [("503", 1), ("reset after the request", 1), ("503", 1_000_000)])
def test_a_fault_at_the_first_call_is_overcome_or_one_clear_error(
    seaweedfs: SeaweedFS, s3: S3Client, bucket: str, fault: str, times: int
) -> None:
    """HeadBucket, with which a bucket is opened."""
    day = RealDay(s3, bucket, "x/")
    day.fill(3)
    error = break_and_mend(seaweedfs, day, only("HeadBucket", FAULTS[fault], times))
    assert (error is None) == (times == 1), error
    assert error is None or re.search(r"s3://\S+ failed: .*503.* HeadBucket .*max retries: 2", str(error))


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize(("fault", "times"), [("500 though it was done", 1), ("503", 1), ("503", 1_000_000)])
def test_a_fault_at_the_abort_does_not_hide_why_there_was_one(
    seaweedfs: SeaweedFS, s3: S3Client, bucket: str, fault: str, times: int
) -> None:
    """The error is that of the upload; only an abort that never gets through leaves it open."""
    day = RealDay(s3, bucket, "x/")
    fill(day, "AbortMultipartUpload")
    plan = at_an_abort(only("AbortMultipartUpload", FAULTS[fault], times))
    error = run_through(seaweedfs, day, plan)
    assert "AccessDenied" in str(error)
    assert len(day.open_uploads()) == (0 if times == 1 else 1)
    day.assert_untouched()
    run_plainly(seaweedfs, day)
    day.assert_exactly_once()


@pytest.mark.usefixtures("patience")
def test_a_fault_at_a_scan_never_hides_a_day_group(seaweedfs: SeaweedFS, s3: S3Client, bucket: str) -> None:
    """Passing faults are overcome, at any page; lasting ones are one clear error, not a scan that found less."""
    day = RealDay(s3, bucket, "x/")
    groups = two_pages(day)
    for fault in ("503", "closed in the body", "shorter"):
        assert scan_through(seaweedfs, day, only("ListObjects", FAULTS[fault], 1)) == (groups, None)
        for behind in (0, 1):
            plan = only("ListObjects", FAULTS[fault], 1_000_000, after=behind)
            found, error = scan_through(seaweedfs, day, plan)
            assert error is not None, fault
            assert found == groups[:behind]


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("fault", SLOW_FAULTS)
def test_nothing_waits_for_ever(
    seaweedfs: SeaweedFS, s3: S3Client, bucket: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that hangs or drips is given up after the read time-out and tried again elsewhere.

    However long the first attempt took: a machine that stands still for some seconds is not a server that is silent.
    All logs are as small as the proxy is slow: libcurl takes longer to find a transfer slow that began with more.
    """
    monkeypatch.setattr(retries, "_SILENCE_SHARE", 100.0)
    day = RealDay(s3, bucket, "x/")
    for number in range(4):
        day.put(log_key(number, "x/"), b"x" * 100)
    assert break_and_mend(seaweedfs, day, only("GetObject", SLOW_FAULTS[fault], 1)) is None


@pytest.mark.usefixtures("patience")
def test_a_storm_of_503_is_ridden_out(
    seaweedfs: SeaweedFS, s3: S3Client, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of all requests are told to slow down, up to five times; with a dozen attempts all gets done."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "12")
    day = RealDay(s3, bucket, "x/")
    day.fill(12)
    asked: Counter[str] = Counter()

    def storm(exchange: Exchange) -> Fault | None:
        """Refuse what a die of each request says, not one for all: the order in which they come is never the same."""
        what = f"{exchange.method} {exchange.target.replace(bucket, '')}"
        asked[what] += 1
        refused = asked[what] <= 5 and Random(f"{what} {asked[what]}").random() < 0.5
        return FAULTS["503"] if refused and exchange.operation != "HeadBucket" else None

    assert break_and_mend(seaweedfs, day, storm) is None


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (400, "ExpiredToken", "expired: renew them"),
        (403, "RequestTimeTooSkewed", "clock is wrong"),
        (403, "InvalidAccessKeyId", "access key"),
        (403, "AccessDenied", "the credentials need s3:"),
    ],
)
@pytest.mark.parametrize("operation", ["GetObject", "UploadPart"])
@pytest.mark.usefixtures("patience")
def test_credentials_that_fail_mid_run_are_named(
    seaweedfs: SeaweedFS,
    s3: S3Client,
    bucket: str,
    operation: str,
    status: int,
    code: str,
    words: str,
) -> None:
    """From some call on every request is refused: one clear error at once, nothing lost, the next run converges."""
    day = RealDay(s3, bucket, "x/")
    fill(day, operation)
    begun = False

    def refuse(exchange: Exchange) -> Fault | None:
        nonlocal begun
        begun = begun or exchange.operation == operation
        return faults.answer(status, code) if begun else None

    error = break_and_mend(seaweedfs, day, refuse, open_uploads=True)
    assert error is not None
    assert words in str(error)


def call_open(url: str) -> None:
    session = boto3.Session(aws_access_key_id="a", aws_secret_access_key="b", region_name=REGION)
    open_bucket(session, "bucket", endpoint_url=url)


@pytest.mark.usefixtures("patience")
def test_a_name_that_does_not_resolve_is_one_clear_error() -> None:
    """DNS failure, before anything was begun."""
    with pytest.raises(StorageError, match=r"s3://bucket cannot be reached.*no-such-host\.invalid"):
        call_open("http://no-such-host.invalid")


@pytest.mark.usefixtures("patience")
def test_a_server_that_takes_no_connection_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connection refused; and one that accepts and says nothing."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))  # nobody else gets the port meanwhile
        for listens in (False, True):
            if listens:
                server.listen()
            with pytest.raises(StorageError, match="s3://bucket cannot be reached"):
                call_open(f"http://127.0.0.1:{server.getsockname()[1]}")


@pytest.mark.usefixtures("patience")
def test_names_that_stop_resolving_mid_run_are_one_clear_error(seaweedfs: SeaweedFS, s3: S3Client, bucket: str) -> None:
    """The bulk client's own DNS failure names the call, says that nothing was lost, and is no hang."""
    day = RealDay(s3, bucket, "x/")
    day.fill(3)
    with opened(seaweedfs.endpoint, seaweedfs.access_key, seaweedfs.secret_key, bucket) as store:
        store._transport._handles._host = "no-such-host.invalid"
        with pytest.raises(StorageError, match=r"s3:ListBucket on .* failed after 3 attempts: .*nothing was lost"):
            reconcile_day(store, bucket, day.prefix, delete=True)
    run_plainly(seaweedfs, day)
    day.assert_done(deleted=True)


@pytest.mark.usefixtures("patience")
def test_a_certificate_nobody_vouches_for_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TLS failure at the start, and in the bulk client's own connections: named with what to set; with it, it works."""
    from bench.buckets import Bucket
    from bench.s3_server import ServerOptions, serving

    with serving(ServerOptions(), tls=tmp_path) as server:
        server.api.buckets["bucket"] = Bucket()
        with pytest.raises(StorageError, match=r"cannot be reached.*CERTIFICATE_VERIFY_FAILED"):
            call_open(server.url)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
        session = boto3.Session(aws_access_key_id="a", aws_secret_access_key="b", region_name=REGION)
        store = open_bucket(session, "bucket", endpoint_url=server.url)
        assert store.list_page("").objects == []
        store.close()
        stranger = open_bucket(session, "bucket", endpoint_url=server.url)
        object.__setattr__(stranger._transport.wire, "ca_bundle", get_cert_path(True))
        with pytest.raises(StorageError, match=r"failed at once: .*AWS_CA_BUNDLE"):
            stranger.list_page("")
        stranger.close()


@pytest.mark.usefixtures("patience")
def test_a_rollup_replaced_between_upload_and_reading_back_deletes_nothing_unproven(
    seaweedfs: SeaweedFS, s3: S3Client, bucket: str
) -> None:
    """Somebody puts other bytes, or another sound rollup, under the key right after the upload."""
    replacements: list[Callable[[bytes], bytes]] = [lambda body: body[::-1], lambda body: b"", lambda body: body[:-100]]
    for number, replacement in enumerate(replacements):
        day = RealDay(s3, bucket, f"{number}/")
        day.fill(5)

        def replace(
            exchange: Exchange, replacement: Callable[[bytes], bytes] = replacement, day: RealDay = day
        ) -> Fault | None:
            if exchange.operation != "PutRollup":
                return None

            async def fault(link: faults.Link) -> None:
                answer = await link.forward()
                key = exchange.target.partition("?")[0].split("/", 2)[2]
                s3.put_object(Bucket=bucket, Key=key, Body=replacement(day.body(key)))
                await link.send(answer)

            return fault

        error = run_through(seaweedfs, day, replace)
        assert error is not None
        assert "rollup-2022-07-01" in str(error)
        assert "move it out of this prefix" in str(error)
        day.assert_untouched()
        # What the message says to do:
        (damaged,) = day.rollups()
        s3.copy_object(Bucket=bucket, Key=f"damaged/{number}.tgz", CopySource={"Bucket": bucket, "Key": damaged})
        s3.delete_object(Bucket=bucket, Key=damaged)
        run_plainly(seaweedfs, day)
        day.assert_done(deleted=True)
