from __future__ import annotations

from datetime import date

from s3_log_roller.pages.calendar import calendar

JUNE, JULY = date(2022, 6, 29), date(2022, 7, 4)


def test_a_calendar_shows_gaps_and_days_that_are_done() -> None:
    """Every day from the first to the last known one has its place: a column a week, Monday on top."""
    months, gaps = calendar({JUNE: 100, JULY: 4}, {date(2022, 7, 1)})
    assert [(month.name, month.weeks) for month in months] == [("2022-06", 5), ("2022-07", 2)]
    cells = [(cell.week, cell.weekday, cell.shade) for month in months for cell in month.cells]
    assert cells == [(4, 2, "5"), (4, 3, "gap"), (0, 4, "done"), (0, 5, "gap"), (0, 6, "gap"), (1, 0, "2")]
    assert gaps == [date(2022, 6, 30), date(2022, 7, 2), date(2022, 7, 3)]
    assert months[1].label == "2022-07: 4 logs on 1 day, none on 2022-07-02, 2022-07-03"


def test_an_empty_calendar_and_one_without_logs() -> None:
    """Only archived logs, for example."""
    assert calendar({}, ()) == ([], [])
    assert [cell.shade for month in calendar({JUNE: 0}, ())[0] for cell in month.cells] == ["1"]


def test_a_long_calendar_shows_its_latest_months() -> None:
    """Two years; the gaps are counted all the same."""
    months, gaps = calendar({date(2012, 1, 1): 1, date(2022, 1, 1): 1}, ())
    assert (len(months), months[-1].name, len(gaps)) == (24, "2022-01", 3652)
