"""`plan`, and a run of just that plan, on a real server; and a plan without permissions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support import sample_bucket
from tests.support.sample_bucket import put_logs

from s3_log_roller.cli.main import run_command
from s3_log_roller.demo.servers import SeaweedFS

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(aws_environment: None, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command and return its JSON."""

    def run(line: str, code: int = 0) -> dict[str, Any]:
        capsys.readouterr()
        assert run_command([*line.split(), "--json"]) == code
        answer: dict[str, Any] = json.loads(capsys.readouterr().out)
        return answer

    return run


def test_a_plan_is_saved_and_done(s3: S3Client, bucket: str, run: Run, tmp_path: Path) -> None:
    """What was planned is what came of it, and what arrived meanwhile is left."""
    keys = put_logs(s3, bucket, "web/", 2, 30) | put_logs(s3, bucket, "api/", 1, 5)
    path = tmp_path / "plan.json"
    plan = run(f"plan s3://{bucket}/ --delete --measure --save {path}")
    total = plan["total"]
    assert (total["day_groups"], total["logs"], total["rollups"]) == (3, 65, 3)
    (late,) = put_logs(s3, bucket, "new/", 1, 1)
    summary = run(f"roll --plan {path}", code=3)
    assert (summary["rollups"], summary["originals_deleted"]) == (3, 65)
    assert total["rollup_bytes"] == pytest.approx(summary["bytes_out"], rel=0.10)
    assert [one["why"] for one in summary["failures"]] == ["was not in the plan; it was left"]
    assert {key for prefix in ("web/", "api/") for key in sample_bucket.members(s3, bucket, prefix)} == keys
    left = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert [key for key in left if "rollup-" not in key] == [late]


def test_a_bucket_that_may_not_be_listed(
    seaweedfs: SeaweedFS, bucket: str, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The call and the place are named, and the exit code says that nothing was planned."""
    access_key, secret_key = seaweedfs.credentials("no-list")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret_key)
    plan = run(f"plan s3://{bucket}/", code=1)
    assert "s3:ListBucket" in plan["failures"][0]["why"]
    assert plan["verdict"] == "Nothing could be planned."
