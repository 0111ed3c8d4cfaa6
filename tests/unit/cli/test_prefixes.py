from __future__ import annotations

import io
from datetime import date, timedelta
from pathlib import Path

import pytest

from s3_log_roller.cli.parser import parse
from s3_log_roller.cli.prefixes import Place, bucket_regions, places_from, scans_from, warn_of_unused_exclusions
from s3_log_roller.errors import UsageError
from s3_log_roller.rolling.outcome import ScanOutcome
from s3_log_roller.rolling.summary import Summary
from s3_log_roller.rolling.tasks import ScanTask
from s3_log_roller.rolling.window import Window
from s3_log_roller.uris import Role, S3Uri

TODAY = date(2022, 7, 3)
ROLE_ARN = "arn:aws:iam::123456789012:role/s3-rollup-bucket-access"
OTHER_ARN = "arn:aws:iam::999999999999:role/logs"
PREFIX = "--prefixes s3://logs/"


def places(line: str) -> list[Place]:
    return places_from(parse(line.split(), {}))


def scans(line: str) -> list[list[ScanTask]]:
    args = parse(line.split(), {})
    return scans_from(args, places_from(args), TODAY)


def write(folder: Path, text: str) -> Path:
    (folder / "prefixes").write_text(text)
    return folder / "prefixes"


@pytest.mark.parametrize(
    ("arguments", "window"),
    [
        ("", Window(TODAY)),
        ("--min-age-days 1", Window(TODAY)),
        ("--min-age-days 3", Window(date(2022, 7, 1))),
        ("--max-age-days 1", Window(TODAY, TODAY - timedelta(days=1))),
        ("--until 2022-06-30", Window(date(2022, 7, 1))),
        ("--until 2099-01-01", Window(TODAY)),
        ("--since 2022-06-01 --until 2022-06-01", Window(date(2022, 6, 2), date(2022, 6, 1))),
        ("--min-age-days 2 --until 2022-07-02", Window(date(2022, 7, 2))),
        ("--max-age-days 3", Window(TODAY, date(2022, 6, 30))),
        ("--max-age-days 3 --since 2022-07-01", Window(TODAY, date(2022, 7, 1))),
        ("--max-age-days 3 --since 2020-01-01", Window(TODAY, date(2022, 6, 30))),
    ],
)
def test_the_days_asked_for(arguments: str, window: Window) -> None:
    """`--min-age-days 1` is yesterday and earlier, `--until` is inclusive, and today is never in the window."""
    ((task,),) = scans(f"roll {PREFIX} {arguments}")
    assert task.window == window
    assert not window.has_day(TODAY)
    assert window.has_day(window.cutoff - timedelta(days=1))


def test_prefixes_become_scan_tasks_with_the_role() -> None:
    """Role and external id go into the tasks, for the workers."""
    found = scans(f"producer --queue-name q {PREFIX} --s3-role {ROLE_ARN} --external-id x1")
    assert found == [[ScanTask("logs", "", Window(TODAY), Role(ROLE_ARN, "x1"))]]


def test_uris_need_no_option() -> None:
    """`roll s3://bucket-a/` is `roll --prefixes s3://bucket-a/`, as with the commands that read."""
    expected = [Place(S3Uri("bucket-b", "x")), Place(S3Uri("bucket-a", ""))]
    assert places("roll s3://bucket-a/ -q --prefixes s3://bucket-b/x") == expected
    assert places("roll --prefixes s3://bucket-b/x -q s3://bucket-a/") == expected


def test_a_file_names_a_role_and_a_region_per_line(tmp_path: Path) -> None:
    """So the buckets of several accounts are one run; empty lines and comments do not count."""
    path = write(
        tmp_path,
        "# production\n\ns3://bucket-a/logs/\n"
        f"s3://bucket-b/a prefix with spaces/   region=eu-west-1 role={OTHER_ARN} external-id=x1\n",
    )
    assert places(f"roll --prefixes-from {path} --s3-role {ROLE_ARN}") == [
        Place(S3Uri("bucket-a", "logs/"), Role(ROLE_ARN)),
        Place(S3Uri("bucket-b", "a prefix with spaces/"), Role(OTHER_ARN, "x1"), "eu-west-1"),
    ]


def test_prefixes_come_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """`aws s3api list-buckets … | s3-log-roller roll --prefixes-from -`."""
    monkeypatch.setattr("sys.stdin", io.StringIO("s3://bucket-a/\ns3://bucket-b/\n"))
    assert [place.uri.bucket for place in places("roll --prefixes-from -")] == ["bucket-a", "bucket-b"]


def test_a_prefix_is_left_out_if_another_of_the_same_role_covers_it(tmp_path: Path) -> None:
    """With another role it may be all that this role can read."""
    path = write(tmp_path, f"s3://bucket-a/x/\ns3://bucket-a/\ns3://bucket-a/y/ role={OTHER_ARN}\n")
    assert [(str(place.uri), place.role) for place in places(f"roll --prefixes-from {path}")] == [
        ("s3://bucket-a/", None),
        ("s3://bucket-a/y/", Role(OTHER_ARN)),
    ]


def test_scans_of_one_role_stand_together(tmp_path: Path) -> None:
    """All scans of one group ask for the same window with the same role."""
    path = write(tmp_path, f"s3://bucket-a/\ns3://bucket-b/ role={OTHER_ARN}\ns3://bucket-c/\n")
    groups = scans(f"roll --prefixes-from {path}")
    assert [[task.bucket for task in group] for group in groups] == [["bucket-a", "bucket-c"], ["bucket-b"]]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("logs/", "line 1: 'logs/' is not an S3 URI"),
        ("s3://bucket-a/ role=me", "line 1: 'me' is not the ARN of a role"),
        ("s3://bucket-a/ external-id=x1", "line 1: external-id= needs role= on the same line"),
        ("s3://bucket-a/ region=a region=b", "line 1: region= is given twice"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, words: str) -> None:
    """With its number; nothing is done of the rest."""
    with pytest.raises(UsageError, match=words):
        places(f"roll --prefixes-from {write(tmp_path, line)}")


def test_a_bucket_has_one_region(tmp_path: Path) -> None:
    """Two lines may repeat it, but not contradict each other."""
    given = [
        Place(S3Uri("bucket-a", "x"), None, "eu-west-1"),
        Place(S3Uri("bucket-a", "y")),
        Place(S3Uri("bucket-b", ""), None, "us-east-1"),
    ]
    assert bucket_regions(given) == {"bucket-a": "eu-west-1", "bucket-b": "us-east-1"}
    with pytest.raises(UsageError, match="two regions are given for s3://bucket-a, eu-west-1 and us-west-2"):
        bucket_regions([*given, Place(S3Uri("bucket-a", "z"), None, "us-west-2")])


def test_exclusions_go_into_the_tasks_of_their_places() -> None:
    """Workers know what is left out, too; an exclusion elsewhere does not make the messages longer."""
    line = "roll s3://bucket-a/web/ s3://bucket-b/ --exclude s3://bucket-a/web/old/ --exclude s3://bucket-a/api/"
    ((web, other),) = scans(line + " --exclude s3://bucket-a/")
    assert web.window.exclude == ("web/old/", "")
    assert other.window.exclude == ()


def test_an_exclusion_that_leaves_nothing_out_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    """It may be mistyped, and the next run may delete."""
    summary = Summary()
    summary.scanned(ScanOutcome(3, 1, excluded={"old/": 2}))
    args = parse(["roll", "s3://logs/", "--exclude", "s3://logs/old/", "--exclude", "s3://logs/odl/"], {})
    warn_of_unused_exclusions(args, summary)
    assert [record.__dict__["prefix"] for record in caplog.records] == ["s3://logs/odl/"]


def test_too_many_exclusions_are_refused() -> None:
    """A task is a small message."""
    with pytest.raises(UsageError, match="8,000 bytes"):
        scans("roll s3://logs/" + "".join(f" --exclude s3://logs/{n:02}{'x' * 900}" for n in range(10)))
