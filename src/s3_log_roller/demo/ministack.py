"""ministack: an SQS server for the demo and the tests."""

from __future__ import annotations

from s3_log_roller.demo.local_server import LOOPBACK, REGION, LocalServer, free_ports, installed_program


class Ministack(LocalServer):
    """An SQS server; any credentials will do. It can run Lambda functions and more."""

    name = "ministack"
    services = ("sqs",)
    access_key = "test"
    secret_key = "test"  # noqa: S105 - of a throw-away server

    def _command(self) -> list[str]:
        (self.port,) = free_ports(1)
        return [str(installed_program("ministack", self.name))]

    def _server_environment(self) -> dict[str, str]:
        return {
            "BIND_HOST": LOOPBACK,
            "MINISTACK_HOST": LOOPBACK,
            "GATEWAY_PORT": str(self.port),
            "MINISTACK_REGION": REGION,
            "DOCKER_HOST": "unix:///dev/null",  # it would look for containers to clean up
        }

    def _probe(self) -> None:
        self._client("sqs").list_queues()
