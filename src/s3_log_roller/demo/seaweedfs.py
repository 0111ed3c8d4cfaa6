"""SeaweedFS: an S3 server for the demo and the tests."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Final

from s3_log_roller.demo.local_server import LOOPBACK, LocalServer, free_ports, installed_program

ACCOUNT: Final = "123456789012"
"""The account of the roles in SeaweedFS."""


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

    _ROLLER: ClassVar = frozenset(
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
        self._ports = free_ports(2 * len(components))
        self.port = self._ports[0]
        ports = zip([f"{name}.port{kind}" for name in components for kind in ("", ".grpc")], self._ports, strict=True)
        return [
            str(installed_program("weed", self.name)),
            "mini",
            f"-dir={data}",
            f"-ip={LOOPBACK}",
            f"-ip.bind={LOOPBACK}",
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
