"""`verify`: prove rollups."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Final

from s3_log_roller.amounts import count
from s3_log_roller.cli.output import Output, note
from s3_log_roller.cli.reading import (
    WHERE_FROM,
    add_processes_argument,
    add_reading_arguments,
    open_session,
    places_of,
    selection_from,
    sources_from,
)
from s3_log_roller.errors import StorageError

if TYPE_CHECKING:
    from s3_log_roller.reading.completeness import Gap
    from s3_log_roller.reading.proofs import Proof

DESCRIPTION: Final = (
    "Reads rollups whole and checks the header and the MD5 of every log in them against the index, and against the "
    "original if it still exists. A tarball without an index is read to its end, as far as gzip and tar can check it."
)
EXAMPLES: Final = """\
examples:
  s3-log-roller verify s3://my-logs/
  s3-log-roller verify s3://my-logs/web/ --since 2022-07-01 --until 2022-07-31
  s3-log-roller verify --complete s3://my-logs/ \\
      --since 2022-01-01 --until 2022-12-31
  s3-log-roller verify --manifest rollups.jsonl s3://my-logs/
  s3-log-roller verify rollup-2022-07-01-b33e1e0a.tgz
"""
EXIT_CODES: Final = {
    0: "every rollup is right",
    1: "there is nothing to verify, or nothing could be verified; the message says why",
    3: "a rollup is damaged, missing or could not be read, or days are missing; all others were verified",
}
IF_INTERRUPTED: Final = "only the rollups named above were verified"
NAMED_MEMBERS: Final = 5


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("uris", nargs="+", metavar="URI", help=WHERE_FROM)
    group = parser.add_argument_group("which rollups")
    group.add_argument("--since", metavar="DAY", help="first day")
    group.add_argument("--until", metavar="DAY", help="last day")
    group.add_argument(
        "--complete",
        action="store_true",
        help="also name every day, from --since or the first to --until or the last, of which a target prefix has "
        "neither logs nor rollups",
    )
    group.add_argument(
        "--manifest",
        metavar="FILE",
        help="also check that every rollup named in this file is there and has the bytes whose SHA-256 is in the file",
    )
    parser.set_defaults(member=None)
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end instead of lines")
    add_processes_argument(parser)
    add_reading_arguments(parser)


def run(args: Namespace) -> int:
    """Print a line for every rollup. Return an exit code that says whether all are right."""
    from s3_log_roller.reading.completeness import Calendar, read_manifest
    from s3_log_roller.reading.groups import NothingThere, find_groups
    from s3_log_roller.reading.operations import Prove
    from s3_log_roller.reading.parallel import Failure, batches, run_all
    from s3_log_roller.reading.proofs import find_rollups

    selection = selection_from(args)
    sources = sources_from(args.uris)
    manifest = read_manifest(args.manifest, places_of(args, sources), selection) if args.manifest else {}
    report = _Report(args.json, manifest)
    calendar = Calendar()
    with open_session(args) as session:

        def listing_failed(message: str) -> None:
            report.all_listed = False
            session.failed(message)

        groups = find_groups(session.stores, sources, selection, listing_failed, session.rollups_in)
        shares = find_rollups(calendar.watch(groups))

        def take(proof: Proof | Failure) -> None:
            if isinstance(proof, Failure):
                session.failed(proof.message)
                return
            proof = report.take(proof)
            if proof.verdict in ("changed", "damaged", "unreadable"):
                session.failed(_complaint(proof))
            elif not args.json:
                output.line(_praise(output.name(proof.where), proof))
                output.show_soon()

        def figures() -> list[str]:
            # Every rollup is a share of its own.
            of_all = f"{report.rollups:,} of " if session.extent.all_found else ""
            rollups = count(session.extent.found_shares if of_all else report.rollups, "rollup")
            return [f"{of_all}{rollups} verified", count(report.members, "log")]

        with Output() as output, session.progress(figures, output):
            prove = Prove(session.open_stores, with_sha256=bool(manifest))
            with suppress(NothingThere) if manifest else nullcontext():  # then everything that is listed is missing
                run_all(
                    prove,
                    batches(shares),
                    args.processes,
                    take,
                    stores=session.stores,
                    extent=session.extent,
                    stop_at=output.pipe,
                )
            output.flush()
            for where in report.missing:
                session.failed(f"{where} is in the manifest, but not there any more")
            for where in report.unseen:
                session.failed(f"{where} is in the manifest and was not seen: what is there could not all be listed")
            if args.complete:
                report.gaps = list(calendar.gaps(_day(args.since), _day(args.until)))
            for gap in report.gaps:
                days = str(gap.first) if gap.days == 1 else f"{gap.first} to {gap.last} ({gap.days} days)"
                session.failed(f"{gap.where} has neither logs nor rollups of {days}")
            if args.json:
                output.line(json.dumps(report.to_json()))
        if not report.rollups and not session.failures:
            raise StorageError(f"there is nothing to verify: no rollup is in {', '.join(args.uris)}{selection.or_none}")
        if not args.quiet:
            are = "is" if report.rollups == 1 else "are"
            rollups, members = count(report.rollups, "rollup"), count(report.members, "member")
            unlisted = f", {count(report.unlisted, 'rollup')} not in the manifest" if report.unlisted else ""
            note(f"{report.right:,} of {rollups} {are} right, {members} read{unlisted}")
        return session.exit_code


class _Report:
    """What was seen."""

    def __init__(self, with_results: bool, manifest: dict[str, str]) -> None:
        self.rollups = self.right = self.members = 0
        self.unlisted = 0
        """Rollups that a manifest was given for and that are not in it."""
        self.all_listed = True
        """Whether everything that is there could be listed."""
        self.gaps: list[Gap] = []
        self._results: list[Proof] | None = [] if with_results else None
        self._manifest = manifest
        self._seen: set[str] = set()

    def take(self, proof: Proof) -> Proof:
        """Count a rollup in; what became of it, the manifest considered."""
        listed = self._manifest.get(proof.where)
        if listed is not None:
            self._seen.add(proof.where)
            if proof.sha256 and proof.sha256 != listed:
                reason = f"its SHA-256 is {proof.sha256}, not {listed} as in the manifest"
                if proof.verdict == "damaged":
                    proof = replace(proof, reason=f"{proof.reason}; {reason}")
                else:
                    proof = replace(proof, verdict="changed", reason=reason)
        self.unlisted += listed is None and bool(self._manifest)
        self.rollups += 1
        self.members += proof.members
        self.right += proof.verdict in ("ok", "no-index")
        if self._results is not None:
            self._results.append(proof)
        return proof

    @property
    def missing(self) -> list[str]:
        """Rollups of the manifest that are not there."""
        return self._not_seen() if self.all_listed else []

    @property
    def unseen(self) -> list[str]:
        """Rollups of the manifest that were not found, where not everything could be listed."""
        return [] if self.all_listed else self._not_seen()

    def _not_seen(self) -> list[str]:
        return sorted(self._manifest.keys() - self._seen)

    def to_json(self) -> dict[str, object]:
        """The object that `--json` prints."""
        return {
            "rollups": self.rollups,
            "rollups_right": self.right,
            "members": self.members,
            "missing": self.missing,
            "unseen": self.unseen,
            "unlisted": self.unlisted,
            "gaps": [
                {"where": gap.where, "first": str(gap.first), "last": str(gap.last), "days": gap.days}
                for gap in self.gaps
            ],
            "results": [
                {
                    "rollup": proof.where,
                    "verdict": proof.verdict,
                    "members": proof.members,
                    "originals_same": proof.originals,
                    "reason": proof.reason or None,
                    "damaged_members": list(proof.damaged),
                }
                for proof in self._results or ()
            ],
        }


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text[:10]) if text else None


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
    what = "is not the rollup that was listed" if proof.verdict == "changed" else "is damaged"
    return f"{proof.where} {what}: {proof.reason}{which}"
