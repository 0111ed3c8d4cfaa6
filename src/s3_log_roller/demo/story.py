"""The demo itself: the roller's whole job, told step by step, by its real commands against real servers."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import time
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import md5
from itertools import groupby
from pathlib import Path
from textwrap import wrap
from typing import Any, Final

from s3_log_roller.amounts import count, size
from s3_log_roller.demo.proof import prove
from s3_log_roller.demo.scenario import BUCKETS, PREFIXES, Place, make_scenario
from s3_log_roller.demo.stage import QUEUE, Listing, Stage, set_stage
from s3_log_roller.errors import RollerError
from s3_log_roller.log_keys import parse_log_key, parse_rollup_key

ROLE_ARN: Final = "arn:aws:sts::123456789012:role/s3-rollup-bucket-access"
PRODUCER: Final = ("producer", "--queue-name", QUEUE, "--s3-role", ROLE_ARN, "--prefixes", *PREFIXES)
WORKER: Final = ("worker", "--queue-name", QUEUE, "--delete")
PLAN: Final = ("plan", "--s3-role", ROLE_ARN, "--delete", "--prefixes", *PREFIXES)

SHOWN_OF_A_DAY: Final = 3
"""If a day has more logs than this, only the first one is listed."""
WIDTH: Final = 100
DAY_AHEAD: Final = timedelta(minutes=5)
"""Shortly before midnight, today's logs are tomorrow's already, so that they stay untouchable to the end."""


class DemoFailed(RollerError):
    """The program broke a promise of the demo, or one of its commands failed."""


def tell() -> None:
    """Tell the whole story. Raises `DemoFailed` where it does not come true; leaves nothing behind, however it ends."""
    started = time.monotonic()
    _say("The whole job of s3-log-roller on this machine: SeaweedFS stands in for S3, ministack for SQS.")
    with set_stage() as stage:
        now = datetime.now(UTC) + DAY_AHEAD
        scenario = make_scenario(now.date())
        n_bytes = sum(map(len, scenario.everything.values()))
        _headline(f"Fill {len(BUCKETS)} buckets with {len(scenario.everything):,} objects, {size(n_bytes)}")
        stage.put(scenario.everything)
        before = stage.list_everything()
        _require(_etags(before) == _md5s(scenario.everything), "the buckets do not hold what was put into them")
        _say(
            f"{count(len(scenario.past), 'log')} of July 2022, {len(scenario.today)} of today ({now:%Y-%m-%d}, UTC), "
            f"{len(scenario.no_logs)} objects that are not logs."
        )

        _headline("Before")
        _say(*render_listing(before))

        plan = _plan(stage)

        _headline("Find the days, send tasks to the queue, then process the tasks")
        _show_roller(stage, PRODUCER)
        _show_roller(stage, WORKER)

        _headline("After")
        after = stage.list_everything()
        _say(*render_listing(after))

        _headline("Proof")
        rollups = {place: stage.get(place) for place in after if parse_rollup_key(place.key)}
        problems = prove(scenario.past, rollups)
        if problems:
            raise DemoFailed(f"not proven: {problems[0]} (and {len(problems) - 1:,} problems more)")
        _say(f"Python's tarfile: all {len(scenario.past):,} logs are in the {len(rollups)} rollups, byte for byte.")
        kept = {place: listed for place, listed in after.items() if place not in rollups}
        _require(_etags(kept) == _md5s(scenario.untouched), "an object that must not be touched was changed")
        _say(f"All {len(kept)} other objects are as they were: today's logs, and what is not a log.")
        _say("The ordinary tar reads them, too:", "")
        _show_tar(stage, *next(iter(rollups.items())))

        _headline("Run again: nothing is left to do")
        _show_roller(stage, PRODUCER)
        _show_roller(stage, WORKER)
        _require(stage.list_everything() == after, "the second run changed something")
        _say("", "Not one object was changed.")

        _headline("What it was for: the plan, made before the run")
        _say("", *_command_lines(["s3-log-roller", *PLAN]), *render_plan(plan, rollups.values()))
    _say("", f"Done in {time.monotonic() - started:.0f} s; the servers are stopped, their files are gone.")


def _plan(stage: Stage) -> dict[str, Any]:
    """What the program says beforehand, as JSON: it is told at the end, beside what came of it."""
    done = stage.run_roller([*PLAN, "--json"])
    _require(done.returncode == 0, f"the plan ended with {done.returncode}: {done.stderr}")
    plan: dict[str, Any] = json.loads(done.stdout)
    return plan


def render_plan(plan: dict[str, Any], rollups: Collection[bytes]) -> list[str]:
    """What was planned and what came of it, and the plan's verdict."""
    total = plan["total"]
    planned = f"{count(total['rollups'], 'rollup')} of about {size(total['rollup_bytes'])}"
    made = f"{len(rollups):,} of {size(sum(map(len, rollups)))}"
    return [
        f"{planned} for {count(total['logs'], 'log')} of {size(total['bytes'])}; it became {made}.",
        *wrap(plan["verdict"], WIDTH),
    ]


def _show_roller(stage: Stage, arguments: tuple[str, ...]) -> None:
    """Run a command of the program and show it, the first line of its log, and what it says in the end."""
    _say("", *_command_lines(["s3-log-roller", *arguments]))
    done = stage.run_roller(arguments)
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
        raise DemoFailed(f"the {arguments[0]} ended with {done.returncode}; what it said is above")
    log = done.stderr.splitlines()
    _say(*log[:1], *([f"... {len(log) - 1} more such lines ..."] if log[1:] else []), *done.stdout.splitlines())


def _show_tar(stage: Stage, place: Place, rollup: bytes) -> None:
    """Show how the `tar` of this machine lists a rollup."""
    name = Path(place.key).name
    if shutil.which("tar") is None:
        _say(f"(this machine has no tar to list {name} with)")
        return
    (stage.folder / name).write_bytes(rollup)
    command = ["tar", "tvzf", name]
    _say(*_command_lines(command))
    done = stage.run(command)
    _require(done.returncode == 0 and not done.stderr, f"tar cannot read {place}: {done.stderr}")
    _say(*done.stdout.splitlines())


def render_listing(listing: Listing) -> list[str]:
    """Sizes and URIs; of a day with many logs the first, and how many more there are."""
    lines = []
    for _, group in groupby(listing.items(), key=lambda item: _kind(item[0])):
        objects = [f"{listed.size:>9,}  {place}" for place, listed in group]
        if len(objects) > SHOWN_OF_A_DAY:
            objects[1:] = [f"           ... {len(objects) - 1:,} more logs of that day ..."]
        lines += objects
    return [*lines, f"{len(listing):,} objects, {size(sum(listed.size for listed in listing.values()))}"]


def _kind(place: Place) -> object:
    """The same for the logs of a day group; an object that is not a log is a kind of its own."""
    log = parse_log_key(place.key)
    return place if log is None else (place.bucket, log)


def _etags(listing: Listing) -> dict[Place, str]:
    return {place: listed.etag for place, listed in listing.items()}


def _md5s(objects: Mapping[Place, bytes]) -> dict[Place, str]:
    return {place: md5(content, usedforsecurity=False).hexdigest() for place, content in objects.items()}


def _command_lines(words: Iterable[str]) -> list[str]:
    """The command as typed: broken before an option where it is too long for a line."""
    first, *options = shlex.join(words).split(" --")
    lines = [f"$ {first}"]
    for option in options:
        if len(f"{lines[-1]} --{option}") > WIDTH:
            lines[-1] += " \\"
            lines.append("   ")
        lines[-1] += f" --{option}"
    return lines


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise DemoFailed(otherwise)


def _headline(text: str) -> None:
    line = f"== {text} =="
    colourful = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    _say("", f"\033[1m{line}\033[0m" if colourful else line)


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()
