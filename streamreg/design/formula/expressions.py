"""Arithmetic in a formula: checked against a list of what is allowed, and computed by walking its syntax tree.

Nothing of the text is ever given to Python to run.
"""

import ast
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreg.design.columns import missing_integers
from streamreg.design.formula import dates
from streamreg.errors import DataError, UsageError, nearest
from streamreg.sources.chunk import Coded, Column

Float = NDArray[np.float64]

FUNCTIONS: dict[str, Callable[[Float], Float]] = {
    "I": lambda x: x,
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "log1p": np.log1p,
    "exp": np.exp,
    "expm1": np.expm1,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "tanh": np.tanh,
    "floor": np.floor,
    "ceil": np.ceil,
}
"""Functions of numbers. `I` keeps arithmetic apart from the signs of a formula."""

_BINARY: dict[type, Any] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
    ast.BitXor: np.power,  # as formulas write powers
    ast.Mod: np.mod,
}
_COMPARE: dict[type, Any] = {
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}


@lru_cache(maxsize=1024)
def tree(text: str) -> ast.expr:
    """Return the syntax tree of an expression, which holds nothing but arithmetic on columns.

    Raises
    ------
    UsageError
        It is not written as an expression, or holds what is not on the list.
    """
    try:
        node = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise UsageError(f"formula: {text!r} is no expression; write it as in log(x) or I(x**2)") from None
    _check(node, text)
    return node


def _check(node: ast.expr, text: str) -> None:
    match node:
        case ast.Name():
            return
        case ast.Constant(value=int() | float()):
            return
        case ast.UnaryOp(op=ast.UAdd() | ast.USub(), operand=inner):
            _check(inner, text)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            _check(left, text)
            _check(right, text)
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARE:
            _check(left, text)
            _check(right, text)
        case ast.Call(func=ast.Name(id=name), args=[ast.Name()], keywords=[]) if name in dates.PARTS:
            return
        case ast.Call(func=ast.Name(id=name), args=[inner], keywords=[]) if name in FUNCTIONS:
            _check(inner, text)
        case ast.Call(func=ast.Name(id=name)):
            known = (*FUNCTIONS, *dates.PARTS)
            if name in known:
                raise UsageError(f"formula: {name}() in {text!r} takes one argument")
            raise UsageError(f"formula: no function {name!r} in {text!r}{nearest(name, known)}")
        case _:
            raise UsageError(
                f"formula: {ast.unparse(node)!r} in {text!r} is not allowed; a term is made of columns, numbers, "
                f"+ - * / ** %, comparisons, and the functions {', '.join((*FUNCTIONS, *dates.PARTS))}"
            )


def columns(text: str) -> tuple[str, ...]:
    """Return the columns that an expression reads, in the order in which they are named."""
    called = {id(node.func) for node in ast.walk(tree(text)) if isinstance(node, ast.Call)}
    names = [n for n in ast.walk(tree(text)) if isinstance(n, ast.Name) and id(n) not in called]
    names.sort(key=lambda n: (n.lineno, n.col_offset))
    return tuple(dict.fromkeys(n.id for n in names))


def value(text: str, table: Mapping[str, Column], zones: Mapping[str, str], label: str, start: int) -> Float:
    """Return the values of an expression, shape (m,); NaN where a value that it reads is missing.

    Raises
    ------
    DataError
        A column is text, or a value is outside a function's range, with its row.
    """
    given = {name: numbers(table[name], name, zones, label) for name in columns(text)}
    with np.errstate(all="ignore"):
        found = _value(tree(text), given, table, zones, label)
    m = len(next(iter(table.values())))
    out = np.broadcast_to(np.asarray(found, np.float64), (m,))
    known = np.isfinite(np.vstack(list(given.values()))).all(axis=0) if given else np.ones(m, bool)
    if (bad := known & ~np.isfinite(out)).any():
        row = int(np.argmax(bad))
        where = ", ".join(f"{name} = {values[row]:.17g}" for name, values in given.items())
        raise DataError(
            f"{label}, row {start + row:,} (from 0): {text} is {'no number' if np.isnan(out[row]) else 'infinite'} "
            f"where {where}; leave such rows out, or choose another term"
        )
    return out


def numbers(values: Column, name: str, zones: Mapping[str, str], label: str) -> Float:
    """Return a column as float64, NaN where a value is missing; dates are days since 1970-01-01 in UTC.

    Raises
    ------
    DataError
        The column is text.
    """
    if isinstance(values, Coded):
        raise DataError(f"{label}: column {name!r} is text; a formula takes it as a category: {name}, or C({name})")
    if values.dtype.kind == "M":
        return dates.days(values)
    if values.dtype.kind not in "fiub":
        raise DataError(f"{label}: column {name!r} is of type {values.dtype}, which a formula cannot use")
    out = values.astype(np.float64)
    absent = missing_integers(values)
    if absent.any():
        out[absent] = np.nan
    return out


def _value(node: ast.expr, given: Mapping[str, Float], table: Mapping[str, Column], zones: Any, label: str) -> Any:
    match node:
        case ast.Name(id=name):
            return given[name]
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.UnaryOp(op=op, operand=inner):
            found = _value(inner, given, table, zones, label)
            return -found if isinstance(op, ast.USub) else found
        case ast.BinOp(left=left, op=op, right=right):
            sides = (_value(side, given, table, zones, label) for side in (left, right))
            return _BINARY[type(op)](*sides)
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            a, b = (_value(side, given, table, zones, label) for side in (left, right))
            return np.where(np.isnan(a) | np.isnan(b), np.nan, _COMPARE[type(op)](a, b).astype(np.float64))
        case ast.Call(func=ast.Name(id=name), args=[ast.Name(id=column)]) if name in dates.PARTS:
            return dates.part(name, table[column], column, zones.get(column), label)
        case ast.Call(func=ast.Name(id=name), args=[inner]):
            return FUNCTIONS[name](_value(inner, given, table, zones, label))
    raise AssertionError(f"{ast.dump(node)} is not allowed")  # _check let nothing else through
