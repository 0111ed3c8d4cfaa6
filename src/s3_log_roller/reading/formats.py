"""Records as JSON and as CSV.

Plain lines go the quick way of `strict_lines`, the others through `parse_record`; what comes out is the same.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final

from s3_log_roller.reading.records import EXTRA, FIELDS, NUMBERS, decode_key, decode_line, parse_record
from s3_log_roller.reading.strict_lines import Columns, Shape, split_lines

KEY_DECODED: Final = "key_decoded"
"""Behind `key`: the key as the object's owner knows it."""
RAW: Final = "raw"
"""What a line that is not a record is shown as."""
LOG: Final = "log"
"""The field in front that names the log, if names are wanted."""

_KEY: Final = FIELDS.index("key")
COLUMNS: Final = (*FIELDS[: _KEY + 1], KEY_DECODED, *FIELDS[_KEY + 1 :])
CSV_COLUMNS: Final = (*COLUMNS, EXTRA, RAW)

_NOTHING: Final = ["-"]
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")


class Format(ABC):
    """Writes records, and counts the lines that are not records."""

    def __init__(self) -> None:
        self.unparsable = 0
        self._shape = Shape()

    def write(self, lines: bytes, name: str) -> tuple[bytes, int]:
        """(the records in those lines, how many). `name` is the log's, where names are wanted."""
        text = lines.decode("latin-1")
        if not text.endswith("\n"):
            text += "\n"
        out: list[str] = []
        count = 0
        for part in split_lines(text, self._shape):
            if isinstance(part, Columns):
                out += self._write_columns(part, name)
                count += part.number
            elif record := self._record(part):
                out.append(self._write_record(record, name))
                count += 1
        return "".join(out).encode(), count

    @abstractmethod
    def _write_columns(self, records: Columns, name: str) -> list[str]:
        """Plain records, a text each."""

    @abstractmethod
    def _write_record(self, record: dict[str, Any], name: str) -> str:
        """A record by `COLUMNS`, perhaps with `EXTRA`, or one with nothing but `RAW`."""

    def _record(self, line: str) -> dict[str, Any]:
        """A line's record, however odd it is; nothing if the line is blank."""
        text = decode_line(line.encode("latin-1"))
        if not text:
            return {}
        self._shape.see(text)
        found = parse_record(text)
        if found is None:
            self.unparsable += 1
            return {RAW: text}
        record: dict[str, Any] = {}
        for field, value in found.items():
            record[field] = value
            if field == "key":
                record[KEY_DECODED] = decode_key(found["operation"], value)
        return record


class JsonLines(Format):
    """An object a line; null where the log has nothing."""

    def _write_columns(self, records: Columns, name: str) -> list[str]:
        lines = _Template(f'{{"{LOG}":{json.dumps(name)},' if name else "{")
        for column in COLUMNS:
            lines.add(f'"{column}":')
            if column == KEY_DECODED:
                lines.add_column(decoded_keys(records), _encoded)
            else:
                lines.add_column(records.fields.get(column, _NOTHING), _bare if column in NUMBERS else _quoted)
            lines.add(",")
        return lines.fill(records.number, end="}\n")

    def _write_record(self, record: dict[str, Any], name: str) -> str:
        return json.dumps({LOG: name, **record} if name else record, separators=(",", ":")) + "\n"


def _bare(cells: list[str]) -> list[str]:
    return ["null" if cell == "-" else cell for cell in cells]


def _quoted(cells: list[str]) -> list[str]:
    return ["null" if cell == "-" else f'"{cell}"' for cell in cells]


def _encoded(cells: list[str]) -> list[str]:
    return [json.dumps(cell) if cell else "null" for cell in cells]


class CsvRows(Format):
    """Comma-separated values. A text that a spreadsheet would take for a formula has an apostrophe in front."""

    def _write_columns(self, records: Columns, name: str) -> list[str]:
        lines = _Template(f"{csv_cell(name)}," if name else "")
        for column in COLUMNS:
            if column == KEY_DECODED:
                lines.add_column(decoded_keys(records), _csv_texts)
            else:
                cells = records.fields.get(column, _NOTHING)
                lines.add_column(cells, _csv_numbers if column in NUMBERS else _csv_tokens)
            lines.add(",")
        lines.add(",,")  # nothing in EXTRA and RAW
        return lines.fill(records.number, end="\n")

    def _write_record(self, record: dict[str, Any], name: str) -> str:
        if EXTRA in record:
            record[EXTRA] = " ".join(record[EXTRA])
        cells = [csv_cell(record.get(column)) for column in CSV_COLUMNS]
        return ",".join([csv_cell(name), *cells] if name else cells) + "\n"


_TO_QUOTE: Final = re.compile(r'[,"\r\n]')


def _csv_numbers(cells: list[str]) -> list[str]:
    return ["" if cell == "-" else cell for cell in cells]


def _csv_tokens(cells: list[str]) -> list[str]:
    """Of the strict grammar: there are no quotes and no line ends in them."""
    plain = [cell if "," not in cell and cell[0] not in "-=+@" else None for cell in cells]
    if None not in plain:
        return cells
    return [
        shown if shown is not None else "" if cell == "-" else csv_cell(cell)
        for shown, cell in zip(plain, cells, strict=True)
    ]


def _csv_texts(cells: list[str]) -> list[str]:
    return [csv_cell(cell) for cell in cells]


def csv_cell(value: str | int | None) -> str:
    """The value as a cell; nothing is empty."""
    if not isinstance(value, str):
        return "" if value is None else str(value)
    if value.startswith(_FORMULA_STARTS):  # OWASP, "CSV Injection"
        value = f"'{value}"
    return f'"{value.replace(chr(34), chr(34) * 2)}"' if _TO_QUOTE.search(value) else value


def decoded_keys(records: Columns) -> list[str]:
    """Empty if there is no key."""
    keys = records.fields["key"]
    together = "".join(keys)
    if "%" in together or "+" in together:
        operations = records.fields["operation"]
        return ["" if pair[1] == "-" else decode_key(*pair) or "" for pair in zip(operations, keys, strict=True)]
    return ["" if key == "-" else key for key in keys] if "-" in keys else keys


class _Template:
    """A text for each record, made of what is the same in all of them and of columns that differ."""

    def __init__(self, start: str) -> None:
        self._parts = [start.replace("%", "%%")]
        self._columns: list[list[str]] = []

    def add(self, text: str) -> None:
        """Go on with the same for all."""
        self._parts.append(text)

    def add_column(self, cells: list[str], written: Callable[[list[str]], list[str]]) -> None:
        """Go on with one of `written(cells)` each; equal ones, or a single one, are the same for all."""
        if cells.count(cells[0]) == len(cells):
            self._parts.append(written(cells[:1])[0].replace("%", "%%"))
        else:
            self._parts.append("%s")
            self._columns.append(written(cells))

    def fill(self, count: int, *, end: str) -> list[str]:
        """The texts, with `end` in place of the last character."""
        template = "".join(self._parts)[:-1] + end
        if not self._columns:
            return [template % ()] * count
        return [template % row for row in zip(*self._columns, strict=True)]


def csv_header(*, with_names: bool) -> str:
    """The first line of CSV output, without its end."""
    return ",".join((LOG, *CSV_COLUMNS) if with_names else CSV_COLUMNS)
