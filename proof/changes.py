"""Every way to break a module in one place, that `proof.mutate` knows."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator

OTHER_COMPARISON = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
OTHER_OPERATOR = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr, ast.Mod: ast.Add,
}  # fmt: skip
GUARDS = {"frozen", "slots", "kw_only", "strict", "usedforsecurity"}
"""Arguments that only guard against programming errors; the last is a word for FIPS builds of OpenSSL."""
Change = tuple[int, str, ast.Module]
"""Line, what was done, the module so changed."""


def changes(source: str) -> Iterator[Change]:
    """Every single change to a module, but for `GUARDS` and the figures at its top, which tune and do not decide."""
    tree = ast.parse(source)
    tuning = {id(node) for figure in tree.body if isinstance(figure, ast.AnnAssign) for node in ast.walk(figure)}
    tuning |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg in GUARDS}
    places = [(number, node) for number, node in enumerate(ast.walk(tree)) if _line(node) and id(node) not in tuning]
    for number, node in places:
        if _is_beside_the_point(node):
            continue
        for what in _ways(node):
            changed = copy.deepcopy(tree)
            target = list(ast.walk(changed))[number]
            text = ast.unparse(node).splitlines()[0]
            if _apply(changed, target, what) and _is_program(ast.fix_missing_locations(changed)):
                yield _line(node), f"{what}: {text}", changed


def _is_program(module: ast.Module) -> bool:
    try:
        compile(module, "", "exec")
    except SyntaxError:  # as where a `nonlocal` lost its variable
        return False
    return True


def _line(node: ast.AST) -> int:
    place = node.target if isinstance(node, ast.comprehension) else node
    return getattr(place, "lineno", 0)


def _is_beside_the_point(node: ast.AST) -> bool:
    """Docstrings, type hints, imports and what only goes to the log."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return True
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
    elif what == "unfiltered":
        assert isinstance(node, ast.comprehension)
        if not node.ifs:
            return False
        node.ifs = []
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


def function_at(source: str, line: int) -> int | None:
    """Where the code of the innermost function begins that has that line, as code objects tell it; None outside."""
    begins = None
    for node in ast.walk(ast.parse(source)):  # outer ones come first
        if isinstance(node, ast.FunctionDef) and node.lineno <= line <= (node.end_lineno or node.lineno):
            begins = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return begins
