"""An S3 server (SeaweedFS) and an SQS server (ministack) on this machine's loopback, for the demo and the tests.

    with SeaweedFS() as s3, Ministack() as sqs:
        subprocess.run([...], env=isolated_environment(s3, sqs))

Both keep everything in a directory of their own and end with the program that started them, however that ends.
"""

from __future__ import annotations

import os

from s3_log_roller.demo.local_server import REGION, LocalServer, ServerNotStarted
from s3_log_roller.demo.ministack import Ministack
from s3_log_roller.demo.seaweedfs import ACCOUNT, SeaweedFS

__all__ = ["ACCOUNT", "REGION", "LocalServer", "Ministack", "SeaweedFS", "ServerNotStarted", "isolated_environment"]


def isolated_environment(*servers: LocalServer) -> dict[str, str]:
    """This process's environment without its own `AWS_*` and defaults of options, leading to the servers.

    Of two keys the first server's wins.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "S3_LOG_ROLLER_"))}
    for server in reversed(servers):
        environment |= server.environment()
    return environment
