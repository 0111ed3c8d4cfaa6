"""`--destination` on the commands that roll and plan."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.memory_day import put_logs
from tests.support.memory_store import MemoryStore

from s3_log_roller.cli.parser import parse
from s3_log_roller.cli.storing import destination_from
from s3_log_roller.log_keys import parse_rollup_key
from s3_log_roller.rolling.destination import Destination
from s3_log_roller.uris import S3Uri

Run = Callable[..., tuple[int, str, str]]
THERE = ("--destination", "s3://archive/kept")


@pytest.fixture(autouse=True)
def _region(store: MemoryStore) -> None:
    store.__dict__["region"] = "us-west-2"


def test_roll_puts_rollups_there(run: Run, store: MemoryStore, archive: MemoryStore) -> None:
    """And deletes the originals that they were proven to hold."""
    put_logs(store, range(5))
    code, out, _ = run("roll", "--quiet", "s3://bucket/", *THERE, "--delete")
    assert (code, out) == (0, "")
    assert not store.objects
    (key,) = archive.objects
    assert key.startswith("kept/bucket/example.com/rollup-")


def test_a_plan_sees_what_is_there_and_says_where_rollups_go(
    run: Run, store: MemoryStore, archive: MemoryStore
) -> None:
    """Logs that a rollup there holds are leftovers, those of yesterday's run too."""
    put_logs(store, range(5))
    run("roll", "--quiet", "s3://bucket/", *THERE)
    put_logs(store, [7])
    code, out, _ = run("plan", "--json", "s3://bucket/", *THERE)
    plan = json.loads(out)
    assert (code, plan["destination"]) == (0, "s3://archive/kept")
    assert (plan["total"]["leftovers"], plan["total"]["to_pack"], plan["total"]["late"]) == (5, 1, 1)
    assert json.loads(run("plan", "--json", "s3://bucket/")[1])["total"]["to_pack"] == 6


@pytest.mark.parametrize("owner", ["123456789012", ""])
def test_the_owner_that_is_named_is_the_one_expected_there(owner: str) -> None:
    """Every request says so, and S3 refuses it once the bucket belongs to another account."""
    named = ["--destination-owner", owner] if owner else []
    destination = destination_from(parse(["roll", "s3://bucket/", *THERE, *named], {}))
    assert destination == Destination(S3Uri("archive", "kept"), owner=owner)


def test_a_saved_plan_is_done_with_its_destination(
    run: Run, store: MemoryStore, archive: MemoryStore, tmp_path: Path
) -> None:
    """It cannot be given another one; what changed there since is left."""
    put_logs(store, range(5))
    put_logs(store, range(5), "other/")
    saved = str(tmp_path / "plan.json")
    assert run("plan", "--save", saved, "--quiet", "s3://bucket/", *THERE)[0] == 0
    assert run("roll", "--plan", saved, *THERE)[0] == 2
    run("roll", "--quiet", "s3://bucket/other/", *THERE)
    code, out, _ = run("roll", "--json", "--plan", saved)
    (failure,) = json.loads(out)["failures"]
    assert code == 3
    assert "other/" in failure["what"]
    assert len(archive.objects) == 2
    assert not [key for key in store.objects if parse_rollup_key(key)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--destination", "archive/kept"], "is not an S3 URI"),
        (["--destination-role", "arn:aws:iam::123456789012:role/x"], "--destination-role needs --destination"),
        (["--destination-owner", "123456789012"], "--destination-owner needs --destination"),
        ([*THERE, "--destination-role", "x"], "is not the ARN of a role"),
        ([*THERE, "--destination-owner", "12"], "is not the id of an AWS account"),
    ],
)
def test_bad_values_are_usage_errors(run: Run, store: MemoryStore, options: list[str], message: str) -> None:
    """Before the first request."""
    store.before = lambda step, key: pytest.fail(step)
    code, _, err = run("roll", "s3://bucket/", *options)
    assert code == 2
    assert message in err
