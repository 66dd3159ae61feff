"""From the text of a factor to what it means; the functions that a formula knows besides arithmetic."""

import ast
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from streamreg.design.formula import expressions
from streamreg.design.formula.category import Category, Coding
from streamreg.design.formula.levels import Level
from streamreg.design.formula.numeric import Number, Polynomial, Scaled, Spline
from streamreg.errors import UsageError, nearest
from streamreg.sources.base import Schema

Factor: TypeAlias = Number | Category | Scaled | Polynomial | Spline

KINDS: dict[str, type[Any]] = {
    "number": Number,
    "category": Category,
    "scaled": Scaled,
    "polynomial": Polynomial,
    "spline": Spline,
}
"""What is stored with a fit names a factor by these."""

Names: TypeAlias = Mapping[str, str]

_CODINGS: dict[str, Coding] = {"Treatment": "treatment", "treatment": "treatment", "Sum": "sum", "sum": "sum",
                               "OneHot": "onehot"}  # fmt: skip


def factors(text: str, schema: Schema, names: Mapping[str, str]) -> tuple[Factor, ...]:
    """Return what a factor of a term means: one factor, or the two of ``i(year, treated)``.

    Parameters
    ----------
    text : str
        Names that are no Python names stand as in `names`.
    schema : Schema
        Tells which columns are text.
    names : mapping of str to str
        Column names by what stands for them in the text.

    Raises
    ------
    UsageError
        A function that is not known, or arguments that it does not take.
    """
    if text.isidentifier():
        return (_column(text, schema, names),)
    node = _parsed(text)
    called = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
    if called in _READERS:
        assert isinstance(node, ast.Call)
        return _READERS[called](text, node, schema, names)
    return (Number(text),) if expressions.columns(text) else _refuse_constant(text)


def _refuse_constant(text: str) -> tuple[Factor, ...]:
    raise UsageError(f"formula: {text!r} names no column")


def _parsed(text: str) -> ast.expr:
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise UsageError(f"formula: {text!r} is no expression; write it as in log(x) or I(x**2)") from None


def _column(name: str, schema: Schema, names: Mapping[str, str]) -> Factor:
    column = names.get(name, name)
    if column in schema.names and schema.dtype(column).kind == "T":
        return Category(name, name)
    return Number(name)


def _category(text: str, node: ast.Call, schema: Schema, names: Names) -> tuple[Factor, ...]:
    column, coding = _arguments(text, node, ("column", "contrasts"), 1)
    if coding is None:
        return (Category(text, _expression(column)),)
    inside = coding.args + [k.value for k in coding.keywords] if isinstance(coding, ast.Call) else []
    named = coding.func if isinstance(coding, ast.Call) else coding
    label = named.attr if isinstance(named, ast.Attribute) else named.id if isinstance(named, ast.Name) else ""
    owner = named.value if isinstance(named, ast.Attribute) else None
    if label not in _CODINGS or (owner is not None and not (isinstance(owner, ast.Name) and owner.id == "contr")):
        known = "Treatment, Treatment('reference'), Sum or OneHot"
        raise UsageError(f"formula: {ast.unparse(coding)!r} in {text!r} is no coding; it can be {known}")
    if len(inside) > 1 or (inside and _CODINGS[label] != "treatment"):
        raise UsageError(
            f"formula: {ast.unparse(coding)!r} in {text!r}: only Treatment takes a reference, and only one"
        )
    reference = _constant(text, inside[0]) if inside else None
    return (Category(text, _expression(column), _CODINGS[label], reference),)


def _indicators(text: str, node: ast.Call, schema: Schema, names: Names) -> tuple[Factor, ...]:
    column, other, reference = _arguments(text, node, ("factor_var", "var", "ref"), 1)
    name = _name(text, column)
    if reference is None:
        first = Category(f"i({name})", name)
    else:
        level = _constant(text, reference)
        first = Category(f"i({name}, ref={level!r})", name, "reference", level)
    return (first,) if other is None else (first, _column(_name(text, other), schema, names))


def _centre(text: str, node: ast.Call, schema: Schema, names: Names) -> tuple[Factor, ...]:
    (inner,) = _arguments(text, node, ("x",), 1)
    return (Scaled(text, _expression(inner), False),)


def _scale(text: str, node: ast.Call, schema: Schema, names: Names) -> tuple[Factor, ...]:
    (inner,) = _arguments(text, node, ("x",), 1)
    return (Scaled(text, _expression(inner), True),)


def _polynomial(text: str, node: ast.Call, schema: Schema, names: Names) -> tuple[Factor, ...]:
    inner, degree, raw = _arguments(text, node, ("x", "degree", "raw"), 1)
    return (Polynomial(text, _expression(inner), _count(text, degree, 1), _flag(text, raw)),)


def _spline(text: str, node: ast.Call, schema: Schema, names: Names) -> tuple[Factor, ...]:
    inner, df, degree, intercept = _arguments(text, node, ("x", "df", "degree", "include_intercept"), 2)
    columns, power, whole = _count(text, df, 0), _count(text, degree, 3), _flag(text, intercept)
    if columns < power + whole:
        raise UsageError(
            f"formula: df in {text!r} is {columns}; a spline of degree {power} has {power + whole} at least"
        )
    return (Spline(text, _expression(inner), columns, power, whole),)


_READERS: dict[str, Callable[[str, ast.Call, Schema, Names], tuple[Factor, ...]]] = {
    "C": _category,
    "i": _indicators,
    "center": _centre,
    "scale": _scale,
    "standardize": _scale,
    "poly": _polynomial,
    "bs": _spline,
}


def _arguments(text: str, node: ast.Call, names: tuple[str, ...], needed: int) -> list[Any]:
    """Return the arguments of a call by their names, None for those not given."""
    found: dict[str, Any] = dict(zip(names, node.args, strict=False))
    for keyword in node.keywords:
        if keyword.arg not in names or keyword.arg in found:
            raise UsageError(f"formula: {text!r} does not take {keyword.arg!r}{nearest(str(keyword.arg), names)}")
        found[keyword.arg] = keyword.value
    if len(node.args) > len(names) or any(name not in found for name in names[:needed]):
        raise UsageError(
            f"formula: {text!r} takes {', '.join(names[:needed])}, and may have {', '.join(names[needed:])}"
        )
    return [found.get(name) for name in names]


def _expression(node: ast.expr) -> str:
    text = ast.unparse(node)
    expressions.tree(text)
    if not expressions.columns(text):
        _refuse_constant(text)
    return text


def _name(text: str, node: ast.expr) -> str:
    if not isinstance(node, ast.Name):
        raise UsageError(f"formula: {text!r} takes a column, not {ast.unparse(node)!r}")
    return node.id


def _constant(text: str, node: ast.expr) -> Level:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        node = ast.Constant(-node.operand.value) if isinstance(node.operand.value, int | float) else node
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str | int | float | bool):
        raise UsageError(f"formula: {ast.unparse(node)!r} in {text!r} is no level; write a number or a 'text'")
    return node.value


def _count(text: str, node: ast.expr | None, default: int) -> int:
    if node is None:
        return default
    value = node.value if isinstance(node, ast.Constant) else None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 1000:
        raise UsageError(f"formula: {ast.unparse(node)!r} in {text!r} is no whole number from 1 on")
    return value


def _flag(text: str, node: ast.expr | None) -> bool:
    value = node.value if isinstance(node, ast.Constant) else False if node is None else None
    if not isinstance(value, bool):
        raise UsageError(f"formula: {text!r} takes True or False there")
    return value
