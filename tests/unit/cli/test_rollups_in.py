"""With `--rollups-in` the commands that read take rollups in another bucket as if they lay beside the logs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.logs import DAY, PREFIX, TODAY
from tests.support.memory_day import put_logs
from tests.support.memory_store import MemoryStore

from s3_log_roller.log_keys import DayGroup, parse_log_key, parse_rollup_key
from s3_log_roller.mirrored import MirroredStore
from s3_log_roller.rolling.options import RollOptions
from s3_log_roller.rolling.reconcile import reconcile
from s3_log_roller.rolling.tasks import RollTask
from s3_log_roller.rolling.window import Window
from s3_log_roller.store import Page

Run = Callable[..., tuple[int, str, str]]

DAYS = [DAY + timedelta(number) for number in range(4)]
THERE = ("--rollups-in", "s3://archive/logs/")


def roll(store: MemoryStore, archive: MemoryStore | None, day: int, *, delete: bool) -> None:
    task = RollTask(DayGroup("bucket", PREFIX, DAYS[day]), Window(TODAY))
    place = MirroredStore(archive, "archive/logs/bucket") if archive else None
    reconcile(store, task, RollOptions(delete, 1), today=TODAY, rollups=place)


@pytest.fixture
def bodies(store: MemoryStore, archive: MemoryStore) -> dict[str, bytes]:
    """Four days: gone into the archive; in it and still here; in both places, with late logs; only here."""
    bodies: dict[str, bytes] = {}
    for day in DAYS:
        bodies |= put_logs(store, range(1, 6), day=day)
    roll(store, archive, 0, delete=True)
    roll(store, archive, 1, delete=False)
    roll(store, None, 2, delete=True)
    bodies |= put_logs(store, [2000, 3000], day=DAYS[2])
    roll(store, archive, 2, delete=True)
    bodies |= put_logs(store, [1000, 4000], day=DAYS[2])
    return bodies


def text(bodies: dict[str, bytes]) -> str:
    return b"".join(body for _, body in sorted(bodies.items())).decode()


def test_cat_merges_logs_here_with_rollups_there(run: Run, bodies: dict[str, bytes]) -> None:
    """Every log once and in order, wherever it is, or in both places."""
    for source in ("s3://bucket/", f"s3://bucket/{PREFIX}", f"s3://bucket/{PREFIX}2022-"):
        code, out, err = run("cat", source, *THERE)
        assert (code, err) == (0, "")
        assert out.splitlines() == text(bodies).splitlines()


@pytest.mark.parametrize("day", DAYS, ids=str)
def test_a_day_or_a_log_by_its_name(run: Run, bodies: dict[str, bytes], day: object) -> None:
    """As it was called before it was rolled up."""
    of_day = {key: body for key, body in bodies.items() if key.startswith(f"{PREFIX}{day}")}
    assert run("cat", f"s3://bucket/{PREFIX}{day}", *THERE) == (0, text(of_day), "")
    for key, body in of_day.items():
        assert run("cat", f"s3://bucket/{key}", *THERE) == (0, body.decode(), "")


def test_without_the_option_nothing_is_looked_for_there(run: Run, bodies: dict[str, bytes]) -> None:
    """The rollups there can be read by their own place, without it."""
    here = {key for key in bodies if not key.startswith(f"{PREFIX}{DAYS[0]}")}
    in_archive = {key for key in here if key.endswith((f"{2000:016X}", f"{3000:016X}"))}
    assert run("cat", "s3://bucket/")[1] == text({key: bodies[key] for key in here - in_archive})
    there = {key for key in bodies if key.startswith((f"{PREFIX}{DAYS[0]}", f"{PREFIX}{DAYS[1]}"))} | in_archive
    assert run("cat", "s3://archive/logs/bucket/")[1] == text({key: bodies[key] for key in there})


def test_grep_names_logs_where_they_are(run: Run, bodies: dict[str, bytes]) -> None:
    """With the URI of the rollup there."""
    code, out, err = run("grep", "-l", "record 3", f"s3://bucket/{PREFIX}{DAYS[0]}", *THERE)
    assert (code, err) == (0, "")
    assert out.startswith(f"s3://archive/logs/bucket/{PREFIX}rollup-{DAYS[0]}-")
    assert out.rstrip().endswith(f"{3:016X}")
    code, out, _ = run("grep", "-c", "-h", "record", "s3://bucket/", *THERE)
    assert int(out) == text(bodies).count("\n")


def test_ls_lists_the_rollups_of_both_places(
    run: Run, store: MemoryStore, archive: MemoryStore, bodies: object
) -> None:
    """Each by its URI, and their members."""
    code, out, _ = run("ls", "--json", "s3://bucket/", *THERE)
    assert code == 0
    expected = [f"s3://bucket/{key}" for key in store.objects if parse_rollup_key(key)]
    expected += [f"s3://archive/{key}" for key in archive.objects]
    assert sorted(json.loads(line)["rollup"] for line in out.splitlines()) == sorted(expected)
    assert len(expected) == 4
    code, out, _ = run("ls", "--json", "--members", f"s3://bucket/{PREFIX}{DAYS[2]}", *THERE)
    assert len(out.splitlines()) == 7


def test_verify_proves_them_against_the_originals_here(
    run: Run, store: MemoryStore, archive: MemoryStore, bodies: dict[str, bytes]
) -> None:
    """And says which days are missing of both places together."""
    code, out, _ = run("verify", "--json", "--complete", "s3://bucket/", *THERE)
    report = json.loads(out)
    assert (code, report["rollups"], report["rollups_right"], report["gaps"]) == (0, 4, 4, [])
    assert sum(one["originals_same"] for one in report["results"]) == 5
    key = next(key for key in bodies if key.startswith(f"{PREFIX}{DAYS[1]}"))
    store.put(key, b"other")
    assert run("verify", "s3://bucket/", *THERE)[0] == 3


def test_verify_knows_the_lines_of_a_manifest_there(
    run: Run, archive: MemoryStore, bodies: object, tmp_path: Path
) -> None:
    """A rollup that is gone from the destination is missed."""
    key = next(iter(archive.objects))
    line = {"bucket": "archive", "key": key, "day": str(DAYS[0]), "sha256": "0" * 64}
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text(json.dumps(line) + "\n")
    del archive.objects[key]
    code, _, err = run("verify", "--manifest", str(manifest), "s3://bucket/", *THERE)
    assert code == 3
    assert f"s3://archive/{key} is in the manifest, but not there any more" in err


def test_restore_takes_logs_out_of_both_places(run: Run, bodies: dict[str, bytes], tmp_path: Path) -> None:
    """Into the folders that the logs had in their own bucket."""
    code, _, _ = run("restore", "s3://bucket/", *THERE, "--to", str(tmp_path))
    assert code == 0
    restored = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    packed = {key: body for key, body in bodies.items() if not key.startswith(f"{PREFIX}{DAYS[3]}")}
    assert restored == {key: body for key, body in packed.items() if not key.endswith((f"{1000:016X}", f"{4000:016X}"))}


def test_query_reads_every_log_once(run: Run, bodies: dict[str, bytes]) -> None:
    """As `cat` does."""
    pytest.importorskip("duckdb")
    sql, lines = "SELECT count(raw) AS n FROM logs", text(bodies).count("\n")
    assert run("query", sql, "s3://bucket/", *THERE, "--output", "csv")[:2] == (0, f"n\n{lines}\n")


def test_a_member_there_stands_for_a_log_here_only_by_its_bytes(
    run: Run, archive: MemoryStore, bodies: dict[str, bytes]
) -> None:
    """A damaged rollup there hides nothing that is still here."""
    key = next(key for key in archive.objects if f"rollup-{DAYS[1]}" in key)
    stored = archive.objects[key]
    archive.objects[key] = stored._replace(body=stored.body[:60] + bytes([stored.body[60] ^ 1]) + stored.body[61:])
    code, out, err = run("cat", f"s3://bucket/{PREFIX}{DAYS[1]}", *THERE)
    assert (code, out) == (3, text({key: body for key, body in bodies.items() if str(DAYS[1]) in key}))
    assert f"s3://archive/{key}" in err


def test_a_log_that_goes_there_meanwhile_is_not_missed(
    run: Run, store: MemoryStore, archive: MemoryStore, bodies: dict[str, bytes]
) -> None:
    """A worker rolls the day up into the destination, and deletes, after its logs were listed."""
    done: list[str] = []

    def race(step: str, key: str) -> None:
        if step == "fetch" and parse_log_key(key) and not done:
            done.append(key)
            roll(store, archive, 3, delete=True)

    store.before = race
    of_day = {key: body for key, body in bodies.items() if key.startswith(f"{PREFIX}{DAYS[3]}")}
    code, out, _ = run("cat", f"s3://bucket/{PREFIX}{DAYS[3]}", *THERE)
    assert done
    assert (code, out) == (0, text(of_day))


@pytest.mark.parametrize("lists_so", [True, False])
def test_an_archived_rollup_hides_no_other(
    run: Run, store: MemoryStore, bodies: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, lists_so: bool
) -> None:
    """It is named; the logs of the day that are elsewhere come out, also one asked for by its name.

    Rollups in the archive tiers of Intelligent-Tiering list like any other.
    """
    early = next(key for key in store.objects if parse_rollup_key(key))
    store.archive(early)
    if not lists_so:
        list_page = store.list_page

        def listed(prefix: str, *rest: str, **more: int) -> Page:
            page = list_page(prefix, *rest, **more)  # type: ignore[arg-type]
            return replace(page, objects=[entry._replace(archived=False) for entry in page.objects])

        monkeypatch.setattr(store, "list_page", listed)
    left = {key: body for key, body in bodies.items() if f"{DAYS[2]}" in key and int(key[-16:], 16) > 5}
    code, out, err = run("cat", f"s3://bucket/{PREFIX}{DAYS[2]}", *THERE)
    assert (code, out) == (3, text(left))
    assert early in err
    for key, body in left.items():
        for source in ("s3://bucket/", f"s3://bucket/{PREFIX}{DAYS[2]}"):
            code, out, err = run("cat", source, *THERE, "--member", key.rpartition("/")[2])
            assert (code, out) == (3, body.decode())
