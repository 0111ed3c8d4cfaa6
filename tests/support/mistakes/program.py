"""The program as often as one likes, without the third of a second that Python takes to load it each time.

`main` is the server: a process that has loaded everything, and forks for each call. `CLIENT` is what a shell runs in
place of the program: it hands its arguments, environment, folder and open files over and waits for the exit code. So
each call is a process of its own, with the very files that the shell opened.
"""

from __future__ import annotations

import array
import json
import os
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

CLIENT = """\
#!{python} -SE
import array, json, os, resource, socket, sys
if resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY:  # limits do not travel
    program = "import sys; from s3_log_roller.cli.main import main; sys.exit(main())"
    os.execv({python!r}, [{python!r}, "-c", program, *sys.argv[1:]])
files = []
for file in range(3):
    try:
        os.fstat(file)
        files.append(file)
    except OSError:
        pass
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
call = json.dumps([sys.argv[1:], dict(os.environ), os.getcwd(), files]).encode()
server.sendmsg([len(call).to_bytes(4, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))])
server.sendall(call)
answer = server.recv(1)
os._exit(answer[0] if answer else 70)
"""
_MAX_FILES = 3


@contextmanager
def serving_program(path: Path) -> Iterator[None]:
    """Put the client there and run the server."""
    address = f"{path}.socket"
    path.write_text(CLIENT.format(python=sys.executable, address=address))
    path.chmod(0o755)
    command = [sys.executable, "-m", "tests.support.mistakes.program", address]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        try:
            yield
        finally:
            server.terminate()


def main(address: str) -> None:
    """Fork for each call, until this process is terminated."""
    _load()
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(address)
    listening.listen(64)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        connection, _ = listening.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listening.close()
            _serve(connection)
        connection.close()


def _load() -> None:
    """Import what calls will need."""
    import boto3
    import pycurl

    from s3_log_roller.aws.s3 import open_bucket
    from s3_log_roller.cli import parser, reading, rolling
    from s3_log_roller.cli.commands import cat, grep, ls, plan, producer, restore, roll, verify, worker
    from s3_log_roller.reading import logs, parallel, shares

    session = boto3.Session(aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1")
    for service in ("s3", "sqs", "sts"):
        session.client(service)
    assert all((pycurl, open_bucket, parser, reading, rolling, cat, grep, ls, plan, producer, restore, roll))
    assert all((verify, worker, logs, parallel, shares))


def _serve(connection: socket.socket) -> None:
    """Be the program for one call."""
    code = 70
    try:
        arguments, environment, folder, files, handed = _receive(connection)
        for file in range(_MAX_FILES):
            os.close(file) if file not in files else os.dup2(handed[files.index(file)], file)
        for handle in handed:
            os.close(handle)
        sys.stdin, sys.stdout, sys.stderr = (
            _stream(file, mode) if file in files else None for file, mode in enumerate("rww")
        )
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        from s3_log_roller.cli.main import main

        sys.argv = ["s3-log-roller", *arguments]
        code = main()
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()  # type: ignore[union-attr]
    except SystemExit as exit:
        code = int(exit.code or 0)
    except BaseException:
        traceback.print_exc()
    connection.send(bytes((code,)))
    os._exit(code)


def _receive(connection: socket.socket) -> tuple[Any, ...]:
    head, ancillary, _, _ = connection.recvmsg(4, socket.CMSG_SPACE(_MAX_FILES * array.array("i").itemsize))
    handed = array.array("i")
    for _, _, data in ancillary:
        handed.frombytes(data)
    call = b""
    while len(call) < int.from_bytes(head, "big"):
        call += connection.recv(1 << 16)
    return *json.loads(call), handed


def _stream(file: int, mode: str) -> IO[str]:
    return open(file, mode, encoding="utf-8", errors="strict" if file < 2 else "backslashreplace", closefd=False)


if __name__ == "__main__":
    main(sys.argv[1])
