"""An S3 server (SeaweedFS) and an SQS server (ministack) on this machine's loopback, for the demo and the tests.

    with SeaweedFS() as s3, Ministack() as sqs:
        subprocess.run([...], env=isolated_environment(s3, sqs))

Both keep everything in a directory of their own and end with the program that started them, however that ends.
"""

from __future__ import annotations

import json
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
from typing import Any, ClassVar, Final, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from s3_log_roller.errors import RollerError

REGION: Final = "us-west-2"
ACCOUNT: Final = "123456789012"
"""The account of the roles in SeaweedFS."""

_LOOPBACK: Final = "127.0.0.1"
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
        return f"http://{_LOOPBACK}:{self.port}"

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
            "NO_PROXY": _LOOPBACK,
            "no_proxy": _LOOPBACK,
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
                socket.create_connection((_LOOPBACK, self.port), timeout=1).close()
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


class SeaweedFS(LocalServer):
    """An S3 server that checks signatures, permissions, checksums and conditions; with roles (STS).

    `POLICIES` names what may be tried out: each is an identity of that name (`credentials`) and a role (`role_arn`)
    that the administrator may assume. There is also the administrator `000000000000`, whom ministack's Lambda
    functions are.
    """

    name = "SeaweedFS"
    services = ("s3", "sts")
    access_key = "admin"
    secret_key = "admin-secret"  # noqa: S105 - of a throw-away server

    _ROLLER: Final = frozenset(
        {
            "s3:AbortMultipartUpload",
            "s3:DeleteObject",
            "s3:GetBucketLocation",
            "s3:GetObject",
            "s3:ListBucket",
            "s3:PutObject",
        }
    )
    POLICIES: ClassVar[dict[str, frozenset[str]]] = {
        "roller": _ROLLER,
        "s3-rollup-bucket-access": _ROLLER,  # as the documentation calls it
        "no-delete": _ROLLER - {"s3:DeleteObject"},
        "no-get": _ROLLER - {"s3:GetObject"},
        "no-list": _ROLLER - {"s3:ListBucket"},
        "no-put": _ROLLER - {"s3:PutObject"},
        "read-only": frozenset({"s3:GetBucketLocation", "s3:GetObject", "s3:ListBucket"}),
        "list-only": frozenset({"s3:ListBucket"}),
    }
    """Names of policies, identities and roles, and the actions they allow."""

    def __init__(self, directory: Path | None = None) -> None:
        super().__init__(directory)
        self._ports: list[int] = []

    @staticmethod
    def role_arn(policy: str) -> str:
        """The role with that policy."""
        return f"arn:aws:iam::{ACCOUNT}:role/{policy}"

    @staticmethod
    def credentials(policy: str) -> tuple[str, str]:
        """Access key and secret key of the identity with that policy."""
        return policy, f"{policy}-secret"

    def _command(self) -> list[str]:
        data = self.directory / "data"
        data.mkdir(exist_ok=True)
        identities = self.directory / "s3.json"
        identities.write_text(json.dumps(self._identities()))
        roles = self.directory / "iam.json"
        roles.write_text(json.dumps(self._roles()))

        # All ports explicitly: those it chooses itself collide with a second server's.
        components = ("s3", "master", "volume", "filer", "admin")
        self._ports = _free_ports(2 * len(components))
        self.port = self._ports[0]
        ports = zip([f"{name}.port{kind}" for name in components for kind in ("", ".grpc")], self._ports, strict=True)
        return [
            str(_installed_program("weed", self.name)),
            "mini",
            f"-dir={data}",
            f"-ip={_LOOPBACK}",
            f"-ip.bind={_LOOPBACK}",
            *(f"-{option}={port}" for option, port in ports),
            f"-s3.config={identities}",
            f"-s3.iam.config={roles}",
            "-s3.autoCreateBucket=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-volume.max=10000",  # every bucket takes some; the default depends on the free disk space
            "-master.telemetry=false",
            "-admin.ui=false",
            "-webdav=false",
        ]

    def _identities(self) -> dict[str, Any]:
        def identity(name: str, access_key: str, secret_key: str, **rights: list[str]) -> dict[str, Any]:
            return {"name": name, "credentials": [{"accessKey": access_key, "secretKey": secret_key}], **rights}

        everything = ["Admin", "Read", "List", "Tagging", "Write"]
        return {
            "identities": [
                identity("admin", self.access_key, self.secret_key, actions=everything),
                identity("lambda", "000000000000", "test", actions=everything),
                *(identity(policy, *self.credentials(policy), policyNames=[policy]) for policy in self.POLICIES),
            ]
        }

    def _roles(self) -> dict[str, Any]:
        def policy(**statement: Any) -> dict[str, Any]:
            return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]}

        administrator = {"AWS": "arn:aws:iam::000000000000:user/admin"}
        return {
            "sts": {
                "issuer": "s3-log-roller",
                "signingKey": "bm90IGEgc2VjcmV0LCBvbmx5IGZvciB0aGUgZGVtbyE=",
                "tokenDuration": "1h",
                "maxSessionLength": "12h",
            },
            "policy": {"defaultEffect": "Deny", "storeType": "memory"},
            "policies": [
                {
                    "name": name,
                    "document": policy(Action=sorted(actions), Resource=["arn:aws:s3:::*", "arn:aws:s3:::*/*"]),
                }
                for name, actions in self.POLICIES.items()
            ],
            "roles": [
                {
                    "roleName": name,
                    "roleArn": self.role_arn(name),
                    "trustPolicy": policy(Principal=administrator, Action=["sts:AssumeRole"]),
                    "attachedPolicies": [name],
                }
                for name in self.POLICIES
            ],
        }

    def _server_environment(self) -> dict[str, str]:
        return {}

    def _probe(self) -> None:
        client = self._client("s3")
        with suppress(client.exceptions.BucketAlreadyOwnedByYou, client.exceptions.BucketAlreadyExists):
            client.create_bucket(Bucket="probe")
        client.put_object(Bucket="probe", Key="probe", Body=b"probe")
        client.list_objects_v2(Bucket="probe")
        client.delete_bucket(Bucket="probe")

    def _remove_traces(self) -> None:
        for port in self._ports:  # its sockets' directory cannot be chosen
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # noqa: S108
                left.unlink(missing_ok=True)


class Ministack(LocalServer):
    """An SQS server; any credentials will do. It can run Lambda functions and more."""

    name = "ministack"
    services = ("sqs",)
    access_key = "test"
    secret_key = "test"  # noqa: S105 - of a throw-away server

    def _command(self) -> list[str]:
        (self.port,) = _free_ports(1)
        return [str(_installed_program("ministack", self.name))]

    def _server_environment(self) -> dict[str, str]:
        return {
            "BIND_HOST": _LOOPBACK,
            "MINISTACK_HOST": _LOOPBACK,
            "GATEWAY_PORT": str(self.port),
            "MINISTACK_REGION": REGION,
            "DOCKER_HOST": "unix:///dev/null",  # it would look for containers to clean up
        }

    def _probe(self) -> None:
        self._client("sqs").list_queues()


def isolated_environment(*servers: LocalServer) -> dict[str, str]:
    """This process's environment with none of its own `AWS_*`, leading to the servers; of two keys the first's wins."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    for server in reversed(servers):
        environment |= server.environment()
    return environment


def _installed_program(program: str, server: str) -> Path:
    scripts = sysconfig.get_path("scripts")
    found = shutil.which(program, path=os.pathsep.join([scripts, str(Path(sys.executable).parent)]))
    found = found or shutil.which(program)
    if found is None:
        raise ServerNotStarted(
            f"{server} is not installed: pip install 's3-log-roller[demo]' (in a clone: make demo), "
            f"or put `{program}` on the PATH"
        )
    return Path(found)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        ports = []
        for _ in range(count):
            listener = held.enter_context(socket.socket())
            listener.bind((_LOOPBACK, 0))
            ports.append(int(listener.getsockname()[1]))
        return ports


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Kill the group: nothing of what the server holds is kept, and its orderly stop takes seconds."""
    if process.stdin is not None:
        process.stdin.close()
    process.wait()
