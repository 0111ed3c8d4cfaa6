"""Two workers on the same day groups, again and again, while late logs come: how often is a log packed twice?"""

from __future__ import annotations

import io
import os
import random
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from hashlib import md5

import boto3
import pytest
from tests.support.logs import log_key
from tests.support.real_day import reconcile_day, roll_many

from s3_log_roller.aws.s3 import open_bucket, uploads
from s3_log_roller.demo.servers import REGION
from s3_log_roller.log_keys import parse_log_key, parse_rollup_key

ROUNDS = int(os.environ.get("ROLLER_RACE_ROUNDS", "300"))
LOGS = 40
DELAY_MS = 25.0
"""About what S3 takes for a small request."""


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("places", "late_logs", "part_bytes"),
    [
        *(
            ([""], late_logs, part_bytes)
            for late_logs, part_bytes in [(0, None), (1, None), (3, None), (0, 4096), (1, 4096)]
        ),
        *((["a/", "b-", "c/", "d/e-", "f/"], late_logs, None) for late_logs in (0, 1, 3, 10)),
    ],
)
def test_the_known_race_is_rare_and_loses_nothing(
    places: list[str],
    late_logs: int,
    part_bytes: int | None,
    monkeypatch: pytest.MonkeyPatch,
    figure: Callable[[str], None],
) -> None:
    """Two deleting workers start within 100 ms of each other, and so many late logs come in their first half second.

    Without late logs nothing is ever packed twice. With them both may publish; what is in both is counted, not lost.
    `part_bytes`: rollups go up in parts of that size, and no upload stays open. `places`: the target prefixes that the
    logs are spread over; where there are several, the workers roll them in passes.
    """
    from bench import s3_api
    from bench.buckets import Bucket
    from bench.s3_server import ServerOptions, serving

    if part_bytes is not None:
        monkeypatch.setattr(uploads, "PART_BYTES", part_bytes)
        monkeypatch.setattr(s3_api, "MIN_PART_BYTES", 1)
    rng = random.Random(late_logs)
    roll = reconcile_day if len(places) == 1 else roll_many
    races = doubled = 0
    with serving(ServerOptions(delay_ms=DELAY_MS)) as server:
        session = boto3.Session(aws_access_key_id="a", aws_secret_access_key="b", region_name=REGION)
        bucket = server.api.buckets["bucket"] = Bucket()
        stores = [open_bucket(session, "bucket", endpoint_url=server.url) for _ in range(2)]
        for number in range(ROUNDS):
            prefix = f"{number}/"
            spread = [prefix + place for place in places]
            bodies = {log_key(second, spread[second % len(spread)]): rng.randbytes(300) for second in range(LOGS)}
            late = {log_key(50_000 + second, rng.choice(spread)): rng.randbytes(300) for second in range(late_logs)}
            for key, body in bodies.items():
                bucket.put(key, body, 0)
            moments = sorted(rng.uniform(0, 0.5) for _ in late)
            errors: list[Exception] = []

            def work(store: object, wait_s: float, prefix: str = prefix, errors: list[Exception] = errors) -> None:
                time.sleep(wait_s)
                try:
                    roll(store, "bucket", prefix, delete=True)  # type: ignore[arg-type]
                except Exception as error:
                    errors.append(error)

            threads = [threading.Thread(target=work, args=(store, rng.uniform(0, 0.1))) for store in stores]
            for thread in threads:
                thread.start()
            began = time.monotonic()
            for moment, (key, body) in zip(moments, late.items(), strict=True):
                time.sleep(max(0.0, began + moment - time.monotonic()))
                server.api.buckets["bucket"].put(key, body, 0)
            for thread in threads:
                thread.join()
            assert errors == []
            assert bucket.uploads == {}
            roll(stores[0], "bucket", prefix, delete=True)
            held: Counter[tuple[str, bytes]] = Counter()
            for key, stored in list(bucket.entries(prefix, "")):
                assert parse_log_key(key) is None
                assert parse_rollup_key(key)
                with tarfile.open(fileobj=io.BytesIO(stored.body)) as tar:
                    for member in tar:
                        file = tar.extractfile(member)
                        assert file is not None
                        held[key[: key.rindex("/") + 1] + member.name, md5(file.read()).digest()] += 1
            assert set(held) == {(key, md5(body).digest()) for key, body in (bodies | late).items()}
            twice = sum(times > 1 for times in held.values())
            races += twice > 0
            doubled += twice
        for store in stores:
            store.close()
        while server.connections:
            time.sleep(0.001)
    how = (
        f"passes over {len(places)} day groups" if len(places) > 1 else "one PUT" if part_bytes is None else "in parts"
    )
    requests = {name: server.api.requests[name] for name in ("CreateMultipartUpload", "AbortMultipartUpload")}
    if part_bytes is not None:
        assert requests["CreateMultipartUpload"] > ROUNDS, "the two never had the same day in parts at once"
        assert requests["AbortMultipartUpload"] > 0
    figure(
        f"KNOWN RACE, {how}, {late_logs} late logs, {ROUNDS} rounds, {races} rounds with doubles, "
        f"{doubled} logs doubled, {requests}"
    )
    if not late_logs:
        assert races == 0
