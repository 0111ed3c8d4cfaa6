"""How rollups can be stored, on three servers: the guide's table is what they say."""

from __future__ import annotations

import re

import pytest
from tests.support.paths import ROOT
from tests.support.storing import ASKED, BODIES, make_bucket, try_it

from s3_log_roller.demo.servers import LocalServer

SERVERS = ("seaweedfs", "ministack", "moto")
ROWS = [
    re.findall(r"(?<=\| )[^|]*(?= \|)", line)
    for line in (ROOT / "docs" / "guide" / "storing.md").read_text().splitlines()
    if re.match(r"\| .* \| (PUT|in parts) \| ", line)
]
TOLD = {(asked, kind): dict(zip(SERVERS, said, strict=True)) for asked, kind, _, *said in ROWS}


@pytest.fixture(scope="session")
def bucket_of() -> dict[str, str]:
    """The bucket that was made on each server; servers live as long as this does."""
    return {}


@pytest.mark.heavy
@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("name", SERVERS)
def test_servers_say_what_the_guide_says(
    name: str,
    asked: str,
    kind: str,
    bucket_of: dict[str, str],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For one PUT and for an upload in parts; what is stored was read back as it is."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")  # a server that cannot do it answers 500 to each of them
    server: LocalServer = request.getfixturevalue(name)
    if name not in bucket_of:
        bucket_of[name] = "storing-table"
        make_bucket(server, bucket_of[name])
    assert try_it(server, bucket_of[name], asked, kind).answer == TOLD[asked, kind][name]


def test_the_table_has_every_option_for_every_kind_of_upload() -> None:
    """None was left out."""
    assert set(TOLD) == {(asked, kind) for asked in ASKED for kind in BODIES}
