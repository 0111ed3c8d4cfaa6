"""`ls`: list rollups, or what is inside them."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from s3_log_roller.cli.output import Output, note
from s3_log_roller.cli.reading import (
    WHERE_FROM,
    Session,
    add_reading_arguments,
    add_selection_arguments,
    open_session,
    selection_from,
    sources_from,
)

if TYPE_CHECKING:
    from s3_log_roller.reading.groups import Group

DESCRIPTION: Final = (
    "Lists the rollups under prefixes with their day, the number of logs in them (members), the bytes of the originals "
    "and of the rollup. It fetches a few hundred bytes of each rollup."
)
EXAMPLES: Final = """\
examples:
  s3-log-roller ls s3://my-logs/
  s3-log-roller ls s3://my-logs/web/ --since 2022-07-01 --until 2022-07-31
  s3-log-roller ls --members s3://my-logs/web/rollup-2022-07-01-b33e1e0a.tgz

With --members the columns are the time of the original (LastModified), its bytes, and rollup:member.
"""
EXIT_CODES: Final = {
    0: "everything asked for is listed",
    1: "nothing could be listed; the message says why",
    3: "something could not be read; the rest is listed",
}
IF_INTERRUPTED: Final = "the list is not complete"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("uris", nargs="+", metavar="URI", help=WHERE_FROM)
    parser.add_argument("--members", action="store_true", help="list the logs in the rollups")
    parser.add_argument("--json", action="store_true", help="print a JSON object a line instead of columns")
    add_selection_arguments(parser)
    add_reading_arguments(parser)


def run(args: Namespace) -> int:
    """Print the list. Return an exit code that says whether every rollup could be read."""
    from s3_log_roller.reading.groups import find_groups

    selection = selection_from(args)
    sources = sources_from(args.uris)
    with open_session(args) as session:
        groups = list(find_groups(session.stores, sources, selection, session.failed, session.rollups_in))
        with Output() as output:
            if args.members or args.member:
                _list_members(session, groups, output, as_json=args.json)
            else:
                _list_rollups(session, groups, output, as_json=args.json)
        return session.exit_code


def _list_rollups(session: Session, groups: list[Group], output: Output, *, as_json: bool) -> None:
    from s3_log_roller.reading.listing import list_rollups, read_checksums

    checksums = read_checksums(session.stores, groups, session.failed) if as_json else {}
    if not as_json:
        output.line(f"{'DAY':10} {'MEMBERS':>9} {'ORIGINAL BYTES':>15} {'PACKED BYTES':>14}  ROLLUP")
    for found in list_rollups(session.stores, groups, session.failed):
        if as_json:
            listed = {
                "rollup": found.where,
                "day": found.day and str(found.day),
                "members": found.members,
                "original_bytes": found.original_bytes,
                "packed_bytes": found.packed_bytes,
                "checksums": checksums.get(found.where, {}),
            }
            output.line(json.dumps(listed))
            continue
        members = "no index" if found.members is None else str(found.members)
        original = "-" if found.original_bytes is None else str(found.original_bytes)
        day = str(found.day or "-")
        output.line(f"{day:10} {members:>9} {original:>15} {found.packed_bytes:>14}  {output.name(found.where)}")
    loose = [group for group in groups if group.has_loose]
    if loose:
        output.flush()
        days = "1 day has" if len(loose) == 1 else f"{len(loose)} days have"
        note(f"{days} logs that are not rolled up or not deleted; the first is {loose[0].day_group}")


def _list_members(session: Session, groups: list[Group], output: Output, *, as_json: bool) -> None:
    from s3_log_roller.reading.listing import list_members

    for where, member in list_members(session.stores, groups, session.failed):
        if as_json:
            listed = {"rollup": where, "member": member.name, "bytes": member.size, "time": _time(member.mtime)}
            output.line(json.dumps(listed))
            continue
        name = output.name(f"{where}:{member.name}")
        output.line(f"{_time(member.mtime)} {member.size:>9}  {name}")


def _time(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"@{seconds}"
