"""Break the program one place at a time and see whether the tests notice.

    .venv/bin/python -m proof.mutate                           every line, broken in one way
    .venv/bin/python -m proof.mutate --all                     every line, in every way this knows
    .venv/bin/python -m proof.mutate --sample 6                of all changes, six to each file
    .venv/bin/python -m proof.mutate rollup/verify.py reading  one file, or one folder
    .venv/bin/python -m proof.mutate --part 2/3                every third change, from the second on
    .venv/bin/python -m proof.mutate rolling --tests tests/unit/rolling  with some of the tests
    .venv/bin/python -m proof.mutate --anew                    each mutant is imported anew
    .venv/bin/python -m proof.mutate --no-anew                 none is; those that would have to be are named

Each mutant is the program with one change in one file. Of the quick unit tests, those run on it that call the function
that was changed, the quickest first, until one fails. The tests are collected once, and each mutant is a child process
that puts the change into the functions that it finds. Where that cannot be done, and with `--anew` always, the tests
run on a copy of the package in a process that imports it. What no test notices is printed as SURVIVED, with the change.
Survivors that are known to be harmless stand, with the reason, in docs/evidence/mutants.md.
"""

from __future__ import annotations

import argparse
import ast
import compileall
import math
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from random import Random

from proof.callers import CallNoter, Noted, Only
from proof.changes import Change, changes, function_at
from proof.trying import NOT_GRAFTED, ROOT, Collected, failing_test

PACKAGE = ROOT / "src" / "s3_log_roller"
BROKEN = [
    "rolling",
    "rollup",
    "reading",
    "planning",
    "querying",
    "aws/s3",
    "aws/sqs.py",
    "aws_lambda",
    "store.py",
    "log_keys.py",
    "children.py",
]
"""Folders and files of the package: what decides about logs, and what says how they are."""
BESIDE_THE_POINT = ["docs", "demo", "prices", "proof"]
"""Folders of tests/unit that say nothing of what is broken."""
GUARDED_ELSEWHERE = {
    "reading": ["tests/unit/cli/test_reading_commands.py"],
    "children.py": ["tests/unit/rolling/test_processes.py"],
}
"""Tests beside those in the folder of tests/unit that mirrors the file's own."""
GUARD_THESE_ONLY = {"test_processes.py": ["rolling/processes.py", "children.py"]}
"""Tests that start processes and take long."""


class Mutants:
    """Makes mutants of the package as it is now, and finds the tests that notice them. A context manager."""

    def __init__(self, files: list[str], tests: list[str]) -> None:
        self._package = _compiled()
        self._sources = {file: (self._package / file).read_text() for file in files}
        self._noted = _noted(self._package, tests)
        self._collected = Collected(self._package, tests, files)

    @property
    def failing(self) -> list[str]:
        """The tests that fail without any change. They are not asked."""
        return self._noted.failing

    def __enter__(self) -> Mutants:
        return self

    def __exit__(self, *raised: object) -> None:
        self._collected.close()
        shutil.rmtree(self._package.parent, ignore_errors=True)

    def chosen(self, file: str, *, every_change: bool, sample: int | None) -> list[Change]:
        """The changes to try: one to a line, or all, or so many of them all, drawn for each file anew."""
        found = list(changes(self._sources[file]))
        if sample is not None:
            return sorted(Random(file).sample(found, min(sample, len(found))), key=lambda change: change[0])
        return found if every_change else list({change[0]: change for change in reversed(found)}.values())[::-1]

    def noticing_test(self, file: str, change: Change, *, anew: bool | None = None) -> str | None:
        """The test that fails, or does not end, on the changed file; None if all is well.

        Where no test of this process calls the function, or the change is in no function, all that guard the file run
        on a package that is imported anew. That is always done with `anew`; where it is False, `NOT_GRAFTED` comes
        back instead.
        """
        line, _, module = change
        source = self._sources[file]
        wanted = self._noted.callers.get(f"{file}:{function_at(source, line)}")
        if wanted and not anew:
            noticed = self._collected.failing_test(file, ast.parse(source), module, wanted)
            if noticed != NOT_GRAFTED:
                return noticed
        if anew is False:
            return NOT_GRAFTED
        with tempfile.TemporaryDirectory(prefix="mutant-") as name:
            directory = Path(name)
            shutil.copytree(self._package, directory / PACKAGE.name, copy_function=os.link)
            mutant = directory / PACKAGE.name / file
            mutant.unlink()
            mutant.write_text(ast.unparse(module))
            if not wanted:
                return failing_test(directory, [*guards(file), *(f"--deselect={test}" for test in self.failing)], [])
            files_of = dict.fromkeys(test.partition("::")[0] for test in wanted)
            return failing_test(directory, list(files_of), [Only(wanted)])


def _compiled() -> Path:
    """A copy of the package with its bytecode, so that a mutant compiles one module only."""
    directory = Path(tempfile.mkdtemp(prefix="mutants-"))
    copied = shutil.copytree(PACKAGE, directory / PACKAGE.name)
    compileall.compile_dir(copied, quiet=2, force=True)  # where code objects say that they are
    return copied


def _noted(package: Path, tests: list[str]) -> Noted:
    """Run tests on the package as it is."""
    note = package.parent / "noted"
    failing_test(package.parent, tests, [CallNoter(package, note)], math.inf)
    return Noted.read(note)


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
    ordered = [*([own] if own.exists() else []), *package, *named]
    fit = [test for test in ordered if file in GUARD_THESE_ONLY.get(test.name, [file])]
    return list(dict.fromkeys(str(test.relative_to(ROOT)) for test in fit))


def quick_tests() -> list[str]:
    """The folders and files of tests/unit that are asked."""
    found = sorted((ROOT / "tests" / "unit").iterdir())
    fit = [path for path in found if path.name.startswith("test_") or (path.is_dir() and any(path.rglob("test_*.py")))]
    return [str(path.relative_to(ROOT)) for path in fit if path.name not in BESIDE_THE_POINT]


def break_file(mutants: Mutants, file: str, tried: list[Change], *, anew: bool | None, verbose: bool) -> int:
    """Try the changes to one file; returns how many survived."""
    survived = not_tried = 0
    started = time.monotonic()
    for number, change in enumerate(tried, 1):
        line, what, _ = change
        print(f"{file}:{line} {number}", end="\r", file=sys.stderr, flush=True)
        test = mutants.noticing_test(file, change, anew=anew)
        if test == NOT_GRAFTED:
            not_tried += 1
            print(f"NOT TRIED {file}:{line} {what}", flush=True)
        elif test is None:
            survived += 1
            print(f"SURVIVED {file}:{line} {what}", flush=True)
        elif verbose:
            print(f"noticed {file}:{line} {what}: {test}", flush=True)
    seconds = time.monotonic() - started
    count = len(tried) - not_tried
    print(f"{file}: {count - survived} of {count} changes noticed, in {seconds:.0f} s", flush=True)
    return survived


def main() -> int:
    """Try the changes; the exit code tells whether any survived."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", default=BROKEN)
    parser.add_argument("--all", action="store_true", help="in every way, not in one")
    parser.add_argument("--sample", type=int, help="so many changes a file, drawn of all there are")
    parser.add_argument("--part", default="1/1")
    parser.add_argument("--tests", nargs="+", default=quick_tests(), help="folders and files of tests to ask")
    parser.add_argument(
        "--anew", action=argparse.BooleanOptionalAction, help="import the package for each change, which takes long"
    )
    parser.add_argument("--verbose", action="store_true", help="name the test that notices a change")
    arguments = parser.parse_args()
    sys.dont_write_bytecode = False  # pytest compiles each test once, not once for every change
    part, _, parts = arguments.part.partition("/")
    survived = 0
    wanted = files(arguments.files)
    with Mutants(wanted, arguments.tests) as mutants:
        for test in mutants.failing:
            print(f"{test} is not asked, for it fails without any change", flush=True)
        for file in wanted:
            tried = mutants.chosen(file, every_change=arguments.all, sample=arguments.sample)
            tried = tried[int(part) - 1 :: int(parts)]
            survived += break_file(mutants, file, tried, anew=arguments.anew, verbose=arguments.verbose)
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
