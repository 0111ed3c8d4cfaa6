"""What libcurl is asked for: to trust nobody without a certificate, and to wait for nobody for ever."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pycurl
import pytest

from s3_log_roller.aws.s3 import wire as wire_module
from s3_log_roller.aws.s3.wire import MAX_BODY_BYTES, SLOWEST_BYTES_PER_S, Wire, new_handle


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> dict[int, Any]:
    """Those of the handle that is made last."""
    asked: dict[int, Any] = {}
    handle = SimpleNamespace(setopt=asked.__setitem__, chunks=[], header_lines=[])
    monkeypatch.setattr(wire_module, "Handle", lambda: handle)
    return asked


@pytest.mark.parametrize(("connect_s", "read_s", "least_s"), [(10.0, 40.0, 40), (0.5, 0.5, 1), (0.0001, 0.0, 1)])
def test_every_wait_has_an_end(options: dict[int, Any], connect_s: float, read_s: float, least_s: int) -> None:
    """For the connection, for an answer that stands still, and for all of one, however slowly it comes."""
    new_handle(Wire("https://x", connect_timeout_s=connect_s, read_timeout_s=read_s), with_headers=False)
    assert options[pycurl.CONNECTTIMEOUT_MS] == max(1, int(connect_s * 1000))
    assert options[pycurl.LOW_SPEED_TIME] == least_s
    assert options[pycurl.TIMEOUT] == int(connect_s + read_s) + 335
    assert MAX_BODY_BYTES // SLOWEST_BYTES_PER_S == 335
    assert options[pycurl.MAXFILESIZE] == MAX_BODY_BYTES


@pytest.mark.parametrize("ca_bundle", [None, "/etc/ca.pem"])
def test_certificates_are_checked_and_those_of_a_proxy_by_the_same_bundle(
    options: dict[int, Any], ca_bundle: str | None
) -> None:
    """Where none is named, by libcurl's own."""
    new_handle(Wire("https://x", ca_bundle=ca_bundle), with_headers=False)
    assert (options[pycurl.SSL_VERIFYPEER], options[pycurl.SSL_VERIFYHOST]) == (1, 2)
    assert options.get(pycurl.CAINFO) == options.get(pycurl.PROXY_CAINFO) == ca_bundle


def test_the_name_is_looked_up_for_every_connection(options: dict[int, Any]) -> None:
    """S3's names stand for many servers, and an old address would be asked for ever."""
    new_handle(Wire("https://x"), with_headers=False)
    assert options[pycurl.DNS_CACHE_TIMEOUT] == 0
