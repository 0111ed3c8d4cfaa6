"""The metrics line is what CloudWatch's embedded metric format asks for."""

from __future__ import annotations

import json
from datetime import date

from s3_log_roller.aws_lambda.metrics import UNITS, encode_emf, figures_of
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
    assert {name: fields[name] for name in UNITS if fields[name]} == expected | {"Successes": 1}


def test_a_failure_is_no_success() -> None:
    """The alarm "no success in 2 days" is not silenced by an invocation in which something failed."""
    summary = Summary()
    summary.failed("s3://b/p", "no")
    figures = figures_of(summary, None)
    assert (figures["Failures"], figures["Successes"]) == (1, 0)


def test_no_age_is_told_where_no_day_was_open() -> None:
    """An age of 0 would say that today is not rolled up."""
    assert "OldestUnrolledDayAge" not in figures_of(Summary(), None)
