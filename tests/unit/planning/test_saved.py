from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from bench.buckets import Bucket
from bench.logs import LogSet
from bench.s3_api import Call
from bench.s3_server import S3Server

from s3_log_roller.cli.main import run_command
from s3_log_roller.errors import UsageError
from s3_log_roller.log_keys import DayGroup, parse_rollup_key
from s3_log_roller.planning import saved
from s3_log_roller.planning.saved import decode_saved
from s3_log_roller.rolling.destination import Destination
from s3_log_roller.rolling.tasks import RangeTask, ScanTask, encode_task
from s3_log_roller.rolling.window import Window
from s3_log_roller.stored_as import StoredAs
from s3_log_roller.uris import Role, S3Uri

LATE = "web/2022-07-02-23-59-59-FFFFFFFFFFFFFFFF"


class Runs:
    """The program against the server, with the plan in a file."""

    def __init__(self, server: S3Server, capsys: pytest.CaptureFixture[str], path: Path) -> None:
        self.server = server
        self.path = path
        self._capsys = capsys

    @property
    def bucket(self) -> Bucket:
        bucket = self.server.api.buckets["logs"]
        assert isinstance(bucket, Bucket)
        return bucket

    def run(self, line: str, code: int = 0) -> dict[str, Any]:
        self._capsys.readouterr()
        assert run_command([*line.split(), "--endpoint-url", self.server.url, "--json"]) == code
        answer: dict[str, Any] = json.loads(self._capsys.readouterr().out)
        return answer

    def save(self, options: str = "--delete") -> None:
        self.run(f"plan s3://logs/ --save {self.path} {options}")

    def listed(self) -> list[str]:
        return [key for key, _ in self.bucket.entries("", "")]

    def rollups(self) -> list[str]:
        return [key for key in self.listed() if parse_rollup_key(key)]


@pytest.fixture
def runs(server: S3Server, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Runs:
    runs = Runs(server, capsys, tmp_path / "plan.json")
    runs.bucket.fill(LogSet(prefixes=("api/", "web/"), days=3, logs=20, records=1))
    return runs


def test_a_saved_plan_is_done_as_it_was_planned(runs: Runs) -> None:
    """With its own options, and in passes as ever."""
    runs.save()
    runs.server.api.requests.clear()
    summary = runs.run(f"roll --plan {runs.path}")
    assert (summary["rollups"], summary["logs_packed"], summary["originals_deleted"]) == (6, 120, 120)
    assert runs.server.api.requests["DeleteObjects"] == 1
    assert runs.listed() == runs.rollups()


def test_rollups_are_stored_as_the_plan_says(runs: Runs) -> None:
    """What the plan was asked for goes out with every rollup; options that say otherwise are refused."""
    runs.save("--delete --delete-versions --storage-class GLACIER_IR --tag team=web --sse aws:kms")
    saved = decode_saved(runs.path.read_text(), "plan")
    stored_as = StoredAs("GLACIER_IR", (("team", "web"),), "aws:kms")
    assert (saved.stored_as, saved.delete_versions) == (stored_as, True)
    puts: list[Call] = []

    def note(call: Call, answer: bytes) -> bytes:
        if call.method == "PUT":
            puts.append(call)
        return answer

    runs.server.intercept = note
    with pytest.raises(UsageError, match="--plan stores rollups as the plan says"):
        runs.run(f"roll --plan {runs.path} --storage-class STANDARD")
    with pytest.raises(UsageError, match="--delete-versions cannot be given with it"):
        runs.run(f"roll --plan {runs.path} --delete-versions")
    assert runs.run(f"roll --plan {runs.path}")["rollups"] == 6
    said = {(put.header(b"x-amz-storage-class"), put.header(b"x-amz-tagging")) for put in puts}
    assert (len(puts), said) == (6, {(b"GLACIER_IR", b"team=web")})


def test_what_changed_since_is_named_and_left(runs: Runs) -> None:
    """A late log, a log with other bytes, a log that is gone: their days wait for a new plan, the others are done."""
    runs.save()
    first_of = {
        day: next(key for key in runs.listed() if key.startswith(day)) for day in ("web/2022-07-01", "api/2022-07-03")
    }
    runs.bucket.put(LATE, b"late", 1_656_800_000)
    runs.bucket.put(first_of["web/2022-07-01"], b"other bytes", 1_656_652_543)
    runs.bucket.remove(first_of["api/2022-07-03"])
    summary = runs.run(f"roll --plan {runs.path}", code=3)
    assert (summary["rollups"], summary["originals_deleted"]) == (3, 60)
    assert {(one["what"], one["why"]) for one in summary["failures"]} == {
        ("s3://logs/web/2022-07-01", "has other originals or rollups than in the plan; it was left"),
        ("s3://logs/web/2022-07-02", "has 21 originals, 20 in the plan; it was left"),
        ("s3://logs/api/2022-07-03", "has 19 originals, 20 in the plan; it was left"),
    }
    assert LATE in runs.listed()
    assert first_of["web/2022-07-01"] in runs.listed()


def test_new_day_groups_and_gone_ones_are_named(runs: Runs) -> None:
    """Nothing is done that was not in the plan."""
    runs.save()
    runs.bucket.fill(LogSet(prefixes=("new/",), logs=5, records=1))
    for key in [key for key in runs.listed() if key.startswith("api/2022-07-01")]:
        runs.bucket.remove(key)
    summary = runs.run(f"roll --plan {runs.path}", code=3)
    assert {one["what"]: one["why"] for one in summary["failures"]} == {
        "s3://logs/new/2022-07-01": "was not in the plan; it was left",
        "s3://logs/api/2022-07-01": "has no originals any more; it was left",
    }
    assert len([key for key in runs.listed() if key.startswith("new/")]) == 5
    assert summary["rollups"] == 5


def test_a_plan_that_was_done_does_nothing_the_second_time(runs: Runs) -> None:
    """Its day groups have rollups now, which they had not."""
    runs.save("")
    runs.run(f"roll --plan {runs.path}")
    before = runs.listed()
    summary = runs.run(f"roll --plan {runs.path}", code=3)
    assert (summary["rollups"], summary["failed"]) == (0, 6)
    assert runs.listed() == before


def test_nothing_is_deleted_that_the_plan_did_not_say(runs: Runs) -> None:
    """A plan made without --delete is done without it."""
    runs.save("")
    summary = runs.run(f"roll --plan {runs.path}")
    assert (summary["rollups"], summary["originals_deleted"], summary["deleting"]) == (6, 0, False)


def test_window_and_exclusions_are_the_plan_s(runs: Runs) -> None:
    """However much later it is done."""
    runs.save("--until 2022-07-02 --exclude s3://logs/api/")
    summary = runs.run(f"roll --plan {runs.path}")
    assert summary["failed"] == 0
    assert {key[:21] for key in runs.rollups()} == {"web/rollup-2022-07-01", "web/rollup-2022-07-02"}


@pytest.mark.parametrize("option", ["s3://logs/", "--delete", "--until 2022-07-01", "--dry-run"])
def test_a_plan_takes_no_second_opinion(runs: Runs, option: str) -> None:
    """Options that the plan settled are refused beside it."""
    runs.save()
    with pytest.raises(UsageError, match="cannot be given with it"):
        run_command(f"roll --plan {runs.path} {option}".split())


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"apply": {"version": 2}}', '{"apply": {"version": 1, "scans": [{"v": 1, "task": "roll"}]}}'],
)
def test_a_file_that_is_no_plan_is_refused(text: str) -> None:
    """The message names the file."""
    with pytest.raises(UsageError, match=r"other\.json is not a plan that `plan --save` wrote"):
        decode_saved(text, "other.json")


@pytest.mark.parametrize(
    "destination",
    [
        None,
        Destination(S3Uri("archive", "logs/")),
        Destination(S3Uri("archive", ""), Role("arn:aws:iam::123456789012:role/kept"), "123456789012"),
    ],
    ids=["none", "a place", "a place with a role and an owner"],
)
def test_the_place_for_rollups_is_read_as_it_was_saved(destination: Destination | None) -> None:
    """With the role that reaches it and the account that it must belong to."""
    assert saved._destination(json.loads(json.dumps(saved._destination_fields(destination)))) == destination


WINDOW = Window(date(2022, 7, 4))
APPLY: dict[str, Any] = {
    "version": saved.VERSION,
    "scans": [json.loads(encode_task(ScanTask("logs", "", WINDOW)))],
    "delete": True,
    "level": 6,
    "regions": {},
    "day_groups": [],
}


def test_a_plan_without_what_later_ones_say_is_read() -> None:
    """Of earlier versions: nothing is stored otherwise, or elsewhere."""
    read = decode_saved(json.dumps({"apply": APPLY}), "plan")
    assert (read.delete, read.level, read.delete_versions, read.destination) == (True, 6, False, None)


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        ({"version": saved.VERSION + 1}, f"it is of version {saved.VERSION + 1}, this program reads {saved.VERSION}"),
        ({"delete": "false"}, "its options are not those of a plan"),
        ({"delete_versions": 1}, "its options are not those of a plan"),
        ({"level": "6"}, "its options are not those of a plan"),
        ({"scans": []}, "its options are not those of a plan"),
        ({"scans": [json.loads(encode_task(RangeTask("logs", "", WINDOW)))]}, "it has tasks that do not scan"),
    ],
    ids=str,
)
def test_a_plan_of_which_anything_is_odd_is_not_done(odd: dict[str, Any], why: str) -> None:
    """It would delete, or do what nobody planned."""
    with pytest.raises(UsageError, match=f"plan is not a plan that `plan --save` wrote: {why}"):
        decode_saved(json.dumps({"apply": APPLY | odd}), "plan")


@pytest.mark.parametrize("count", [saved.MAX_CHANGES, saved.MAX_CHANGES + 1])
def test_where_too_much_changed_a_new_plan_is_asked_for(count: int) -> None:
    """A task holds so many prefixes to be left out, and no more."""
    first = date(2000, 1, 1)
    changes = [saved.Change(DayGroup("logs", "", first + timedelta(number)), "is new") for number in range(count)]
    scans = [ScanTask("logs", "", WINDOW)]
    if count == saved.MAX_CHANGES:
        assert len(saved.without(scans, changes)[0].window.exclude) == count
    else:
        with pytest.raises(UsageError, match="day groups changed since the plan, or are new: make a new plan"):
            saved.without(scans, changes)


def test_what_changed_is_left_out_of_its_own_bucket_alone() -> None:
    """And of the scans that it lies in, or that lie in it; others would skip a day group that is as the plan saw it."""
    day = date(2022, 7, 1)
    changes = [saved.Change(DayGroup("logs", "web/", day), "is new")]
    places = [("logs", ""), ("logs", "web/"), ("logs", "web/2022-07-01-05"), ("logs", "api/"), ("other", "")]
    scans = saved.without([ScanTask(bucket, prefix, WINDOW) for bucket, prefix in places], changes)
    assert [len(scan.window.exclude) for scan in scans] == [1, 1, 1, 0, 0]
    assert scans[0].window.exclude == ("web/2022-07-01-",)
