"""What one does without this program: DuckDB's CSV reader on extracted logs. Prints how many lines have a status.

`python -m bench.duckdb_text FILE STATUS`. It is not exact: records with quotes in their user agents, or with more or
fewer fields than others, come out with other columns or not at all.
"""

from __future__ import annotations

import sys

import duckdb

FIELDS = 29
"""The time has a space in it, so it takes two columns; later records have more columns."""
STATUS = 10


def main() -> None:
    """Count and print."""
    path, status = sys.argv[1:]
    columns = ", ".join(f"'c{number}': 'VARCHAR'" for number in range(FIELDS))
    source = (
        f"read_csv('{path}', delim=' ', quote='\"', escape='\"', header=false, auto_detect=false, "
        f"columns={{{columns}}}, null_padding=true, ignore_errors=true, strict_mode=false)"
    )
    print(duckdb.connect().execute(f"SELECT count(*) FROM {source} WHERE c{STATUS} = ?", [status]).fetchall()[0][0])


if __name__ == "__main__":
    main()
