"""Rollups in a real archive class: their metadata outlives the move, and is read with a HEAD."""

from __future__ import annotations

from contextlib import closing
from random import Random

import pytest
from tests.support.logs import DAY, PREFIX, TODAY, log_key
from tests.support.servers import client, session_for

from s3_log_roller.aws.s3 import S3Bucket, open_bucket, uploads
from s3_log_roller.demo.servers import Ministack
from s3_log_roller.log_keys import DayGroup, parse_log_key
from s3_log_roller.rolling.options import RollOptions
from s3_log_roller.rolling.outcome import RollOutcome
from s3_log_roller.rolling.reconcile import reconcile
from s3_log_roller.rolling.tasks import RollTask
from s3_log_roller.rolling.window import Window
from s3_log_roller.store import list_objects

WHOLE = uploads.PART_BYTES
"""The rollup is smaller than that and goes up in one PUT."""


def run(store: S3Bucket) -> RollOutcome:
    task = RollTask(DayGroup(store.bucket, PREFIX, DAY), Window(TODAY))
    return reconcile(store, task, RollOptions(delete=True), today=TODAY)


@pytest.mark.parametrize("part_bytes", [WHOLE, 100_000])
def test_an_archived_rollup_holds_up_nothing(
    ministack: Ministack, any_key_bucket: str, monkeypatch: pytest.MonkeyPatch, part_bytes: int
) -> None:
    """Written with one PUT, or in parts; moved to DEEP_ARCHIVE; late logs get a rollup, what it has is left."""
    monkeypatch.setattr(uploads, "PART_BYTES", part_bytes)
    s3 = client(ministack, "s3")

    def deliver(*numbers: int) -> None:
        for number in numbers:
            body = Random(number).randbytes(40_000)
            s3.put_object(Bucket=any_key_bucket, Key=log_key(number * 61), Body=body)

    with closing(open_bucket(session_for(ministack), any_key_bucket, endpoint_url=ministack.endpoint)) as store:
        deliver(*range(60))
        (key,) = run(store).rollups
        place = {"Bucket": any_key_bucket, "Key": key}
        head = s3.head_object(**place)
        assert head["Metadata"]["rollup-members"] == "60"
        assert ("rollup-content-sha256" in head["Metadata"]) is (part_bytes == WHOLE)
        s3.copy_object(**place, CopySource=place, StorageClass="DEEP_ARCHIVE")
        with pytest.raises(s3.exceptions.InvalidObjectState):
            s3.get_object(**place)
        deliver(3, 1000)
        figures = run(store).figures
        assert (figures.packed, figures.deleted, figures.uncertain) == (1, 1, 1)
        left = [entry.key for entry in list_objects(store, PREFIX) if parse_log_key(entry.key)]
        assert left == [log_key(3 * 61)]
