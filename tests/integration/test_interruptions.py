"""Ctrl-C and SIGTERM among deletes, of a real process before a server that answers deletes behind the signal only."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from typing import Final

import pytest
from bench.buckets import Bucket
from bench.logs import LogSet
from bench.s3_api import Call
from bench.s3_server import ServerOptions, serving
from tests.support.answers import is_delete
from tests.support.paths import MAIN

from s3_log_roller.log_keys import parse_log_key, parse_rollup_key

pytestmark = pytest.mark.heavy

ONE_DAY: Final = LogSet(("example.com/",), days=1, logs=8_000, records=1)
MANY_DAYS: Final = LogSet(("example.com/",), days=30, logs=300, records=1)
FEW: Final = ServerOptions(writes_above=0.001, write_burst=1_500, whole_calls=1.0)
"""Grants the rollups and a thousand deletes; asks for fewer of those behind them, so that no run gets to its end."""
PATIENCE_S: Final = 120
"""With what should take a few seconds: other tests are at work."""


class Interrupted:
    """A run of `roll --delete` that got a signal when the first deletes were done and not yet answered."""

    def __init__(self, logs: LogSet, how: signal.Signals, *options: str) -> None:
        self.bucket = Bucket()
        self.bucket.fill(logs)
        begun, signalled = threading.Event(), threading.Event()

        def note(call: Call, answer: bytes) -> bytes:
            if is_delete(call):
                begun.set()
            return answer

        with serving(replace(FEW), note) as server:
            server.holds_back = lambda call: is_delete(call) and not signalled.is_set()
            server.api.buckets["logs"] = self.bucket
            keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": server.url}
            self._environment = {**os.environ, **keys, "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}
            command = [sys.executable, str(MAIN), "roll", "--prefixes", "s3://logs/", "--delete", *options]
            pipe = subprocess.PIPE
            with subprocess.Popen(command, env=self._environment, stdout=pipe, stderr=pipe, text=True) as process:
                assert begun.wait(PATIENCE_S)
                process.send_signal(how)
                signalled.set()
                self.out, self.err = process.communicate(timeout=PATIENCE_S)
            self.code = process.returncode
            server.options.writes_above = 0
            self.logs_left = sum(parse_log_key(key) is not None for key, _ in self.bucket.entries("", ""))
            self.rollups = sum(parse_rollup_key(key) is not None for key, _ in self.bucket.entries("", ""))
            self.deleted = len(logs) - self.logs_left
            again = subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=PATIENCE_S)
            self.code_of_next = again.returncode
            self.logs_left_by_next = sum(parse_log_key(key) is not None for key, _ in self.bucket.entries("", ""))


@pytest.mark.parametrize(
    ("how", "logs", "processes"),
    [
        pytest.param(signal.SIGTERM, ONE_DAY, "1", id="SIGTERM in one day"),
        pytest.param(signal.SIGINT, ONE_DAY, "2", id="Ctrl-C in one day with processes"),
        pytest.param(signal.SIGINT, MANY_DAYS, "1", id="Ctrl-C in a pass"),
        pytest.param(signal.SIGTERM, MANY_DAYS, "2", id="SIGTERM in a pass with processes"),
    ],
)
def test_an_interruption_among_deletes_counts_what_was_done(how: signal.Signals, logs: LogSet, processes: str) -> None:
    """Rollups, packed logs and deleted originals are those that the server has; the next run goes on.

    Processes that roll two parts of a pass are not at the same step: what one has published and not yet proven when
    the other deletes is on the server, and rightly not among the verified rollups.
    """
    run = Interrupted(logs, how, "--processes", processes, "--json")
    told = json.loads(run.out)
    assert run.code == 128 + how
    assert 0 < run.deleted < len(logs)
    assert told["originals_deleted"] == run.deleted
    if processes == "1" or logs is ONE_DAY:
        assert told["rollups"] == run.rollups
    else:
        assert run.deleted / logs.logs <= told["rollups"] <= run.rollups
    assert told["logs_packed"] == told["rollups"] * logs.logs
    assert told["interrupted"]
    assert 1 <= told["tasks_interrupted"] <= int(processes)
    assert "run again to go on" in run.err
    assert (run.code_of_next, run.logs_left_by_next) == (0, 0)


def test_the_text_says_what_is_done_and_what_is_left() -> None:
    """The same figures for people."""
    run = Interrupted(ONE_DAY, signal.SIGINT)
    told = " ".join(run.out.split())
    assert "1 rollup written and verified: 8,000 logs" in told
    assert f"{run.deleted:,} originals deleted." in told
    assert "Interrupted: 1 day group found and not done." in told
