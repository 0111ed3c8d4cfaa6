"""The metrics line is what CloudWatch's embedded metric format asks for."""

from __future__ import annotations

import json
from datetime import date

from s3_log_roller.aws_lambda.metrics import UNITS, encode_emf, figures_of
from s3_log_roller.errors import RollerError
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rolling.figures import Figures
from s3_log_roller.rolling.outcome import RollOutcome
from s3_log_roller.rolling.summary import Summary


def test_one_line_names_every_metric_once_and_holds_its_value() -> None:
    """The line is one JSON object whose directive lists the metrics, each with a value beside it."""
    summary = Summary()
    figures = Figures(rollups=1, packed=5, bytes_in=500, bytes_out=50)
    summary.rolled(RollOutcome(DayGroup("b", "p/", date(2022, 7, 1)), figures))
    line = encode_emf(figures_of(summary, 3), "roller", 1_700_000_000_000, request_id="r")
    assert "\n" not in line
    fields = json.loads(line)
    assert fields["_aws"]["Timestamp"] == 1_700_000_000_000
    (directive,) = fields["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "S3LogRoller"
    assert directive["Dimensions"] == [["FunctionName"]]
    assert directive["Metrics"] == [{"Name": name, "Unit": unit} for name, unit in UNITS.items()]
    assert fields["FunctionName"] == "roller"
    assert fields["request_id"] == "r"
    expected = {"DayGroupsDone": 1, "Rollups": 1, "Logs": 5, "BytesIn": 500, "BytesOut": 50, "OldestUnrolledDayAge": 3}
    assert {name: fields[name] for name in UNITS if fields[name]} == expected


def test_failed_scans_have_a_metric_of_their_own() -> None:
    """Tasks may fail for a while and succeed again; a prefix that cannot be scanned is for a person to see."""
    summary = Summary()
    summary.scan_failed("s3://b/p", RollerError("no"))
    summary.failed("s3://b/p2022-07-01", "no")
    figures = figures_of(summary, None)
    assert (figures["Failures"], figures["ScanFailures"]) == (2, 1)


def test_a_schedule_is_a_dimension_of_one_metric() -> None:
    """Only DayGroupsFound is counted by schedule: every further metric costs money."""
    fields = json.loads(encode_emf(figures_of(Summary(), None), "roller", 1, "daily"))
    assert fields["Schedule"] == "daily"
    whole, by_schedule = fields["_aws"]["CloudWatchMetrics"]
    assert whole["Dimensions"] == [["FunctionName"]]
    assert by_schedule["Dimensions"] == [["FunctionName", "Schedule"]]
    assert [metric["Name"] for metric in by_schedule["Metrics"]] == ["DayGroupsFound"]


def test_no_age_is_told_where_no_day_was_open() -> None:
    """An age of 0 would say that today is not rolled up."""
    assert "OldestUnrolledDayAge" not in figures_of(Summary(), None)
