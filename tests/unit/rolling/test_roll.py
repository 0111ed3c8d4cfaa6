from __future__ import annotations

import pytest
from tests.support.logs import TODAY
from tests.support.memory_day import TASK, a_day

from s3_log_roller.errors import ManifestError
from s3_log_roller.rolling.manifest import NO_MANIFEST, Manifest
from s3_log_roller.rolling.options import RollOptions
from s3_log_roller.rolling.roll import roll


def test_nothing_is_begun_while_the_manifest_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rollup that is in no manifest would be one that nobody can miss: no request is made."""
    manifest: Manifest = type(NO_MANIFEST)()
    store, _ = a_day()
    steps: list[str] = []
    store.before = lambda step, key: steps.append(step)

    def refuse() -> None:
        raise ManifestError("the disk is full")

    monkeypatch.setattr(manifest, "sync", refuse)
    with pytest.raises(ManifestError, match="the disk is full"):
        roll(store, TASK, RollOptions(), today=TODAY, manifest=manifest)
    assert not steps
