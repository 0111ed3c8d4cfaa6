"""`cat … | goaccess --log-format=AWSS3 -`, as docs/guide/report.md has it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from datetime import date
from pathlib import Path
from random import Random

import pytest
from tests.support.packing import Log, pack
from tests.support.records import CHECKSUM

from s3_log_roller.demo.sample_logs import sample_day
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.reading.records import parse_record

DAY = date(2022, 7, 1)
LOOSE = "2022-07-02-05-15-43-42117B9A70B0F1BA"


@pytest.mark.skipif(shutil.which("goaccess") is None, reason="goaccess is not installed")
def test_goaccess_counts_what_cat_writes(tmp_path: Path) -> None:
    """Every request with its status and bytes, packed or loose; what S3 did by itself is not valid to GoAccess."""
    bodies = dict(sample_day(Random(1), DAY, "my-bucket", "", 50))
    rollup = pack(DayGroup("b", "", DAY), [Log(key, body, 1_656_633_601) for key, body in sorted(bodies.items())])[1]
    (tmp_path / "rollup.tgz").write_bytes(rollup)
    (loose,) = (body for _, body in sample_day(Random(2), date(2022, 7, 2), "my-bucket", "", 1))
    (tmp_path / LOOSE).write_bytes(loose + f"{CHECKSUM}\n".encode())
    program = "import sys; from s3_log_roller.cli.main import main; sys.exit(main())"
    text = subprocess.run([sys.executable, "-c", program, "cat", str(tmp_path)], capture_output=True, check=True).stdout
    report = tmp_path / "report.json"
    command = ["goaccess", "--log-format=AWSS3", "--no-global-config", "-o", str(report), "-"]
    subprocess.run(command, input=text, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"}, capture_output=True, check=True)
    found = json.loads(report.read_text())
    records = [parse_record(line.decode()) for body in (*bodies.values(), loose) for line in body.splitlines()]
    statuses = Counter(str(record["http_status"]) for record in records if record is not None)
    assert found["general"]["valid_requests"] == len(records) == statuses.total()
    assert found["general"]["failed_requests"] == 1
    assert found["general"]["bandwidth"] == sum(int(str(record["bytes_sent"] or 0)) for record in records if record)
    counted = {
        item["data"].split()[0]: item["hits"]["count"]
        for group in found["status_codes"]["data"]
        for item in group["items"]
    }
    assert counted == statuses
