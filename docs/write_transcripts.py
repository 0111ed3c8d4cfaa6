"""`make transcripts`: run the commands of every ```console block in the guide and write what they print below them.

Each page has an S3 and an SQS server of its own, with the demo's buckets and a bucket `my-log-bucket`. The commands
of a page run in the order of the page, in one folder. So a page tells one story, and what it shows was really printed.
"""

from __future__ import annotations

import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Final

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
)

BUCKET: Final = "my-log-bucket"
LOGS_A_DAY: Final = {"web/": 60, "api/": 20}

_CONSOLE: Final = re.compile(r"(?<=^```console\n)(.*?)(?=^```$)", re.MULTILINE | re.DOTALL)
_COMMAND: Final = re.compile(r"^\$ (?:.*\\\n)*.*", re.MULTILINE)
_WITHOUT_TERMINAL: Final = {"COLUMNS": "80"}


def main() -> int:
    """Rewrite the pages named on the command line, or all of them. Exits with 1 if a command is not found."""
    for name in sys.argv[1:] or PAGES:
        page = ROOT / name
        text = page.read_text()
        if _CONSOLE.search(text) is None:
            continue
        with set_stage() as stage:
            _fill(stage)
            page.write_text(_CONSOLE.sub(lambda block: _run_block(stage, block[1]), text))
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
    stage.put(objects)


def _run_block(stage: Stage, block: str) -> str:
    return "\n".join(_run(stage, command) for command in _COMMAND.findall(block))


def _run(stage: Stage, command: str) -> str:
    """The command and what it prints, on standard output and standard error alike, in the order of printing."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = [f"{name}={value}" for name, value in {"PATH": path, **_WITHOUT_TERMINAL}.items()]
    done = stage.run(["env", *environment, "bash", "-c", f"exec 2>&1; {command.removeprefix('$ ')}"])
    if done.returncode == 127:
        raise SystemExit(f"not found: {command}")
    return f"{command}\n{done.stdout}"


if __name__ == "__main__":
    sys.exit(main())
