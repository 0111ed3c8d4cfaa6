"""Through a real forward proxy: everything goes through it or nothing does, as the environment says."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import select
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self
from urllib.parse import urlsplit

import pytest
from tests.support.calls import count_calls
from tests.support.paths import MAIN
from tests.support.real_day import RealDay
from urllib3.util import connection

from s3_log_roller.aws.s3 import open_bucket
from s3_log_roller.aws.sessions import Sessions
from s3_log_roller.cli.main import main
from s3_log_roller.demo.servers import SeaweedFS, isolated_environment
from s3_log_roller.errors import StorageError

if TYPE_CHECKING:
    from bench.s3_server import S3Server
    from types_boto3_s3 import S3Client

LOGIN = "us%40er:pass%2Fword"
AUTHORIZATION = "Basic " + base64.b64encode(b"us@er:pass/word").decode()


class ForwardProxy(ThreadingHTTPServer):
    """Forwards absolute-form requests and makes tunnels, for those who say user name and password, and notes both."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Client)
        self.authorization = AUTHORIZATION
        """What clients have to say."""
        self.seen: list[tuple[str, str]] = []
        """(method, target) of every request."""
        self.heads: list[Message] = []
        """Their headers."""

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def speak_tls(self, directory: Path) -> None:
        """From now on, with the certificate there."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(directory / "ca.pem", directory / "key.pem")
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def stop(self) -> None:
        """Nobody listens any more; connections that are open stay so."""
        self.shutdown()
        self._thread.join()
        self.server_close()

    @property
    def url(self) -> str:
        return f"http://{LOGIN}@127.0.0.1:{self.server_port}"

    def methods(self) -> set[str]:
        return {method for method, _ in self.seen}


class _Client(BaseHTTPRequestHandler):
    """One client's connection."""

    server: ForwardProxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    hop_by_hop: ClassVar = {"connection", "keep-alive", "proxy-authorization", "proxy-connection", "transfer-encoding"}

    def log_message(self, format: str, *_: object) -> None:
        pass

    def _admit(self) -> bool:
        self.server.seen.append((self.command, self.path))
        self.server.heads.append(self.headers)
        if self.headers["Proxy-Authorization"] == self.server.authorization:
            return True
        self.close_connection = True
        self._answer(407, "Proxy Authentication Required", [("Proxy-Authenticate", 'Basic realm="test"')], b"")
        return False

    def _answer(self, status: int, reason: str, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status, reason)
        for name, value in headers:
            self.send_header(name, value)
        if not any(name.lower() == "content-length" for name, _ in headers):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if not self._admit():
            return
        target = urlsplit(self.path)
        upstream = http.client.HTTPConnection(target.netloc, timeout=30)
        upstream.putrequest(
            self.command,
            self.path.removeprefix(f"{target.scheme}://{target.netloc}"),
            skip_host=True,
            skip_accept_encoding=True,
        )
        for name, value in self.headers.items():
            if name.lower() not in self.hop_by_hop:
                upstream.putheader(name, value)
        upstream.endheaders(body)
        answer = upstream.getresponse()
        headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in self.hop_by_hop]
        self._answer(answer.status, answer.reason, headers, answer.read())
        upstream.close()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _forward

    def do_CONNECT(self) -> None:
        self.close_connection = True
        if not self._admit():
            return
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=30) as upstream:
            self.send_response_only(200, "Connection established")
            self.end_headers()
            self.wfile.flush()
            ways = {self.connection: upstream, upstream: self.connection}
            while True:
                for source in select.select(list(ways), [], [], 30)[0]:
                    data = source.recv(1 << 16)
                    if not data:
                        return
                    ways[source].sendall(data)


@pytest.fixture
def direct(seaweedfs: SeaweedFS) -> dict[str, str]:
    """An environment that leads to the server, with neither proxies nor exceptions to them."""
    environment = isolated_environment(seaweedfs) | {"AWS_MAX_ATTEMPTS": "2"}
    return {name: value for name, value in environment.items() if name.lower() != "no_proxy"}


@pytest.fixture
def day(s3: S3Client, bucket: str) -> RealDay:
    """A small one, with a key that a proxy might want to tidy up."""
    day = RealDay(s3, bucket, "odd é +%2F&/")
    day.fill(5)
    return day


def roll(bucket: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(MAIN), "roll", "--prefixes", f"s3://{bucket}/", "--delete", "--json"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)


def assert_one_error(done: subprocess.CompletedProcess[str], bucket: str) -> None:
    """One line tells what failed, names the bucket, and keeps the proxy's password to itself."""
    assert done.returncode in (1, 3), done
    errors = [line for line in done.stderr.splitlines() if bucket in line]
    assert len(errors) == 1, done.stderr
    assert "Traceback" not in done.stderr
    for secret in (LOGIN, "pass%2Fword", "pass/word"):
        assert secret not in done.stderr + done.stdout


def test_a_whole_roll_goes_through_the_proxy(seaweedfs: SeaweedFS, day: RealDay, direct: dict[str, str]) -> None:
    """Listing, reading, writing and deleting: every request asks the proxy, with user name and password."""
    with ForwardProxy() as proxy:
        done = roll(day.bucket, direct | {"HTTP_PROXY": proxy.url})
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["originals_deleted"] == 5
    day.assert_done(deleted=True)
    assert proxy.methods() == {"HEAD", "GET", "PUT", "POST"}
    assert all(target.startswith(f"{seaweedfs.endpoint}/{day.bucket}") for _, target in proxy.seen)
    assert {head["Proxy-Authorization"] for head in proxy.heads} == {AUTHORIZATION}


@pytest.mark.parametrize(
    "settings",
    [
        {"NO_PROXY": "127.0.0.1"},
        {"no_proxy": "example.com,127.0.0.1"},
        {"NO_PROXY": "*"},
        {"HTTP_PROXY": "", "HTTPS_PROXY": "http://127.0.0.1:9"},
    ],
    ids=["host", "list", "everything", "other scheme"],
)
def test_no_proxy_leads_straight_to_the_server(day: RealDay, direct: dict[str, str], settings: dict[str, str]) -> None:
    """Hosts in NO_PROXY, in either spelling, and those of the other scheme are asked directly."""
    with ForwardProxy() as proxy:
        done = roll(day.bucket, direct | {"HTTP_PROXY": proxy.url} | settings)
    assert done.returncode == 0, done.stderr
    day.assert_done(deleted=True)
    assert proxy.seen == []


def test_a_proxy_that_is_down_is_one_error(
    day: RealDay, direct: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody listens where HTTP_PROXY says: after the attempts the error names the bucket, and nothing was touched."""
    attempts = count_calls(monkeypatch, connection, "create_connection")
    arguments = ["roll", "--prefixes", f"s3://{day.bucket}/", "--delete", "--json"]
    with socket.socket() as nobody, monkeypatch.context() as patch:
        nobody.bind(("127.0.0.1", 0))  # and nobody else gets the port meanwhile
        for name in ("NO_PROXY", "no_proxy"):
            patch.delenv(name, raising=False)
        for name, value in (direct | {"HTTP_PROXY": f"http://{LOGIN}@127.0.0.1:{nobody.getsockname()[1]}"}).items():
            patch.setenv(name, value)
        code = main(arguments)
    assert len(attempts) == int(direct["AWS_MAX_ATTEMPTS"])
    done = subprocess.CompletedProcess(arguments, code, *capsys.readouterr())
    assert_one_error(done, day.bucket)
    assert re.search(r"cannot be reached: .*proxy", done.stderr)
    day.assert_untouched()


def test_a_proxy_that_refuses_the_password_is_one_error(day: RealDay, direct: dict[str, str]) -> None:
    """407 is reported as what it is."""
    with ForwardProxy() as proxy:
        done = roll(day.bucket, direct | {"HTTP_PROXY": proxy.url.replace("us%40er", "stranger")})
    assert_one_error(done, day.bucket)
    assert "407" in done.stderr
    day.assert_untouched()


def test_a_proxy_that_goes_down_later_is_one_error(
    day: RealDay, seaweedfs: SeaweedFS, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bulk client's own connections: the error names the bucket and holds no password."""
    with ForwardProxy() as proxy:
        settings = {"HTTP_PROXY": proxy.url, "NO_PROXY": "", "no_proxy": "", "AWS_MAX_ATTEMPTS": "2"}
        for name, value in (seaweedfs.environment() | settings).items():
            monkeypatch.setenv(name, value)
        store = open_bucket(Sessions().get(), day.bucket)
    with closing(store), pytest.raises(StorageError, match=f"s3://{day.bucket}/ failed after 2 attempts: ") as error:
        store.list_page("")
    assert "pass" not in str(error.value)
    assert len(str(error.value).splitlines()) == 1


class TestTunnels:
    """TLS through the proxy."""

    @pytest.fixture
    def secure(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
        """An S3 server that speaks TLS, and this process's environment leads to it; with an empty bucket."""
        from bench.buckets import Bucket
        from bench.s3_server import serving

        with serving(tls=tmp_path) as server:
            server.api.buckets["bucket"] = Bucket()
            settings = {
                "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
                "AWS_SECRET_ACCESS_KEY": "secret",
                "AWS_SESSION_TOKEN": "token",
                "AWS_REGION": "us-east-1",
                "AWS_ENDPOINT_URL_S3": server.url,
                "AWS_CA_BUNDLE": str(tmp_path / "ca.pem"),
                "AWS_MAX_ATTEMPTS": "2",
                "NO_PROXY": "",
                "no_proxy": "",
            }
            for name, value in settings.items():
                monkeypatch.setenv(name, value)
            yield server

    def test_a_whole_roll_goes_through_tunnels(self, secure: S3Server) -> None:
        """The proxy sees CONNECT and nothing else: no request, no signature, no token."""
        stored = secure.api.buckets["bucket"]
        for second in range(5):
            stored.put(f"odd é +%2F&/2022-07-01-00-00-0{second}-{second:016X}", b"log", 1_656_652_543)
        with ForwardProxy() as proxy:
            done = roll("bucket", {**os.environ, "HTTPS_PROXY": proxy.url})
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["originals_deleted"] == 5
        assert [key.rpartition("/")[2][:18] for key, _ in stored.entries("", "")] == ["rollup-2022-07-01-"]
        assert any((head["User-Agent"] or "").startswith("s3-log-roller/") for head in proxy.heads)  # not boto3 alone
        assert set(proxy.seen) == {("CONNECT", secure.url.removeprefix("https://"))}
        for head in proxy.heads:
            assert head["Proxy-Authorization"] == AUTHORIZATION
            assert not [name for name in head if name.lower().startswith(("authorization", "x-amz-"))]

    def test_a_tunnel_refused_at_the_start_is_one_error(self, secure: S3Server) -> None:
        """407 on CONNECT: within seconds, named with the bucket, without the password."""
        with ForwardProxy() as proxy:
            proxy.authorization = "another"
            done = roll("bucket", {**os.environ, "HTTPS_PROXY": proxy.url})
        assert_one_error(done, "s3://bucket")
        assert re.search(r"cannot be reached: .*proxy", done.stderr)

    def test_a_tunnel_refused_later_is_one_error(self, secure: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
        """The bulk client's own connections: 407 is reported as what it is."""
        with ForwardProxy() as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
            with closing(open_bucket(Sessions().get(), "bucket")) as store:
                proxy.authorization = "another"
                with pytest.raises(StorageError, match=r"s3://bucket/ failed after 2 attempts: .*407") as error:
                    store.list_page("")
        assert "pass" not in str(error.value)

    def test_the_way_to_the_proxy_may_be_tls_too(
        self, secure: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An `https://` proxy is trusted by the same AWS_CA_BUNDLE, as with boto3."""
        with ForwardProxy() as proxy:
            proxy.speak_tls(tmp_path)
            monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("http://", "https://"))
            with closing(open_bucket(Sessions().get(), "bucket")) as store:
                assert store.list_page("").objects == []
        assert proxy.methods() == {"CONNECT"}
