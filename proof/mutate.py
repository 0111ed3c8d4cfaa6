"""Break the program one place at a time and see whether the tests notice.

    .venv/bin/python -m proof.mutate                           every line, broken in one way
    .venv/bin/python -m proof.mutate --all                     every line, in every way this knows
    .venv/bin/python -m proof.mutate --sample 6                of all changes, six to each file
    .venv/bin/python -m proof.mutate rollup/verify.py reading  one file, or one folder
    .venv/bin/python -m proof.mutate --part 2/3                every third change, from the second on

Each mutant is a copy of `src` in a temporary directory with one change in one file. The quick unit tests that guard the
file and call the function that was changed run on it, the quickest first, until one fails. What no test notices is
printed as SURVIVED, with the change. Survivors that are known to be harmless stand, with the reason, in
docs/evidence/reliability.md.
"""

from __future__ import annotations

import argparse
import ast
import atexit
import compileall
import json
import math
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from random import Random
from typing import NamedTuple, NoReturn

import boto3  # noqa: F401 - as are the others, for the children
import pycurl  # noqa: F401
import pytest
import zlib_ng  # noqa: F401
from proof.callers import Callers, CallNoter, FirstFailure, Only
from proof.changes import Change, changes, function_at

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "s3_log_roller"
TIMEOUT_SECONDS = 300
TIMEOUT_CPU_SECONDS = 120
"""A mutant that takes so long is noticed: it goes on for ever."""
MAX_BYTES = 3 << 30
QUICK = "not slow and not heavy"
BROKEN = [
    "rolling",
    "rollup",
    "reading",
    "aws/s3",
    "aws/sqs.py",
    "aws_lambda",
    "store.py",
    "log_keys.py",
    "children.py",
]
"""Folders and files of the package: what decides about logs, and what says how they are."""
GUARDED_ELSEWHERE = {
    "rollup": ["tests/unit/rolling"],
    "reading": ["tests/unit/cli/test_reading_commands.py"],
    "aws/s3": ["tests/unit/fuzz/test_corpus.py"],
    "children.py": ["tests/unit/rolling/test_processes.py"],
}
"""Tests beside those in the folder of tests/unit that mirrors the file's own."""
GUARD_THESE_ONLY = {"test_processes.py": ["rolling/processes.py", "children.py"]}
"""Tests that start processes and take long."""


class Unbroken(NamedTuple):
    """What was learned from a run of some tests on the unchanged package."""

    failing: str | None
    callers: Callers


def noticing_test(file: str, change: Change) -> str | None:
    """The test that fails, or does not end, on the changed file; None if all is well.

    Those tests are run that call the function that was changed. Where none does, or the change is in no function, all.
    """
    line, _, module = change
    tests = guards(file)
    function = function_at((PACKAGE / file).read_text(), line)
    wanted = unbroken(frozenset(tests)).callers.get(f"{file}:{function}")
    with tempfile.TemporaryDirectory(prefix="mutant-") as directory:
        shutil.copytree(_compiled(), Path(directory) / PACKAGE.name, copy_function=os.link)
        mutant = Path(directory) / PACKAGE.name / file
        mutant.unlink()
        mutant.write_text(ast.unparse(module))
        if not wanted:
            return _failing_test(directory, tests, [])
        return _failing_test(directory, list(dict.fromkeys(test.partition("::")[0] for test in wanted)), [Only(wanted)])


@cache
def unbroken(tests: frozenset[str]) -> Unbroken:
    """Run those tests on the package as it is."""
    with tempfile.TemporaryDirectory(prefix="unbroken-") as directory:
        package, note = Path(directory) / PACKAGE.name, Path(directory) / "callers"
        shutil.copytree(_compiled(), package)
        compileall.compile_dir(package, quiet=2, force=True)  # where code objects say that they are
        failing = _failing_test(directory, sorted(tests), [CallNoter(package, note)], math.inf)
        return Unbroken(failing, json.loads(note.read_text()) if note.exists() else {})


@cache
def _compiled() -> Path:
    """A copy of the package with its bytecode, so that a mutant compiles one module only."""
    directory = tempfile.mkdtemp(prefix="mutants-")
    atexit.register(shutil.rmtree, directory)
    copied = shutil.copytree(PACKAGE, Path(directory) / PACKAGE.name)
    compileall.compile_dir(copied, quiet=2)
    return copied


def _failing_test(
    directory: str, tests: list[str], plugins: list[object], seconds: float = TIMEOUT_SECONDS
) -> str | None:
    """Run the tests on the package in that directory, in a child; the first that fails."""
    failed = Path(directory) / "failed"
    child = os.fork()  # with pytest and the libraries imported already: half the time of a new process
    if child == 0:
        _run_tests(directory, tests, [*plugins, FirstFailure(failed)])
    give_up_at = time.monotonic() + seconds
    while time.monotonic() < give_up_at:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return (failed.read_text() if failed.exists() else "(it died)") if status else None
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "(it hangs)"


def _run_tests(directory: str, tests: list[str], plugins: list[object]) -> NoReturn:
    """In the child: does not return."""
    with open(os.devnull, "w") as nowhere:
        for stream in (1, 2):
            os.dup2(nowhere.fileno(), stream)
    os.chdir(ROOT)
    resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))  # a loop that never ends may also grow
    resource.setrlimit(resource.RLIMIT_CPU, (TIMEOUT_CPU_SECONDS, TIMEOUT_CPU_SECONDS))
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(Path(directory) / "hypothesis")
    options = ["-x", "-q", "-p", "no:cacheprovider", "--tb=no", "-o", f"pythonpath={directory} .", "-m", QUICK]
    code = 1
    with suppress(BaseException):
        code = int(pytest.main([*options, *tests], plugins=plugins))
    os._exit(code != 0)


def files(wanted: Iterable[str]) -> list[str]:
    """The files to break, from names of files and folders."""
    found = []
    for name in wanted:
        path = PACKAGE / name
        modules = [path] if path.is_file() else sorted(path.glob("*.py"))
        found += [module.relative_to(PACKAGE).as_posix() for module in modules if module.stat().st_size > 100]
    return found


def guards(file: str) -> list[str]:
    """The tests that guard a file: its own, those of its package, and those that use it from elsewhere."""
    path = Path(file)
    folder = ROOT / "tests" / "unit" / path.parent
    own = folder / f"test_{path.stem}.py"
    package = sorted(folder.glob("test_*.py")) if path.parent != Path() else []
    named = [ROOT / test for key in (file, path.parent.as_posix()) for test in GUARDED_ELSEWHERE.get(key, [])]
    elsewhere = [test for one in named for test in (sorted(one.glob("test_*.py")) if one.is_dir() else [one])]
    ordered = [*([own] if own.exists() else []), *package, *elsewhere]
    fit = [test for test in ordered if file in GUARD_THESE_ONLY.get(test.name, [file])]
    return list(dict.fromkeys(str(test.relative_to(ROOT)) for test in fit))


def chosen(file: str, *, every_change: bool, sample: int | None) -> list[Change]:
    """The changes to try: one to a line, or all of them, or so many of them all, drawn for each file anew."""
    found = list(changes((PACKAGE / file).read_text()))
    if sample is not None:
        return sorted(Random(file).sample(found, min(sample, len(found))), key=lambda change: change[0])
    return found if every_change else list({change[0]: change for change in reversed(found)}.values())[::-1]


def break_file(file: str, tried: list[Change], *, verbose: bool) -> int:
    """Try the changes to one file; returns how many survived."""
    if (failing := unbroken(frozenset(guards(file))).failing) is not None:
        print(f"{file}: not tried, for without any change {failing} fails", flush=True)
        return 1
    survived = 0
    for number, change in enumerate(tried, 1):
        line, what, _ = change
        print(f"{file}:{line} {number}", end="\r", file=sys.stderr, flush=True)
        test = noticing_test(file, change)
        if test is None:
            survived += 1
            print(f"SURVIVED {file}:{line} {what}", flush=True)
        elif verbose:
            print(f"noticed {file}:{line} {what}: {test}", flush=True)
    print(f"{file}: {len(tried) - survived} of {len(tried)} changes noticed", flush=True)
    return survived


def main() -> int:
    """Try the changes; the exit code tells whether any survived."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", default=BROKEN)
    parser.add_argument("--all", action="store_true", help="in every way, not in one")
    parser.add_argument("--sample", type=int, help="so many changes a file, drawn of all there are")
    parser.add_argument("--part", default="1/1")
    parser.add_argument("--verbose", action="store_true", help="name the test that notices a change")
    arguments = parser.parse_args()
    sys.dont_write_bytecode = False  # pytest compiles each test once, not once for every change
    part, _, parts = arguments.part.partition("/")
    survived = 0
    for file in files(arguments.files):
        tried = chosen(file, every_change=arguments.all, sample=arguments.sample)
        survived += break_file(file, tried[int(part) - 1 :: int(parts)], verbose=arguments.verbose)
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
