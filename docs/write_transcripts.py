"""`make transcripts`: run the commands of every ```console block in the guide and write what they print below them.

Each page has an S3 and an SQS server of its own, with the demo's buckets, a bucket `my-log-bucket`, an empty
`log-archive`, and `audit-logs` with the logs of an incident. The commands
of a page run in the order of the page, in one folder. So a page tells one story, and what it shows was really printed.

A ```screen block holds one command. It runs on a terminal of 80 columns (tmux); the block shows the last screen with
a progress line on it, or if there never was one, the last screen.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from docs import incident

from s3_log_roller.demo.sample_logs import sample_day
from s3_log_roller.demo.scenario import DAYS, Place, make_scenario
from s3_log_roller.demo.stage import Stage, set_stage

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = (
    "README.md",
    "docs/guide/start.md",
    "docs/guide/your-bucket.md",
    "docs/guide/plan.md",
    "docs/guide/deleting-safely.md",
    "docs/guide/storing.md",
    "docs/guide/reading.md",
    "docs/guide/query.md",
    "docs/guide/recipes.md",
    "docs/guide/export.md",
)

BUCKET: Final = "my-log-bucket"
ARCHIVE: Final = "log-archive"
LOGS_A_DAY: Final = {"web/": 60, "api/": 20}

_BLOCK: Final = re.compile(r"^```(console|screen)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND: Final = re.compile(r"^\$ (?:.*\\\n)*.*", re.MULTILINE)
_COLUMNS: Final = 80
_PROGRESS: Final = re.compile(
    r"[1-9][\d,]* logs?, .*logs/s|[1-9]\d*( of \d+)? rollups? verified,|[1-9][\d,]* logs? read,"
)


def main() -> int:
    """Rewrite the pages named on the command line, or all of them. Exits with 1 if a command is not found."""
    for name in sys.argv[1:] or PAGES:
        page = ROOT / name
        text = page.read_text()
        if _BLOCK.search(text) is None:
            continue
        with set_stage() as stage:
            _fill(stage)
            page.write_text(_BLOCK.sub(lambda block: _run_block(stage, block[1], block[2]), text))
        print(f"{name}: written")
    return 0


def _fill(stage: Stage) -> None:
    now = datetime.now(UTC)
    objects = make_scenario(now.date()).everything
    stage.s3.create_bucket(Bucket=BUCKET)
    for day in DAYS:
        for target_prefix, logs in LOGS_A_DAY.items():
            rng = Random(f"{target_prefix} {day}")
            for key, content in sample_day(rng, day, target_prefix.strip("/"), target_prefix, logs):
                objects[Place(BUCKET, key)] = content
    stage.s3.create_bucket(Bucket=ARCHIVE)
    stage.s3.create_bucket(Bucket=incident.BUCKET)
    for key, content in incident.incident_logs().items():
        objects[Place(incident.BUCKET, key)] = content
    stage.put(objects)


def _run_block(stage: Stage, kind: str, block: str) -> str:
    commands = _COMMAND.findall(block)
    run = _run if kind == "console" else _watch
    shown = "\n".join(run(stage, command) for command in commands)
    return f"```{kind}\n{shown}```"


def _run(stage: Stage, command: str) -> str:
    """The command and what it prints, on standard output and standard error alike, in the order of printing."""
    done = stage.run(["env", _path(), f"COLUMNS={_COLUMNS}", "bash", "-c", f"exec 2>&1; {command.removeprefix('$ ')}"])
    if done.returncode == 127:
        raise SystemExit(f"not found: {command}")
    return f"{command}\n{done.stdout}"


def _watch(stage: Stage, command: str) -> str:
    """The command and the last screen of a terminal that showed its progress."""
    tmux = ["tmux", "-L", f"transcripts-{os.getpid()}", "-f", os.devnull]
    line = shlex.join(["env", _path(), "bash", "-c", f"{command.removeprefix('$ ')}; sleep 0.5"])
    stage.run([*tmux, "new-session", "-d", "-x", str(_COLUMNS), "-y", "24", "-s", "screen", line])
    last = screen = ""
    while True:
        captured = stage.run([*tmux, "capture-pane", "-p", "-t", "screen"])
        if captured.returncode:
            break
        if _PROGRESS.search(captured.stdout):
            screen = captured.stdout
        last = captured.stdout if captured.stdout.strip() else last
        time.sleep(0.02)
    return f"{command}\n{(screen or last).rstrip()}\n"


def _path() -> str:
    return f"PATH={Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


if __name__ == "__main__":
    sys.exit(main())
