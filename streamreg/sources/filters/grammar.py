"""From the text of a filter to a condition. What is not listed here is refused by name; nothing is run."""

import ast
import re

from streamreg.errors import UsageError
from streamreg.sources.filters.comparisons import TURNED, Among, Comparison, Flag
from streamreg.sources.filters.conditions import Condition, Joined, Missing, Not
from streamreg.sources.filters.operands import Arithmetic, Constant, Named, Operand
from streamreg.sources.filters.syntax import ARITHMETIC, COMPARISONS, PIECES, Reader, parsed, shown

_NO_VALUE = ("missing", "null")
_LONGEST = 100_000
_LINES = re.compile(rf"({PIECES.pattern})|\s*\n\s*")
_HINTS = (
    (r"(?<![<>=!])=(?!=)", "equality is written =="),
    (r"<>", "write !="),
    (r"&|\|", "write and, or"),
    (r"\b(AND|OR|NOT|IN|IS|NULL|BETWEEN|LIKE)\b", "and, or, not, in, is missing are written small"),
    (r"\bbetween\b", "write 1 <= x <= 5"),
    (r"\blike\b", "write carrier in ('AA', 'UA')"),
)


def parse(text: str) -> Condition:
    """Parse a filter such as ``"year >= 2015 and distance > 0 and carrier in ('AA', 'UA')"``.

    Raises
    ------
    UsageError
        It is no condition, or holds more than comparisons, ``in``, ``is missing``, ``and``, ``or``, ``not`` and
        arithmetic.
    """
    if not isinstance(text, str) or not text.strip():
        raise UsageError(f"where={text!r}; write a condition, as in where=\"year >= 2015 and carrier in ('AA', 'UA')\"")
    if len(text) > _LONGEST:
        raise UsageError(f"where: {shown(text)} has {len(text):,} characters, and {_LONGEST:,} are the most")
    plain = PIECES.sub(lambda found: "''" if found[0][0] != "`" else "x", text)
    if re.search(r"''\s*''", plain):
        raise UsageError(f'where: {shown(text)}: two texts follow each other; write "it\'s" for a quote in a text')
    if "#" in plain:
        raise UsageError(f"where: {shown(text)} has a #; a name that has one stands in backquotes")
    try:
        found: Condition = parsed(_LINES.sub(lambda m: m[1] or " ", text), _Reader, "a condition")
    except UsageError as error:
        hint = next((f"; {hint}" for sign, hint in _HINTS if re.search(sign, plain)), "")
        raise UsageError(f"where: {error}{hint}") from None
    if not found.columns:
        raise UsageError(f"where: {shown(text)} names no column, so that all rows pass or none")
    return found


class _Reader(Reader):
    __slots__ = ()

    def read(self, node: ast.expr) -> Condition:
        match node:
            case ast.BoolOp(operator, parts):
                return Joined(isinstance(operator, ast.And), tuple(map(self.read, parts)))
            case ast.UnaryOp(ast.Not(), inner):
                return Not(self.read(inner))
            case ast.Compare(left, signs, rights):
                pairs = zip([left, *rights], signs, rights, strict=False)
                tests = tuple(self._test(a, sign, b) for a, sign, b in pairs)
                return tests[0] if len(tests) == 1 else Joined(True, tests)
            case ast.Name():
                return Flag(Named(self.name(node)))
        raise self.refused(node, "is no condition: a filter compares columns, as in x > 3")

    def _test(self, left: ast.expr, sign: ast.cmpop, right: ast.expr) -> Condition:
        match sign, right:
            case ((ast.Is() | ast.IsNot()), (ast.Name(id) | ast.Constant(None as id))) if id in (*_NO_VALUE, None):
                found = Missing(self._operand(left))
                return found if isinstance(sign, ast.Is) else Not(found)
            case ((ast.Is() | ast.IsNot()), _):
                raise self.refused(right, "cannot follow 'is'; write x is missing, x is not missing, or ==")
            case ((ast.In() | ast.NotIn()), _):
                among = Among(self._operand(left), self._values(right))
                return among if isinstance(sign, ast.In) else Not(among)
        first, second, text = self._operand(left), self._operand(right), COMPARISONS[type(sign)]
        if isinstance(first, Constant):
            first, second, text = second, first, TURNED[text]
        if isinstance(first, Constant):
            raise self.refused(left, "is compared with a constant, and is one itself")
        return Comparison(first, text, second)

    def _values(self, node: ast.expr) -> tuple[Constant, ...]:
        items = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else [node]
        found = tuple(self._constant(item) for item in items)
        if not found:
            raise self.refused(node, "is empty; name one value at least")
        return found

    def _operand(self, node: ast.expr) -> Operand:
        match node:
            case ast.Name():
                return Named(self.name(node))
            case ast.Constant() | ast.UnaryOp(ast.USub() | ast.UAdd(), ast.Constant()):
                return self._constant(node)
            case ast.UnaryOp(ast.USub(), inner):
                return Arithmetic("-", Constant(0), self._operand(inner), self.text(node))
            case ast.BinOp(left, ast.Pow(), right):
                raise self.refused(node, "is not allowed in a filter; write a product, as in x * x")
            case ast.BinOp(left, operator, right) if type(operator) in ARITHMETIC:
                return Arithmetic(
                    ARITHMETIC[type(operator)], self._operand(left), self._operand(right), self.text(node)
                )
        raise self.refused(node, "is not allowed: a filter holds columns, numbers, texts and + - * / %")

    def _constant(self, node: ast.expr) -> Constant:
        value = self.constant(node)
        if isinstance(value, str):
            return Constant(value, "text")
        if value is None or not abs(value) < 1e308:
            raise self.refused(node, "is no number" if value is not None else "is no value; write x is missing")
        return Constant(value)
