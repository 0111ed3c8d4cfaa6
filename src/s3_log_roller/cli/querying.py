"""What the commands share that need the extra `query`: its import, and reading rows."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from s3_log_roller.cli.reading import Session
from s3_log_roller.errors import UsageError

if TYPE_CHECKING:
    from s3_log_roller.querying.conditions import Conditions
    from s3_log_roller.querying.rows import Seen
    from s3_log_roller.reading.groups import Group, Source
    from s3_log_roller.reading.selection import Selection


def import_querying(module: str, command: str) -> ModuleType:
    """A module of `querying`, which needs libraries that not everybody has. Raises `UsageError`."""
    try:
        return importlib.import_module(f"s3_log_roller.querying.{module}")
    except ModuleNotFoundError as error:
        if error.name not in ("duckdb", "pyarrow"):
            raise
        raise UsageError(
            f"{command} needs {error.name}, which is not installed: "
            "pip install '<path or URL you installed from>[query]'"
        ) from error


def read_rows(
    session: Session,
    sources: list[Source],
    selection: Selection,
    processes: int,
    take: Callable[[Any], None],
    *,
    wanted: Collection[str],
    seen: Callable[[Seen], None],
    watch: Callable[[Iterable[Group]], Iterable[Group]] = iter,
    conditions: Conditions | None = None,
) -> None:
    """Hand over the rows of all logs, batch by batch, and behind them what was seen; `watch` sees the day groups.

    Rows that do not fulfil the `conditions` may be missing, and are not read as far as that can be helped.
    """
    from s3_log_roller.querying.conditions import ALL
    from s3_log_roller.querying.rows import ReadRows, Seen
    from s3_log_roller.reading.groups import find_groups
    from s3_log_roller.reading.parallel import Failure, batches, run_all
    from s3_log_roller.reading.shares import find_shares

    def sort_out(result: Any) -> None:
        if isinstance(result, Failure):
            session.failed(result.message)
        elif isinstance(result, Seen):
            seen(result)
        else:
            take(result.batch)

    conditions = conditions or ALL
    groups = conditions.narrowed(
        watch(find_groups(session.stores, sources, selection, session.failed, session.rollups_in))
    )
    shares = find_shares(session.stores, groups, session.failed, split=processes > 1)
    rows = ReadRows(session.open_stores, wanted, conditions)
    run_all(rows, batches(shares), processes, sort_out, stores=session.stores, extent=session.extent)
