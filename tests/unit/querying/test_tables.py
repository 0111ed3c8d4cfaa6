"""The statements that make a table of exported files are ones that the engines understand."""

from __future__ import annotations

import pytest
import sqlglot
from sqlglot import exp

from s3_log_roller.errors import UsageError
from s3_log_roller.querying.parquet import schema_without
from s3_log_roller.querying.tables import DIALECTS, Table, ddl

PLACE = "s3://my-parquet/logs"


def parsed(dialect: str, table: Table) -> list[exp.Expression]:
    statements = sqlglot.parse(ddl(dialect, table), read=dialect)
    return [statement for statement in statements if isinstance(statement, exp.Expression)]


def properties(create: exp.Expression) -> dict[str, str]:
    return {
        found.this.name: found.args["value"].name for found in create.find_all(exp.Property) if "value" in found.args
    }


@pytest.mark.parametrize("dialect", ["athena", "spark", "trino"])
@pytest.mark.parametrize("dropped", [(), ("extra", "host_id")])
def test_a_table_has_the_columns_of_the_files_and_those_of_the_path(dialect: str, dropped: tuple[str, ...]) -> None:
    """By their names, in their order, each once, the two of the path last, whatever was dropped."""
    create = parsed(dialect, Table(PLACE, dropped))[0]
    assert isinstance(create, exp.Create)
    names = [column.name for column in create.find_all(exp.ColumnDef)]
    assert names == [*schema_without(dropped).names, "bucket", "day"]
    assert ("host_id" in names) == (not dropped)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_statements_are_understood_whatever_the_target_is_called(dialect: str) -> None:
    """Quotes in a name end no text."""
    statements = parsed(dialect, Table("s3://my-parquet/o'clock; DROP TABLE logs/"))
    assert isinstance(statements[0], exp.Create)
    assert not any(isinstance(statement, exp.Drop) for statement in statements)
    assert "o''clock; DROP TABLE logs/" in ddl(dialect, Table("s3://my-parquet/o'clock; DROP TABLE logs/"))


def test_athena_projects_partitions_and_needs_no_crawler() -> None:
    """Every partition follows from the table's properties: the day from its range, the bucket from the question."""
    found = properties(parsed("athena", Table(PLACE))[0])
    assert found["projection.enabled"] == "true"
    assert found["projection.bucket.type"] == "injected"
    assert found["projection.day.type"] == "date"
    assert found["projection.day.format"] == "yyyy-MM-dd"
    assert found["projection.day.range"] == "2006-03-14,NOW"
    assert found["storage.location.template"] == f"{PLACE}/bucket=${{bucket}}/day=${{day}}/"


def test_athena_knows_the_buckets_that_are_named() -> None:
    """With them also where the lines lie that are not records, and the first day."""
    found = properties(parsed("athena", Table(PLACE, (), ("a.example", "b.example"), "2022-07-01"))[0])
    assert found["projection.bucket.type"] == "enum"
    assert found["projection.bucket.values"] == "a.example,b.example,__HIVE_DEFAULT_PARTITION__"
    assert found["projection.day.range"] == "2022-07-01,NOW"


@pytest.mark.parametrize("dialect", ["athena", "trino"])
def test_a_directory_is_not_a_place_for_engines_elsewhere(dialect: str) -> None:
    """They cannot read it."""
    with pytest.raises(UsageError, match="needs a place that it can read: --to s3://"):
        ddl(dialect, Table("parquet"))
