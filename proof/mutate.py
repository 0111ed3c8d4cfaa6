"""Break the program one place at a time and see whether the tests notice.

    .venv/bin/python -m proof.mutate                           every line, broken in one way
    .venv/bin/python -m proof.mutate --all                     every line, in every way this knows
    .venv/bin/python -m proof.mutate rollup/verify.py reading  one file, or one folder
    .venv/bin/python -m proof.mutate --part 2/3                every third change, from the second on

Each mutant is a copy of `src` in a temporary directory with one change in one file; the tests that guard the file run
on it until one fails. What no test notices is printed as SURVIVED, with the change. Survivors that are known to be
harmless stand, with the reason, in docs/evidence/reliability.md.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import boto3  # noqa: F401 - as are the others, for the children
import pycurl  # noqa: F401
import pytest
import zlib_ng  # noqa: F401

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "s3_log_roller"
TIMEOUT_SECONDS = 60
MAX_BYTES = 3 << 30
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
OTHER_COMPARISON = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
OTHER_OPERATOR = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr, ast.Mod: ast.Add,
}  # fmt: skip
Change = tuple[int, str, ast.Module]
"""Line, what was done, the module so changed."""


def changes(source: str) -> Iterator[Change]:
    """Every single change to a module, but for the figures that stand at its top, which tune and do not decide."""
    tree = ast.parse(source)
    tuning = {id(node) for figure in tree.body if isinstance(figure, ast.AnnAssign) for node in ast.walk(figure)}
    places = [
        (number, node)
        for number, node in enumerate(ast.walk(tree))
        if hasattr(node, "lineno") and id(node) not in tuning
    ]
    for number, node in places:
        if _is_beside_the_point(node):
            continue
        for what in _ways(node):
            changed = copy.deepcopy(tree)
            target = list(ast.walk(changed))[number]
            text = ast.unparse(node).splitlines()[0]
            if _apply(changed, target, what):
                yield node.lineno, f"{what}: {text}", ast.fix_missing_locations(changed)


def _is_beside_the_point(node: ast.AST) -> bool:
    """Docstrings, type hints, imports and what only goes to the log."""
    if isinstance(node, ast.Import | ast.ImportFrom | ast.JoinedStr | ast.FormattedValue | ast.AnnAssign):
        return True
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return True  # a type
    if isinstance(node, ast.Assign) and node.col_offset == 0:
        return True  # names of types and the logger
    if isinstance(node, ast.Expr):
        if isinstance(node.value, ast.Constant):
            return True
        return ast.unparse(node).startswith("logger.")
    return False


def _ways(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Expr | ast.Assign | ast.AugAssign | ast.Raise | ast.Return | ast.Delete):
        yield "left out"
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        yield "negated"
    if isinstance(node, ast.comprehension):
        yield "unfiltered"
    if isinstance(node, ast.Compare) and type(node.ops[0]) in OTHER_COMPARISON:
        yield "compared otherwise"
    if isinstance(node, ast.BoolOp):
        yield "and/or"
    if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in OTHER_OPERATOR:
        yield "computed otherwise"
    if isinstance(node, ast.Continue | ast.Break):
        yield "continue/break"
    if isinstance(node, ast.Constant) and type(node.value) in (bool, int):
        yield "other constant"
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "not dropped"


def _apply(tree: ast.Module, node: ast.AST, what: str) -> bool:
    if what == "left out":
        return _replace(tree, node, ast.Pass())
    if what == "negated":
        assert isinstance(node, ast.If | ast.While | ast.IfExp)
        node.test = ast.UnaryOp(ast.Not(), node.test)
    elif what == "compared otherwise":
        assert isinstance(node, ast.Compare)
        node.ops[0] = OTHER_COMPARISON[type(node.ops[0])]()
    elif what == "and/or":
        assert isinstance(node, ast.BoolOp)
        node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    elif what == "computed otherwise":
        assert isinstance(node, ast.BinOp | ast.AugAssign)
        node.op = OTHER_OPERATOR[type(node.op)]()
    elif what == "continue/break":
        return _replace(tree, node, ast.Break() if isinstance(node, ast.Continue) else ast.Continue())
    elif what == "other constant":
        assert isinstance(node, ast.Constant)
        node.value = not node.value if isinstance(node.value, bool) else int(node.value) + 1  # type: ignore[arg-type]
    elif what == "not dropped":
        assert isinstance(node, ast.UnaryOp)
        return _replace(tree, node, node.operand)
    else:
        return False
    return True


def _replace(tree: ast.Module, node: ast.AST, other: ast.AST) -> bool:
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is node:
                setattr(parent, name, other)
                return True
            if isinstance(value, list) and any(entry is node for entry in value):
                value[[entry is node for entry in value].index(True)] = other
                return True
    return False


def is_noticed(file: str, tests: list[str], module: ast.Module) -> bool:
    """Whether a test fails, or hangs, on the changed file."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as directory:
        shutil.copytree(PACKAGE, Path(directory) / PACKAGE.name)
        (Path(directory) / PACKAGE.name / file).write_text(ast.unparse(module))
        child = os.fork()  # with pytest and the libraries imported already: half the time of a new process
        if child == 0:
            _run_tests(directory, tests)
        give_up_at = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < give_up_at:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return status != 0
            time.sleep(0.02)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return True


def _run_tests(directory: str, tests: list[str]) -> NoReturn:
    """In the child: does not return."""
    with open(os.devnull, "w") as nowhere:
        for stream in (1, 2):
            os.dup2(nowhere.fileno(), stream)
    os.chdir(ROOT)
    resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))  # a loop that never ends may also grow
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(Path(directory) / "hypothesis")
    code = 1
    with suppress(BaseException):
        code = int(
            pytest.main(["-x", "-q", "-p", "no:cacheprovider", "--tb=no", "-o", f"pythonpath={directory} .", *tests])
        )
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
    elsewhere = [ROOT / test for key in (file, path.parent.as_posix()) for test in GUARDED_ELSEWHERE.get(key, [])]
    ordered = [*([own] if own.exists() else []), *package, *elsewhere]
    return list(dict.fromkeys(str(test.relative_to(ROOT)) for test in ordered))


def break_file(file: str, *, every_change: bool, part: int, parts: int) -> int:
    """Try the changes to one file; returns how many survived."""
    tests = guards(file)
    source = (PACKAGE / file).read_text()
    if is_noticed(file, tests, ast.parse(source)):
        sys.exit(f"{file}: the tests fail without any change")
    survived = total = 0
    tried: set[int] = set()
    for number, (line, what, module) in enumerate(changes(source)):
        if number % parts != part or (line in tried and not every_change):
            continue
        tried.add(line)
        total += 1
        print(f"{file}:{line} {total}", end="\r", file=sys.stderr, flush=True)
        if not is_noticed(file, tests, module):
            survived += 1
            print(f"SURVIVED {file}:{line} {what}", flush=True)
    print(f"{file}: {total - survived} of {total} changes noticed", flush=True)
    return survived


def main() -> int:
    """Try the changes; the exit code tells whether any survived."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", default=BROKEN)
    parser.add_argument("--all", action="store_true", help="in every way, not in one")
    parser.add_argument("--part", default="1/1")
    arguments = parser.parse_args()
    part, _, parts = arguments.part.partition("/")
    survived = sum(
        break_file(file, every_change=arguments.all, part=int(part) - 1, parts=int(parts))
        for file in files(arguments.files)
    )
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
