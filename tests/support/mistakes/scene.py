"""Where the mistakes are made: servers that work, servers that do not, a bucket with logs, a folder with files."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any

from tests.support.forging import flipped, newer
from tests.support.mistakes.program import serving_program
from tests.support.packing import pack_day
from tests.support.tarballs import a_tarball

from s3_log_roller.demo.sample_logs import sample_day
from s3_log_roller.demo.servers import Ministack, SeaweedFS, isolated_environment

BUCKET = "my-logs"
ELSEWHERE = "logs-in-oregon"
QUEUE = "tasks"
BROKEN = "broken"
"""A queue with a message that is not a task."""
BIN = "bin"
DAYS = (date(2022, 7, 1), date(2022, 7, 2))
LOGS = 5
ROLLED = ("web/", "damaged/", "newer/")
"""Target prefixes whose days are rolled up, and whose originals are gone."""
LOOSE = ("loose/", "no-get/", "no-put/", "no-delete/", "full/", "damaged/")
"""Target prefixes with logs."""
PATIENCE_SECONDS = 200

Answers = Mapping[str, tuple[int, dict[str, str], str]]


def xml(code: str, message: str) -> str:
    """An error as S3 writes it."""
    return f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"


def sqs(code: str, message: str) -> str:
    """An error as SQS writes it."""
    return f'{{"__type": "com.amazonaws.sqs#{code}", "message": "{message}"}}'


JSON = {"Content-Type": "application/x-amz-json-1.0"}
ODD_SERVERS: Answers = {
    "EXPIRED": (400, {}, xml("ExpiredToken", "The provided token has expired.")),
    "WEBSITE": (200, {"Content-Type": "text/html"}, "<!doctype html><title>Welcome</title><p>It works!"),
    "LOGIN": (302, {"Location": "http://login.invalid/"}, ""),
    "BUSY": (503, {}, xml("SlowDown", "Please reduce your request rate.")),
    "SKEWED": (403, {}, xml("RequestTimeTooSkewed", "The difference between the request time is too large.")),
    "S3_DENIED": (403, {}, xml("AccessDenied", "Access Denied")),
    "SQS_DENIED": (403, JSON, sqs("AccessDenied", "User: me is not authorized to perform: sqs:ReceiveMessage")),
    "STRICT_PROXY": (407, {"Proxy-Authenticate": 'Basic realm="office"'}, ""),
}
"""Servers that give the same answer to every request: status, headers, body."""


@dataclass(frozen=True, slots=True)
class Said:
    """What came of a command line."""

    errors: str
    """Standard error, with the ports of every run."""
    code: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Scene:
    """A folder to run commands in, and an environment for them."""

    folder: Path
    environment: Mapping[str, str]
    ports: Mapping[int, int]
    """The ports of this run, and those that stand for them in messages."""

    def run(self, line: str) -> Said:
        """Type a line into a shell."""
        started = time.monotonic()
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
        errors = done.stderr.decode()
        for port, stands_for in self.ports.items():
            errors = errors.replace(f"127.0.0.1:{port}", f"127.0.0.1:{stands_for}")
        return Said(errors, done.returncode, time.monotonic() - started)


@contextmanager
def set_scene(folder: Path, seaweedfs: SeaweedFS, ministack: Ministack) -> Iterator[Scene]:
    """Fill the buckets and the folder, and start what does not work."""
    s3, elsewhere, queues = clients(seaweedfs, ministack)
    fill(s3)
    elsewhere.create_bucket(Bucket=ELSEWHERE, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    queues.create_queue(QueueName=QUEUE)
    broken = queues.create_queue(QueueName=BROKEN)["QueueUrl"]
    queues.send_message(QueueUrl=broken, MessageBody="hello")
    write_files(folder)
    (folder / BIN).mkdir()
    with ExitStack() as stack:
        stack.enter_context(serving_program(folder / BIN / "s3-log-roller"))
        urls = {"S3": seaweedfs.endpoint, "SQS": ministack.endpoint}
        for name, answer in ODD_SERVERS.items():
            urls[name] = stack.enter_context(serving(*answer))
        silent = stack.enter_context(closing(socket.create_server(("127.0.0.1", 0))))
        dead = stack.enter_context(closing(socket.socket()))
        dead.bind(("127.0.0.1", 0))  # nobody listens, and nobody else gets the port
        urls |= {name: f"http://127.0.0.1:{one.getsockname()[1]}" for name, one in (("SILENT", silent), ("DEAD", dead))}
        ports = {int(url.rpartition(":")[2]): 9000 + number for number, url in enumerate(urls.values())}
        yield Scene(folder, environment(folder, seaweedfs, ministack) | urls, ports)
        queues.delete_queue(QueueUrl=broken)
        s3.delete_bucket(Bucket=BUCKET)
        elsewhere.delete_bucket(Bucket=ELSEWHERE)


def clients(seaweedfs: SeaweedFS, ministack: Ministack) -> tuple[Any, Any, Any]:
    """Of S3, of another S3 that knows regions, and of SQS."""
    return seaweedfs._client("s3"), ministack._client("s3"), ministack._client("sqs")


def environment(folder: Path, seaweedfs: SeaweedFS, ministack: Ministack) -> dict[str, str]:
    """A user with a profile for each identity; the one without a name is the administrator's."""
    profiles = {
        "default": (seaweedfs.access_key, seaweedfs.secret_key),
        "wrong-secret": (seaweedfs.access_key, "wrong"),
    }
    profiles |= {policy: seaweedfs.credentials(policy) for policy in SeaweedFS.POLICIES}
    profiles["unknown-key"] = ("AKIAIOSFODNN7EXAMPLE", "wrong")
    lines = ""
    for name, (access_key, secret_key) in profiles.items():
        section = name if name == "default" else f"profile {name}"
        lines += f"[{section}]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret_key}\n"
    lines += "[profile half]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\n"
    lines += "[profile process]\ncredential_process = /no/such/program\n"
    lines += "[profile sso]\nsso_session = office\nsso_account_id = 123456789012\nsso_role_name = reader\n"
    lines += "[sso-session office]\nsso_start_url = https://office.awsapps.com/start\nsso_region = us-east-1\n"
    (folder / "aws-config").write_text(lines)
    inherited = isolated_environment(seaweedfs, ministack)
    for name in list(inherited):
        if name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") or name.lower() in ("http_proxy", "https_proxy"):
            del inherited[name]
    return inherited | {
        "PATH": f"{folder / BIN}{os.pathsep}{os.environ['PATH']}",
        "AWS_CONFIG_FILE": str(folder / "aws-config"),
        "HOME": str(folder),
        "COLUMNS": "100",
        "LC_ALL": "C.UTF-8",
    }


def fill(s3: Any) -> None:
    """Put logs and rollups into the bucket, a sound one and a damaged one among them."""
    s3.create_bucket(Bucket=BUCKET)
    objects: dict[str, bytes] = {}
    for prefix in (*ROLLED, *LOOSE):
        for day in DAYS:
            logs = dict(sample_day(Random(f"{prefix}{day}"), day, "web", prefix, LOGS))
            if prefix in LOOSE:
                objects |= logs
            if prefix in ROLLED:
                key, body = pack_day(logs, prefix=prefix, day=day)
                changes = {"web/": bytes, "damaged/": lambda body: flipped(body, 0.3), "newer/": newer}
                objects[key] = changes[prefix](body)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda item: s3.put_object(Bucket=BUCKET, Key=item[0], Body=item[1]), objects.items()))


def write_files(folder: Path) -> None:
    """Rollups, sound and not, and what is taken for them."""
    logs = dict(sample_day(Random("files"), DAYS[0], "web", "web/", LOGS))
    key, rollup = pack_day(logs, prefix="web/", day=DAYS[0])
    name = key.rpartition("/")[2]
    files = {
        name: rollup,
        f"cut/{name}": rollup[:3000],
        f"flipped/{name}": flipped(rollup, 0.3),
        f"newer/{name}": newer(rollup),
        f"renamed/{name.replace('2022-07-01', '2022-07-09')}": rollup,
        f"empty/{name}": b"",
        "notes.txt": b"remember the milk\n",
        "notes.tgz": b"remember the milk\n",
        "photos.zip": b"PK\x03\x04" + bytes(200),
        "backup.tgz": a_tarball([("2022-07-01-05-15-43-42117B9A70B0F1BA", b"a log\n")]),
        "plan.json": b'{"a": "shopping list"}',
        "prefixes.txt": b"s3://my-logs/web/\nmy-logs/api/\n",
    }
    for path, content in files.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(content)
    (folder / "no-logs").mkdir()


@contextmanager
def serving(status: int, headers: Mapping[str, str], body: str) -> Iterator[str]:
    """A server with one answer to everything; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body.encode())

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_CONNECT = _answer

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
