from __future__ import annotations

import json
import logging
from datetime import date

import pytest

from s3_log_roller.amounts import size
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.log_output import fields_of
from s3_log_roller.rolling.figures import Figures
from s3_log_roller.rolling.outcome import RollOutcome, ScanOutcome
from s3_log_roller.rolling.sentences import describe, log_outcome
from s3_log_roller.rolling.summary import Summary, render_text, to_json

GROUP = DayGroup("logs", "web/", date(2022, 7, 1))
OTHER = DayGroup("logs", "app/", date(2022, 7, 1))


def test_a_run_that_did_everything() -> None:
    """The whole text of a run with rollups, deletes, leftovers, warnings and failures."""
    summary = Summary(deleting=True)
    summary.scanned(ScanOutcome(day_groups=3, requests=7))
    summary.tasks_received = 3
    figures = Figures(
        rollups=1,
        packed=1234,
        bytes_in=4_600_000,
        bytes_out=1_003_000,
        leftovers=10,
        leftovers_proven=10,
        deleted=1244,
        delete_markers=1244,
        archived=5,
    )
    summary.rolled(RollOutcome(GROUP, figures))
    summary.failed("s3://logs/x/2022-07-01", "s3:PutObject was refused\n\x1b[31m")
    assert render_text(summary) == (
        "1 prefix scanned with 7 requests: 3 day groups found.\n"
        "1 day group done.\n"
        "1 rollup written and verified: 1,234 logs, 4.6 MB packed into 1.0 MB (4.6 times smaller).\n"
        "1,244 originals deleted.\n"
        "10 originals were in rollups already, and this run proved it.\n"
        "Warning: 5 archived originals skipped and left alone: s3://logs/web/2022-07-01 (5). "
        "Restore them (aws s3api restore-object) and run again to roll them up.\n"
        "Warning: 1,244 deletes in s3://logs only wrote delete markers (the bucket is versioned): "
        "the bytes stay billed until a lifecycle rule expires noncurrent versions.\n"
        "1 failed:\n"
        "  s3://logs/x/2022-07-01: s3:PutObject was refused\\n\\x1b[31m\n"
    )
    assert summary.exit_code == 3


def test_a_second_run_says_that_there_was_nothing_to_do() -> None:
    """Without deleting, a run over rolled days tells that all is in place, and how to be rid of the originals."""
    summary = Summary()
    summary.scanned(ScanOutcome(1, 2))
    summary.tasks_received = 1
    summary.rolled(RollOutcome(GROUP, Figures(leftovers=9)))
    assert render_text(summary) == (
        "1 prefix scanned with 2 requests: 1 day group found.\n"
        "1 day group done.\n"
        "9 originals were in rollups already; this run did not read those rollups back (s3-log-roller verify does). "
        "--delete removes them.\n"
        "Nothing to do: every log of these days is in a rollup already.\n"
    )
    assert summary.exit_code == 0


def test_empty_prefixes_and_empty_queues_say_so() -> None:
    """A run that found nothing says what it looked at."""
    assert render_text(Summary()) == "Nothing to do: the queue is empty.\n"
    summary = Summary()
    summary.scanned(ScanOutcome(0, 1))
    assert render_text(summary) == (
        "1 prefix scanned with 1 request: 0 day groups found.\n"
        "Nothing to do: there are no logs of these days under these prefixes.\n"
    )


def test_a_producer_says_what_it_sent() -> None:
    """The whole text of a producer's run."""
    summary = Summary(tasks_sent=41)
    summary.scanned(ScanOutcome(40, 90))
    summary.scanned(ScanOutcome(1, 2))
    assert render_text(summary) == "2 prefixes scanned with 92 requests: 41 day groups found, 41 tasks sent.\n"


def test_an_interrupted_run_says_so() -> None:
    """Nothing that reads like success where work was cut off."""
    summary = Summary(interrupted=True, tasks_received=3, tasks_interrupted=1, day_groups_found=3, day_groups_done=2)
    assert render_text(summary) == (
        "2 day groups done.\n"
        "Interrupted: 1 day group found and not done. The figures are of what was done until then; nothing is lost, "
        "run again to go on.\n"
    )


def test_an_idle_run_that_is_interrupted_leaves_nothing_undone() -> None:
    """A worker that waits for tasks has no work that could be cut off."""
    summary = Summary(interrupted=True, tasks_received=2, day_groups_done=2)
    assert render_text(summary) == "2 day groups done.\nInterrupted while no task was under way.\n"


def test_a_failure_that_is_made_good_is_none() -> None:
    """A task that failed and was done when the queue gave it out again does not end in exit code 3."""
    summary = Summary()
    summary.failed(str(GROUP), "timeout")
    summary.failed(str(OTHER), "timeout")
    summary.rolled(RollOutcome(GROUP, Figures(packed=1)))
    assert list(summary.failures) == [str(OTHER)]
    summary.rolled(RollOutcome(OTHER, Figures(packed=1), remaining=1))
    assert summary.exit_code == 3


def test_exit_code_1_when_no_prefix_could_be_scanned() -> None:
    """3 promises that others were done; where nothing was, it is 1."""
    summary = Summary()
    summary.scan_failed("s3://a/", ValueError("no"))
    assert summary.exit_code == 1
    summary.scanned(ScanOutcome(0, 1))
    assert summary.exit_code == 3


def test_memory_stays_bounded_however_much_fails() -> None:
    """A worker that runs for ever remembers a limited number of failures and counts the rest."""
    summary = Summary()
    for number in range(2500):
        summary.failed(f"message {number}", "no")
    assert (len(summary.failures), summary.failed_count) == (1000, 2500)
    assert render_text(summary).endswith("  and 1,500 more, named in the log\n")


def archived_day(number: int, archived: int = 2, *, remaining: int = 0) -> RollOutcome:
    group = DayGroup("logs", f"{number}/", date(2022, 7, 1))
    return RollOutcome(group, Figures(archived=archived, uncertain=3), remaining=remaining)


def test_what_was_left_alone_is_counted_however_many_days_it_is_of() -> None:
    """Only names are forgotten where there are too many; a day that takes several steps counts once."""
    summary = Summary(tasks_received=2_400)
    for number in range(1_200):
        summary.rolled(archived_day(number, remaining=1))
        summary.rolled(archived_day(number))
    assert (len(summary.archived), len(summary.uncertain)) == (1000, 1000)
    assert to_json(summary)["archived_skipped"] == 2_400
    assert render_text(summary).startswith(
        "1,200 day groups done.\n"
        "Warning: 2,400 archived originals skipped and left alone: s3://logs/0/2022-07-01 (2), "
        "s3://logs/1/2022-07-01 (2), s3://logs/2/2022-07-01 (2), s3://logs/3/2022-07-01 (2), "
        "s3://logs/4/2022-07-01 (2) and at least 995 more days. Restore them (aws s3api restore-object) and run again"
    )


@pytest.mark.parametrize(
    ("days", "ends"), [(5, "4/2022-07-01 (2). Restore"), (6, "4/2022-07-01 (2) and 1 more day. R")]
)
def test_five_days_are_named_and_the_others_counted(days: int, ends: str) -> None:
    """A line with a thousand names would hide all others."""
    summary = Summary()
    for number in range(days):
        summary.rolled(archived_day(number))
    assert ends in render_text(summary)


def test_json_holds_every_figure() -> None:
    """Names that programs may rely on."""
    summary = Summary(deleting=True, tasks_received=1)
    figures = Figures(rollups=1, packed=2, bytes_in=20, bytes_out=10, leftovers=1, deleted=3, archived=4, uncertain=5)
    summary.rolled(RollOutcome(GROUP, figures))
    summary.failed("w", "y")
    assert json.loads(json.dumps(to_json(summary))) == {
        "deleting": True,
        "interrupted": False,
        "tasks_interrupted": 0,
        "prefixes_scanned": 0,
        "prefixes_failed": 0,
        "list_requests": 0,
        "day_groups_found": 0,
        "day_groups_excluded": 0,
        "tasks_sent": 0,
        "tasks_received": 1,
        "day_groups_done": 1,
        "rollups": 1,
        "logs_packed": 2,
        "bytes_in": 20,
        "bytes_out": 10,
        "leftovers": 1,
        "leftovers_proven": 0,
        "originals_deleted": 3,
        "delete_markers": 0,
        "uncertain_left": 5,
        "uncertain": {"s3://logs/web/2022-07-01": 5},
        "versions_deleted": 0,
        "versions_kept": 0,
        "other_versions": 0,
        "archived_skipped": 4,
        "archived": {"s3://logs/web/2022-07-01": 4},
        "failed": 1,
        "failures": [{"what": "w", "why": "y"}],
    }


def test_sizes_read_well() -> None:
    """Decimal units, never `1,000 kB`."""
    sizes = (0, 999, 1000, 999_949, 999_950, 4.6e9, 3e15)
    assert [size(n) for n in sizes] == ["0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "4.6 GB", "3,000.0 TB"]


def test_what_was_not_proven_is_not_called_proven() -> None:
    """Leftovers of rollups that were read back in part: the line says how many."""
    summary = Summary(tasks_received=1)
    summary.rolled(RollOutcome(GROUP, Figures(leftovers=9, leftovers_proven=4)))
    text = render_text(summary)
    assert "9 originals were in rollups already; this run proved that of 4 of them and did not read the other" in text
    assert "verified" not in text


def test_an_outcome_is_a_sentence_for_people() -> None:
    """What the log says of a day group, in the text format."""
    new = Figures(rollups=1, packed=1234, bytes_in=4_600_000, bytes_out=1_003_000, deleted=1234)
    old = Figures(leftovers=9, archived=1)
    assert describe(RollOutcome(GROUP, new, ("web/rollup-2022-07-01-1d07e68f.tgz",))) == (
        "s3://logs/web/2022-07-01: 1,234 logs rolled up into rollup-2022-07-01-1d07e68f.tgz, 4.6 MB packed "
        "into 1.0 MB; 1,234 originals deleted"
    )
    assert describe(RollOutcome(GROUP, old)) == (
        "s3://logs/web/2022-07-01: nothing new; 9 originals were in rollups already, not read back by this run; "
        "1 archived original skipped"
    )
    left = Figures(leftovers=1, leftovers_proven=1, uncertain=2)
    assert describe(RollOutcome(GROUP, left, remaining=3)) == (
        "s3://logs/web/2022-07-01: nothing new; 1 original was in rollups already, proven by this run; "
        "2 originals left alone: archived rollups may hold them; the rest follows in another step"
    )


def test_an_outcome_is_fields_for_programs(caplog: pytest.LogCaptureFixture) -> None:
    """The event has the day group and what was packed; other figures only where there are any."""
    figures = Figures(rollups=1, packed=2, bytes_in=30, bytes_out=20, leftovers=4, deleted=5, uncertain=6)
    with caplog.at_level(logging.INFO):
        log_outcome(RollOutcome(GROUP, figures, ("web/a.tgz", "web/b.tgz"), remaining=7))
        log_outcome(RollOutcome(GROUP, Figures(archived=1)))
    rolled, skipped = caplog.records
    group = {"bucket": "logs", "target_prefix": "web/", "day": "2022-07-01"}
    assert (rolled.message, rolled.levelno, fields_of(rolled)) == (
        "rolled",
        logging.INFO,
        {
            **group, "members": 2, "bytes_in": 30, "bytes_out": 20, "leftovers": 4, "deleted": 5, "uncertain": 6,
            "remaining": 7, "rollups": "web/a.tgz web/b.tgz",
            "sentence": describe(RollOutcome(GROUP, figures, ("web/a.tgz", "web/b.tgz"), remaining=7)),
        },
    )  # fmt: skip
    assert (skipped.message, skipped.levelno, fields_of(skipped)) == (
        "nothing_new",
        logging.WARNING,
        {
            **group, "members": 0, "bytes_in": 0, "bytes_out": 0, "archived": 1,
            "sentence": "s3://logs/web/2022-07-01: nothing new; 1 archived original skipped",
        },
    )  # fmt: skip


def test_what_was_excluded_is_counted_apart() -> None:
    """It is not among the day groups found."""
    summary = Summary()
    summary.scanned(ScanOutcome(3, 7, excluded={"web/": 1_000, "old/": 200}))
    summary.scanned(ScanOutcome(1, 1, excluded={"web/": 34}))
    assert render_text(summary).startswith("2 prefixes scanned with 8 requests: 4 day groups found, 1,234 excluded.\n")
    assert to_json(summary)["day_groups_excluded"] == 1_234


def test_prefixes_that_failed_are_counted() -> None:
    """Apart from those that were scanned."""
    summary = Summary()
    summary.scanned(ScanOutcome(0, 1))
    summary.scan_failed("s3://a/", ValueError("no"))
    summary.scan_failed("s3://b/", ValueError("no"))
    assert (to_json(summary)["prefixes_scanned"], to_json(summary)["prefixes_failed"]) == (1, 2)


def test_a_run_interrupted_in_follow_up_tasks_does_not_say_that_no_day_is_left() -> None:
    """All days found are done as far as it knows, and yet a task was cut off."""
    summary = Summary(interrupted=True, tasks_received=3, tasks_interrupted=1, day_groups_found=2, day_groups_done=2)
    assert "Interrupted: what was under way is not done." in render_text(summary)


@pytest.mark.parametrize(
    ("figures", "idle"),
    [
        (Figures(leftovers=1), True),
        (Figures(), True),
        (Figures(packed=1), False),
        (Figures(deleted=1), False),
        (Figures(archived=1), False),
        (Figures(uncertain=1), False),
    ],
)
def test_nothing_to_do_is_said_only_where_nothing_was_done_or_left(figures: Figures, idle: bool) -> None:
    """Nor where a task failed without a word of it, or none of a day's steps was the last."""
    summary = Summary(tasks_received=1)
    assert "Nothing to do" not in render_text(summary)
    summary.rolled(RollOutcome(GROUP, figures, remaining=1))
    assert "Nothing to do" not in render_text(summary)
    summary.rolled(RollOutcome(GROUP, figures))
    assert ("every log of these days is in a rollup already" in render_text(summary)) is idle


def test_versions_that_went_for_good_and_those_that_stay_are_told_of() -> None:
    """In a versioned bucket what is deleted is not always gone."""
    summary = Summary(deleting=True, tasks_received=2)
    summary.rolled(RollOutcome(GROUP, Figures(deleted=1, versions_deleted=1, leftovers=1, leftovers_proven=1)))
    assert render_text(summary) == (
        "1 day group done.\n"
        "1 original deleted, 1 of them with its version for good.\n"
        "1 original was in rollups already, and this run proved it.\n"
    )
    summary.rolled(RollOutcome(OTHER, Figures(deleted=4, versions_deleted=2, other_versions=3)))
    text = render_text(summary)
    assert "5 originals deleted, 3 of them with their version for good.\n" in text
    assert (
        "Warning: 3 other versions of deleted originals in s3://logs left, as nobody proved what is in them: "
        "a lifecycle rule that expires noncurrent versions removes them.\n"
    ) in text
