"""A report on some logs: the answers to many questions over one reading, and what was read for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any, Final

import pyarrow as pa

from s3_log_roller.querying.columns import Counts
from s3_log_roller.querying.engine import Question, Read, Write, ask_all, understand
from s3_log_roller.querying.questions import NamedQuestion, find_question
from s3_log_roller.querying.results import is_number, plain_value, rows_of
from s3_log_roller.querying.rows import Seen
from s3_log_roller.reading.completeness import Gap

QUESTIONS: Final = (
    "overview",
    "requests-by-day",
    "requests-by-operation",
    "refused",
    "server-errors",
    "bytes-by-requester",
    "top-keys",
    "bytes-by-address",
    "bytes-by-prefix",
    "deletes-by-requester",
    "lifecycle",
    "config-changes",
    "anonymous",
    "old-tls",
    "sigv2",
    "acls-needed",
)
"""Each goes through the logs once, so that memory stays bounded."""
MAX_ROWS: Final = 100
"""Of each answer."""
MAX_DAYS: Final = 4_000
"""More than ten years."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The first rows of the answer to a question."""

    question: NamedQuestion
    columns: tuple[str, ...]
    numbers: frozenset[str]
    """Columns that hold numbers."""
    rows: list[tuple[Any, ...]]
    """As JSON has them: times and dates are texts in ISO 8601."""
    is_complete: bool
    """There are no more rows."""

    def dicts(self) -> list[dict[str, Any]]:
        """The rows by their columns."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@dataclass(frozen=True, slots=True)
class Scope:
    """What was asked for."""

    today: date
    uris: tuple[str, ...]
    since: str | None
    until: str | None
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Delivery:
    """The days of which a target prefix has logs or rollups."""

    where: str
    days: int
    first: date
    last: date
    gaps: list[Gap]


@dataclass(frozen=True, slots=True)
class Report:
    """What the logs say, what was read, and what was not."""

    scope: Scope
    answers: Mapping[str, Answer]
    """By the names of the questions."""
    seen: Seen
    rollups: int
    """Rollups found."""
    deliveries: list[Delivery]
    failures: list[str]
    """What could not be read; at most the first ones."""
    failed: int
    """How many things could not be read."""

    @property
    def overview(self) -> dict[str, Any]:
        """The most important figures."""
        return self.answers["overview"].dicts()[0]

    @property
    def counts(self) -> Counts:
        """What became of the lines that were read."""
        return self.seen.counts


def wanted_columns() -> frozenset[str]:
    """The columns that the questions look at."""
    return frozenset[str]().union(*(question.columns for _, question in _questions()))


def answer_all(read: Read) -> dict[str, Answer]:
    """The answers to all questions over one reading. Raises as `ask_all` does."""
    answers: dict[str, Answer] = {}

    def write(named: NamedQuestion) -> Write:
        return lambda answer: answers.update({named.name: _first_rows(named, answer)})

    ask_all([(question, write(named)) for named, question in _questions()], read)
    return {name: answers[name] for name in QUESTIONS}


@cache
def _questions() -> Sequence[tuple[NamedQuestion, Question]]:
    asked = []
    for name in QUESTIONS:
        named = find_question(name)
        parameters = {"rows": str(MAX_ROWS + 1)} if "rows" in named.defaults else {}
        asked.append((named, understand(named.text, named.with_defaults(parameters))))
    return asked


def _first_rows(named: NamedQuestion, answer: pa.RecordBatchReader) -> Answer:
    rows: list[tuple[Any, ...]] = []
    most = MAX_DAYS if named.name == "requests-by-day" else MAX_ROWS
    is_complete = True
    for row in rows_of(answer):
        if len(rows) == most:
            is_complete = False
            break
        rows.append(tuple(map(plain_value, row)))
    schema = answer.schema
    numbers = frozenset(field.name for field in schema if is_number(field.type))
    return Answer(named, tuple(schema.names), numbers, rows, is_complete)
