"""A store that refuses: uploads are aborted, refused deletes are counted and named, and the first error is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from tests.support.logs import DAY, log_key
from tests.support.memory_day import (
    TASK,
    a_day,
    assert_exactly_once,
    run,
)
from tests.support.memory_store import MemoryStore, MemoryUpload

from s3_log_roller.errors import (
    CredentialsError,
    DeleteRefused,
    StorageError,
)
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.store import DeleteFailure, DeleteReport


class Stubborn(MemoryUpload):
    def abort(self) -> None:
        super().abort()
        raise CredentialsError("expired")


def test_an_abort_that_fails_does_not_hide_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever aborting runs into, expired credentials included, the first error is the one that is told."""
    store, bodies = a_day()
    monkeypatch.setattr(store, "upload", lambda key, expected, metadata: Stubborn(store, key))
    store.before = lambda step, key: (
        (_ for _ in ()).throw(StorageError("the disk is full")) if step == "finish" else None
    )
    with pytest.raises(StorageError, match="the disk is full"):
        run(store, delete=True)
    assert set(store.objects) == set(bodies)


def test_an_upload_is_aborted_whatever_ends_it() -> None:
    """Errors, time running out, and the interrupt of a user alike."""
    for step in ("fetch", "write", "finish"):
        for error in (KeyboardInterrupt(), StorageError("x"), RuntimeError("x")):
            store, bodies = a_day()

            def fail(at: str, key: str, step: str = step, error: BaseException = error) -> None:
                if at == step:
                    raise error

            store.before = fail
            with pytest.raises(type(error)):
                run(store, delete=True)
            assert store.open_uploads == 0
            assert set(store.objects) == set(bodies)


def test_every_refused_delete_is_counted_and_some_are_named() -> None:
    """Five of them in the error, all of them in its number."""
    store, bodies = a_day(12)
    store.undeletable = set(sorted(bodies)[:7])
    with pytest.raises(
        DeleteRefused, match=r"^7 originals .*; and 2 more, see the log\); what was packed is safe"
    ) as seen:
        run(store, delete=True)
    assert sum(key in str(seen.value) for key in bodies) == 5
    store, bodies = a_day(12)
    store.undeletable = set(sorted(bodies)[:5])
    with pytest.raises(DeleteRefused) as few:
        run(store, delete=True)
    assert "more" not in str(few.value)


def test_what_was_not_deleted_is_told_with_what_helps() -> None:
    """A permission where it was denied; where an original was replaced meanwhile, running again packs that one."""
    store, bodies = a_day(3)
    store.undeletable = set(sorted(bodies)[:1])
    with pytest.raises(DeleteRefused, match=r"^1 original in .* was not deleted .*: allow s3:DeleteObject"):
        run(store, delete=True)
    store, bodies = a_day(3)
    key = max(bodies)

    def replace_it(step: str, other: str) -> None:
        if step == "delete" and other == key:
            store.put(key, b"replaced")

    store.before = replace_it
    with pytest.raises(DeleteRefused, match=r"PreconditionFailed: replaced\); what was packed is safe .*: run again$"):
        run(store, delete=True)


def test_refusals_of_keys_never_asked_for_still_fail_the_task() -> None:
    """An answer that names a failure is a failure, whatever else it says."""
    store, bodies = a_day(3)
    real = store.delete

    def delete(
        objects: Iterable[tuple[str, str]], report: DeleteReport | None = None, *, versions: bool = False
    ) -> DeleteReport:
        report = real(objects, report)
        report.failures.append(DeleteFailure("another", "AccessDenied"))
        return report

    store.delete = delete  # type: ignore[method-assign]
    with pytest.raises(DeleteRefused, match="another"):
        run(store, delete=True)
    assert_exactly_once(store, bodies)


@pytest.mark.parametrize("prefix", ["a\0b/", "a/b\0"])
def test_a_target_prefix_that_no_tarball_can_hold_is_refused_before_anything_is_written(prefix: str) -> None:
    """Not packed into a rollup that the next run would call damaged."""
    store = MemoryStore()
    store.put(log_key(1, prefix), b"x")
    before = dict(store.objects)
    with pytest.raises(StorageError, match="NUL in its target prefix"):
        run(store, replace(TASK, group=DayGroup("bucket", prefix, DAY)), delete=True)
    assert store.objects == before
