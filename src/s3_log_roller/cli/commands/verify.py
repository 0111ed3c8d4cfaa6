"""`verify`: prove rollups."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Final

from s3_log_roller.cli.output import Output, note
from s3_log_roller.cli.reading import (
    WHERE_FROM,
    add_processes_argument,
    add_reading_arguments,
    open_session,
    selection_from,
    sources_from,
)
from s3_log_roller.rolling.summary import count

if TYPE_CHECKING:
    from s3_log_roller.reading.proofs import Proof

DESCRIPTION: Final = (
    "Reads rollups whole and checks the header and the MD5 of every log in them against the index, and against the "
    "original if it still exists. A tarball without an index is read to its end, as far as gzip and tar can check it."
)
EXAMPLES: Final = """\
examples:
  s3-log-roller verify s3://my-logs/
  s3-log-roller verify s3://my-logs/example.com/ --since 2022-07-01 --until 2022-07-31
  s3-log-roller verify rollup-2022-07-01-b33e1e0a.tgz
"""
EXIT_CODES: Final = {
    0: "every rollup is right",
    1: "nothing could be verified; the message says why",
    3: "a rollup is damaged or could not be read; all others were verified",
}
IF_INTERRUPTED: Final = "only the rollups named above were verified"
NAMED_MEMBERS: Final = 5


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("uris", nargs="+", metavar="URI", help=WHERE_FROM)
    group = parser.add_argument_group("which rollups")
    group.add_argument("--since", metavar="DAY", help="first day")
    group.add_argument("--until", metavar="DAY", help="last day")
    parser.set_defaults(member=None)
    add_processes_argument(parser)
    add_reading_arguments(parser)


def run(args: Namespace) -> int:
    """Print a line for every rollup. Return an exit code that says whether all are right."""
    from s3_log_roller.reading.groups import find_groups
    from s3_log_roller.reading.operations import Prove
    from s3_log_roller.reading.parallel import Failure, batches, run_all
    from s3_log_roller.reading.proofs import find_rollups

    selection = selection_from(args)
    sources = sources_from(args.uris)
    with open_session(args) as session:
        shares = find_rollups(find_groups(session.stores, sources, selection, session.failed))
        rollups = right = members = 0

        def take(proof: Proof | Failure) -> None:
            nonlocal rollups, right, members
            if isinstance(proof, Failure):
                session.failed(proof.message)
                return
            rollups += 1
            members += proof.members
            if proof.verdict in ("damaged", "unreadable"):
                session.failed(_complaint(proof))
            else:
                right += 1
                output.line(_praise(output.name(proof.where), proof))
                output.show_soon()

        def figures() -> list[str]:
            return [f"{count(rollups, 'rollup')} verified", count(members, "log")]

        with Output() as output, session.progress(figures):
            prove = Prove(session.open_stores)
            run_all(prove, batches(shares), args.processes, take, stores=session.stores, stop_at=output.pipe)
        if not args.quiet:
            note(f"{right} of {rollups} rollups are right, {members} members were read")
        return session.exit_code


def _praise(where: str, proof: Proof) -> str:
    originals = f", {proof.originals} originals still there are the same" if proof.originals else ""
    if proof.verdict == "no-index":
        why = f" ({proof.reason})" if proof.reason else ""
        return f"no index  {where}  {proof.members} members can be read{originals}{why}"
    return f"ok        {where}  {proof.members} members{originals}"


def _complaint(proof: Proof) -> str:
    if proof.verdict == "unreadable":
        return proof.reason
    named = ", ".join(proof.damaged[:NAMED_MEMBERS])
    more = f" and {len(proof.damaged) - NAMED_MEMBERS} more" if len(proof.damaged) > NAMED_MEMBERS else ""
    which = f"; {len(proof.damaged)} of {proof.members} members: {named}{more}" if proof.damaged else ""
    return f"{proof.where} is damaged: {proof.reason}{which}"
