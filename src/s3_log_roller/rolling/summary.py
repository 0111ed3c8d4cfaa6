"""What a run did: the figures it collects, and how it tells them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from s3_log_roller.amounts import count, size
from s3_log_roller.log_output import printable
from s3_log_roller.rolling.figures import Figures
from s3_log_roller.rolling.outcome import RollOutcome, ScanOutcome

MAX_NAMED: Final = 1_000
"""Failures, and day groups with something archived, remembered by name, so that memory stays bounded in a worker that
never ends."""

_NAMED_DAYS: Final = 5
"""Days whose originals were left alone are so many at most in the summary; --json has all of them."""

DONE: Final = 0
ERROR: Final = 1
SOME_FAILED: Final = 3


@dataclass(slots=True)
class Summary:
    """Sums over everything that happened since the program started."""

    deleting: bool = False
    prefixes_scanned: int = 0
    prefixes_failed: int = 0
    list_requests: int = 0
    day_groups_found: int = 0
    excluded: Counter[str] = field(default_factory=Counter)
    """Day groups that were left out, by the prefix that did it. They are not among those found."""
    tasks_sent: int = 0
    tasks_received: int = 0
    idle: bool = False
    """Nothing is done at this moment but to ask the queue for another task."""
    day_groups_done: int = 0
    figures: Figures = field(default_factory=Figures)
    marker_buckets: set[str] = field(default_factory=set)
    """Buckets where versions of deleted originals stay."""
    archived: dict[str, int] = field(default_factory=dict)
    """By day group, how many originals were skipped because they are in an archive tier."""
    archived_unnamed: int = 0
    """How many were skipped in day groups that `archived` has no room for."""
    uncertain: dict[str, int] = field(default_factory=dict)
    """By day group, how many originals were left because an archived rollup may hold them."""
    failures: dict[str, str] = field(default_factory=dict)
    unnamed_failures: int = 0
    interrupted: bool = False
    tasks_interrupted: int = 0
    """Tasks that were under way when the run was interrupted."""

    def scanned(self, outcome: ScanOutcome) -> None:
        """A prefix was scanned."""
        self.prefixes_scanned += 1
        self.list_requests += outcome.requests
        self.day_groups_found += outcome.day_groups
        self.excluded.update(outcome.excluded)

    def scan_failed(self, what: str, error: Exception) -> None:
        """A prefix could not be scanned to its end; what was found until then stands."""
        self.prefixes_failed += 1
        self.failed(what, str(error))

    def rolled(self, outcome: RollOutcome) -> None:
        """One pass over a day group came to its end; the group is done unless originals remain."""
        name = str(outcome.group)
        self.figures += outcome.figures
        if outcome.figures.delete_markers or outcome.figures.other_versions:
            self.marker_buckets.add(outcome.group.bucket)
        if outcome.figures.archived:
            self._skipped(name, outcome)
        if outcome.figures.uncertain and len(self.uncertain) < MAX_NAMED:
            self.uncertain[name] = outcome.figures.uncertain
        if kept := outcome.figures.versions_kept:
            self.failed(f"{name}, versions", _versions_kept(kept))
        if not outcome.remaining:
            self.day_groups_done += 1
            self.failures.pop(name, None)

    def _skipped(self, name: str, outcome: RollOutcome) -> None:
        """Each step of a day group counts its archived originals anew, so only the last one's count."""
        if name in self.archived or len(self.archived) < MAX_NAMED:
            self.archived[name] = outcome.figures.archived
        elif not outcome.remaining:
            self.archived_unnamed += outcome.figures.archived

    @property
    def archived_skipped(self) -> int:
        """How many originals were skipped because they are in an archive tier."""
        return sum(self.archived.values()) + self.archived_unnamed

    def failed(self, what: str, why: str) -> None:
        """Something failed, for now: a day group that is done later takes its failure back."""
        if what in self.failures or len(self.failures) < MAX_NAMED:
            self.failures[what] = why
        else:
            self.unnamed_failures += 1

    def made_good(self, what: str) -> None:
        """What failed before did not in the end."""
        self.failures.pop(what, None)

    @property
    def failed_count(self) -> int:
        """How many prefixes, day groups and messages failed and were not made good."""
        return len(self.failures) + self.unnamed_failures

    @property
    def exit_code(self) -> int:
        """0 done, 1 when not one prefix could be scanned, 3 when some of the work failed."""
        if not self.failed_count:
            return DONE
        nothing_scanned = self.prefixes_failed and not self.prefixes_scanned and not self.tasks_received
        return ERROR if nothing_scanned else SOME_FAILED


def render_text(summary: Summary, *, finished: bool = True) -> str:
    """The summary for people: a few lines, the news first, warnings and failures last.

    A run that an error ended is not `finished`: nobody knows whether there was anything to do.
    """
    lines = [_scan_line(summary), *_work_lines(summary)]
    if finished and not summary.failed_count and not summary.interrupted:
        lines.append(_nothing_to_do(summary))
    lines += [*_warnings(summary), *_failure_lines(summary)]
    if summary.interrupted:
        lines.append(_interruption(summary))
    return "".join(f"{line}\n" for line in lines if line)


def to_json(summary: Summary) -> dict[str, Any]:
    """The summary for programs: every figure, under names that stay."""
    figures = summary.figures
    return {
        "deleting": summary.deleting,
        "interrupted": summary.interrupted,
        "tasks_interrupted": summary.tasks_interrupted,
        "prefixes_scanned": summary.prefixes_scanned,
        "prefixes_failed": summary.prefixes_failed,
        "list_requests": summary.list_requests,
        "day_groups_found": summary.day_groups_found,
        "day_groups_excluded": summary.excluded.total(),
        "tasks_sent": summary.tasks_sent,
        "tasks_received": summary.tasks_received,
        "day_groups_done": summary.day_groups_done,
        "rollups": figures.rollups,
        "logs_packed": figures.packed,
        "bytes_in": figures.bytes_in,
        "bytes_out": figures.bytes_out,
        "leftovers": figures.leftovers,
        "leftovers_proven": figures.leftovers_proven,
        "originals_deleted": figures.deleted,
        "delete_markers": figures.delete_markers,
        "uncertain_left": figures.uncertain,
        "uncertain": summary.uncertain,
        "versions_deleted": figures.versions_deleted,
        "versions_kept": figures.versions_kept,
        "other_versions": figures.other_versions,
        "archived_skipped": summary.archived_skipped,
        "archived": summary.archived,
        "failed": summary.failed_count,
        "failures": [{"what": what, "why": why} for what, why in summary.failures.items()],
    }


def _versions_kept(kept: int) -> str:
    """Nothing takes this back: the originals are hidden, so no later run comes to them."""
    return (
        f"{count(kept, 'original')} got a delete marker, but S3 refused to delete the version below it; each is named "
        "in the log: allow s3:DeleteObjectVersion; what Object Lock holds stays until its retention ends. Later runs "
        "don't see these logs any more, so let a lifecycle rule expire noncurrent versions"
    )


def _interruption(summary: Summary) -> str:
    """What is left, as far as this run knows."""
    if not summary.tasks_interrupted:
        return "Interrupted while no task was under way."
    left = summary.day_groups_found - summary.day_groups_done
    what = f"{count(left, 'day group')} found and not done" if left > 0 else "what was under way is not done"
    return f"Interrupted: {what}. The figures are of what was done until then; nothing is lost, run again to go on."


def _scan_line(summary: Summary) -> str:
    if not summary.prefixes_scanned:
        return ""
    line = (
        f"{count(summary.prefixes_scanned, 'prefix', 'prefixes')} scanned with "
        f"{count(summary.list_requests, 'request')}: {count(summary.day_groups_found, 'day group')} found"
    )
    if summary.excluded:
        line += f", {summary.excluded.total():,} excluded"
    return line + (f", {count(summary.tasks_sent, 'task')} sent." if summary.tasks_sent else ".")


def _work_lines(summary: Summary) -> list[str]:
    lines = []
    if summary.day_groups_done:
        lines.append(f"{count(summary.day_groups_done, 'day group')} done.")
    figures = summary.figures
    if figures.packed:
        smaller = f" ({figures.bytes_in / figures.bytes_out:.1f} times smaller)" if figures.bytes_out else ""
        lines.append(
            f"{count(figures.rollups, 'rollup')} written and verified: {count(figures.packed, 'log')}, "
            f"{size(figures.bytes_in)} packed into {size(figures.bytes_out)}{smaller}."
        )
    if figures.deleted:
        gone = figures.versions_deleted
        for_good = f", {gone:,} of them with {'its' if gone == 1 else 'their'} version for good" if gone else ""
        lines.append(f"{count(figures.deleted, 'original')} deleted{for_good}.")
    if figures.leftovers:
        lines.append(_leftovers_line(figures.leftovers, figures.leftovers_proven, deleting=summary.deleting))
    return lines


def _leftovers_line(leftovers: int, proven: int, *, deleting: bool) -> str:
    """What is known of the originals that need not be packed, and from what."""
    if proven == leftovers:
        proof = ", and this run proved it"
    elif proven:
        proof = f"; this run proved that of {proven:,} of them and did not read the other rollups back"
    else:
        proof = "; this run did not read those rollups back (s3-log-roller verify does)"
    kept = "" if deleting else ". --delete removes them"
    return f"{count(leftovers, 'original')} {'was' if leftovers == 1 else 'were'} in rollups already{proof}{kept}."


def _nothing_to_do(summary: Summary) -> str:
    if summary.tasks_received:
        figures = summary.figures
        unread = summary.archived or summary.uncertain
        idle = summary.day_groups_done and not (figures.packed or figures.deleted or unread)
        return "Nothing to do: every log of these days is in a rollup already." if idle else ""
    if summary.prefixes_scanned:
        return (
            "" if summary.day_groups_found else "Nothing to do: there are no logs of these days under these prefixes."
        )
    return "Nothing to do: the queue is empty."


def _warnings(summary: Summary) -> list[str]:
    lines = []
    if summary.archived:
        numbered = [f"{name} ({number:,})" for name, number in summary.archived.items()]
        lines.append(
            f"Warning: {count(summary.archived_skipped, 'archived original')} skipped and left alone: "
            f"{_some_of(numbered)}. Restore them (aws s3api restore-object) and run again to roll them up."
        )
    if summary.uncertain:
        lines.append(
            f"Warning: {count(summary.figures.uncertain, 'original')} left alone, because rollups in an archive tier "
            f"may hold them already: {_some_of(list(summary.uncertain))}. Restore those rollups (aws s3api "
            "restore-object) and run again to compare them."
        )
    where = ", ".join(f"s3://{bucket}" for bucket in sorted(summary.marker_buckets))
    if others := summary.figures.other_versions:
        lines.append(
            f"Warning: {count(others, 'other version')} of deleted originals in {where} left, as "
            "nobody proved what is in them: a lifecycle rule that expires noncurrent versions removes them."
        )
    if markers := summary.figures.delete_markers:
        lines.append(
            f"Warning: {count(markers, 'delete')} in {where} only wrote delete markers (the bucket is "
            "versioned): the bytes stay billed until a lifecycle rule expires noncurrent versions."
        )
    return lines


def _some_of(days: list[str]) -> str:
    named = ", ".join(printable(day) for day in days[:_NAMED_DAYS])
    more = len(days) - _NAMED_DAYS
    if more <= 0:
        return named
    return f"{named} and {'at least ' if len(days) == MAX_NAMED else ''}{count(more, 'more day', 'more days')}"


def _failure_lines(summary: Summary) -> list[str]:
    if not summary.failed_count:
        return []
    lines = [f"{summary.failed_count:,} failed:"]
    lines += [f"  {printable(what)}: {printable(why)}" for what, why in summary.failures.items()]
    if summary.unnamed_failures:
        lines.append(f"  and {summary.unnamed_failures:,} more, named in the log")
    return lines
