"""moto as a server: it checks few things, and stores everything, KMS keys of encrypted objects among them."""

from __future__ import annotations

import socket
import sys
from typing import Final

from s3_log_roller.demo.servers import LocalServer

_START: Final = "import sys; from moto.server import main; sys.exit(main(sys.argv[1:]))"


class Moto(LocalServer):
    """moto's S3."""

    name = "moto"
    services = ("s3",)
    access_key = "moto"
    secret_key = "moto-secret"

    def _command(self) -> list[str]:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        return [sys.executable, "-c", _START, "-H", "127.0.0.1", "-p", str(self.port)]

    def _server_environment(self) -> dict[str, str]:
        return {}

    def _probe(self) -> None:
        self._client("s3").list_buckets()
