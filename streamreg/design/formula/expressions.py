"""What a factor of a formula can be: columns, numbers, and calls of a fixed list of functions. Nothing is run.

The text is parsed with `ast` against an allow-list; what is not on it is refused by name.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from streamreg.design.formula.functions import CALLS, CODINGS, Option, Signature
from streamreg.errors import nearest
from streamreg.sources.filters.syntax import ARITHMETIC, COMPARISONS, Reader, parsed


@dataclass(frozen=True, slots=True)
class Name:
    """A column."""

    text: str


@dataclass(frozen=True, slots=True)
class Number:
    """A number."""

    value: float | int
    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """A function or an operator, its arguments and its options."""

    function: str
    args: "tuple[Expression, ...]"
    options: tuple[tuple[str, Option], ...]
    text: str

    def option(self, name: str) -> Option:
        """Return an option, as given or as it is by default."""
        given = dict(self.options)
        return given[name] if name in given else dict(CALLS[self.function].options)[name]


Expression: TypeAlias = Name | Number | Call


def expression(text: str) -> Expression:
    """Parse one factor.

    Raises
    ------
    UsageError
        It holds something else than columns, numbers, operators and the functions of `functions.CALLS`.
    """
    found: Expression = parsed(text, _Reader, "an expression", {"^": "**"})
    return found


def walk(found: Expression) -> "Iterator[Expression]":
    """Yield an expression and all in it, the outer ones first."""
    yield found
    if isinstance(found, Call):
        for arg in found.args:
            yield from walk(arg)


def names(found: Expression) -> Iterator[str]:
    """Yield the columns that an expression reads."""
    yield from (part.text for part in walk(found) if isinstance(part, Name))


class _Reader(Reader):
    __slots__ = ()

    def read(self, node: ast.expr) -> Expression:
        match node:
            case ast.Name():
                return Name(self.name(node))
            case ast.Constant() | ast.UnaryOp(ast.USub() | ast.UAdd(), ast.Constant()):
                value = self.constant(node)
                if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e308:
                    return Number(value, self.text(node))
                raise self.refused(node, "is no number")
            case ast.UnaryOp(ast.USub(), inner):
                return Call("-", (Number(0, "0"), self.read(inner)), (), self.text(node))
            case ast.UnaryOp(ast.UAdd(), inner):
                return self.read(inner)
            case ast.BinOp(left, operator, right) if type(operator) in ARITHMETIC:
                return Call(ARITHMETIC[type(operator)], (self.read(left), self.read(right)), (), self.text(node))
            case ast.Compare(left, [comparison], [right]) if type(comparison) in COMPARISONS:
                return Call(COMPARISONS[type(comparison)], (self.read(left), self.read(right)), (), self.text(node))
            case ast.Call():
                return self._call(node)
        raise self.refused(node, "is not allowed: a formula holds columns, numbers, operators and known functions")

    def _call(self, node: ast.Call) -> Call:
        match node.func:
            case ast.Name(id) if not self.marks.fullmatch(id):
                name = id
            case ast.Attribute(ast.Name("np"), attribute) if attribute in CALLS and CALLS[attribute].numpy:
                name = attribute
            case _:
                raise self.refused(node, "is not allowed: functions go by their name alone, as in log(x)")
        if name not in CALLS:
            raise self.refused(node, f"calls {name}, which formulas do not know{nearest(name, CALLS)}")
        return self._bound(name, CALLS[name], node)

    def _bound(self, name: str, signature: Signature, node: ast.Call) -> Call:
        """Tell a call's arguments from its options, and check both."""
        args, given = list(node.args), {}
        count = signature.args
        if signature.second is not None and len(args) > count:
            count += 1
        for option, value in zip([key for key, _ in signature.options], args[count:], strict=False):
            given[option] = value
        for keyword in node.keywords:
            if keyword.arg == signature.second and len(args) == signature.args == count:
                args, count = [*args, keyword.value], count + 1
            elif keyword.arg is None or keyword.arg in given or keyword.arg not in dict(signature.options):
                known = ", ".join(dict(signature.options)) or "no options"
                raise self.refused(node, f"{name} takes {known}, and not {keyword.arg or '**'}")
            else:
                given[keyword.arg] = keyword.value
        if len(args) < count or len(args) > count + len(signature.options):
            raise self.refused(node, f"{name} takes {signature.args} column or expression, then options")
        options = tuple((key, self._option(name, key, value)) for key, value in given.items())
        return Call(name, tuple(self.read(arg) for arg in args[:count]), options, self.text(node))

    def _option(self, function: str, key: str, node: ast.expr) -> Option:
        if key == "contrasts":
            return self._coding(node)
        if isinstance(node, ast.List | ast.Tuple):
            value: Option = tuple(self.constant(item) for item in node.elts)
        else:
            value = self.constant(node)
        if not CALLS[function].takes(key, value):
            raise self.refused(node, f"cannot be {key} of {function}")
        return value

    def _coding(self, node: ast.expr) -> Option:
        """Return (coding, reference)."""
        call, given, keywords = node, [], set()
        if isinstance(node, ast.Call):
            call, given = node.func, [*node.args, *(keyword.value for keyword in node.keywords)]
            keywords = {keyword.arg for keyword in node.keywords}
        right = isinstance(call, ast.Name) and call.id in CODINGS and not keywords - {"reference", "base"}
        if not isinstance(call, ast.Name) or not right or len(given) > (call.id == "Treatment"):
            known = ", ".join(CODINGS)
            raise self.refused(node, f"is no coding of categories; there is {known}, as in Treatment(reference='a')")
        return (call.id, self.constant(given[0]) if given else None)
