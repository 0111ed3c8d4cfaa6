"""A change put into the functions that are alive already, which spares a mutant the time to import everything anew."""

from __future__ import annotations

import ast
import gc
import inspect
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType

Place = tuple[str, int]
"""A function's qualified name, and the line where its code begins."""
Functions = dict[Place, list[FunctionType]]
"""Of one file, those that are alive."""


def living(package: Path) -> dict[str, Functions]:
    """The functions of a package that are alive now, by the path of their file."""
    found: dict[str, Functions] = defaultdict(lambda: defaultdict(list))
    frozen = gc.get_freeze_count()
    gc.unfreeze()  # as the tests are when they are collected: frozen objects are not told of
    for function in gc.get_objects():
        if isinstance(function, FunctionType) and function.__code__.co_filename.startswith(f"{package}/"):
            code = function.__code__
            found[code.co_filename][code.co_qualname, code.co_firstlineno].append(function)
    if frozen:
        gc.freeze()
    return found


def graft(functions: Functions, before: ast.Module, after: ast.Module) -> bool:
    """Give living functions of a file the code that they have in its changed module.

    False where that does not make the mutant: the change is in what runs on import only, as constants and class bodies
    do, or it is not clear which function it is in.
    """
    old, new = compile(before, "", "exec"), compile(after, "", "exec")
    if list(_on_import(old)) != list(_on_import(new)):
        return False
    then, now = dict(_functions(old)), dict(_functions(new))
    alive = {place: functions.get(place, []) for place in now if then.get(place) != now[place]}
    missing = any(not found and "<locals>" not in name for (name, _), found in alive.items())
    unclear = any(len({function.__code__ for function in found}) > 1 for found in alive.values())
    if not any(alive.values()) or missing or unclear:
        return False
    try:
        for place, found in alive.items():
            for function in found:
                function.__code__ = now[place].replace(co_filename=function.__code__.co_filename)
    except ValueError:  # it has more or fewer variables from outside
        return False
    return True


def _functions(code: CodeType) -> Iterator[tuple[Place, CodeType]]:
    """The functions of a module: those inside of others, too, for they may have been made already."""
    for inner in _inside(code):
        if inner.co_flags & inspect.CO_OPTIMIZED:
            yield (inner.co_qualname, inner.co_firstlineno), inner
        yield from _functions(inner)


def _on_import(code: CodeType) -> Iterator[tuple[object, ...]]:
    """What a module and the bodies of its classes do, but for what is in functions."""
    yield code.co_code, code.co_names, [each for each in code.co_consts if not isinstance(each, CodeType)]
    for inner in _inside(code):
        if not inner.co_flags & inspect.CO_OPTIMIZED:
            yield from _on_import(inner)


def _inside(code: CodeType) -> list[CodeType]:
    return [each for each in code.co_consts if isinstance(each, CodeType)]
