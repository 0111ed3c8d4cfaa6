from __future__ import annotations

import array
import fcntl
import os
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from tests.support.logs import PREFIX, log_key
from tests.support.quick_server import PROGRAM
from tests.support.tarballs import a_tarball
from tests.support.waiting import wait_for

from s3_log_roller.cli.output import wrapped

LINE = "4 rollups written and verified: 160 logs, 610.3 kB packed into 151.7 kB."


@pytest.mark.parametrize("columns", [40, 80])
def test_a_result_is_wrapped_between_words_on_a_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """No word is broken; in a file or a pipe, lines stay as they are."""
    text = f"1 prefix scanned.\n{LINE}\n"
    assert wrapped(text) == text
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = wrapped(text).splitlines()
    assert all(len(line) <= columns for line in lines)
    assert " ".join(" ".join(lines).split()) == f"1 prefix scanned. {LINE}"
    assert len(lines) == (2 if columns == 80 else 3)


LOG = log_key(1)[len(PREFIX) :]
BUFFERED_OR_NOT = pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])


def waiting_in(pipe: int) -> int:
    """How many bytes wait for their reader."""
    count = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, count)
    return count[0]


@BUFFERED_OR_NOT
@pytest.mark.skipif(sys.platform != "linux", reason="how much a pipe holds can be asked on Linux only")
def test_output_is_whole_though_a_signal_comes_in_the_middle(tmp_path: Path, unbuffered: str) -> None:
    """A pipe is full, and its writer is stopped and goes on, as with Ctrl-Z and `fg`: the system took a part only."""
    body = b"".join(b"line %d\n" % number for number in range(50_000))
    (tmp_path / LOG).write_bytes(body)
    command = [*PROGRAM, "cat", str(tmp_path / LOG)]
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        pipe = process.stdout.fileno()
        wait_for(lambda: waiting_in(pipe) == fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ), every=0.01)
        process.send_signal(signal.SIGSTOP)
        assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])
        process.send_signal(signal.SIGCONT)
        assert process.stdout.read() == body
    assert process.returncode == 0


@BUFFERED_OR_NOT
@pytest.mark.parametrize("arguments", [["cat"], ["ls"], ["ls", "--json"]])
def test_a_disk_that_takes_a_part_of_the_output_is_an_error(
    tmp_path: Path, unbuffered: str, arguments: list[str]
) -> None:
    """The limit on file sizes does what a full disk does."""
    rollup = tmp_path / "x.tgz"
    rollup.write_bytes(a_tarball([(LOG, b"line\n" * 100)]))
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10)); {PROGRAM[2]}"
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    with (tmp_path / "out").open("wb") as out:
        command = [sys.executable, "-c", limited, *arguments, str(rollup)]
        done = subprocess.run(command, env=environment, stdout=out, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert b"standard output cannot be written (File too large)" in done.stderr
