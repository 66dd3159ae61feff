"""From text to a formula. The grammar of terms is formulaic's; it sees numbers, operators and names of our own only.

Each factor is cut out of the text, parsed by `expressions`, and stands before formulaic's parser as a plain name. So
nothing of a formula is evaluated, by it or by us.
"""

import re
from collections.abc import Sequence
from typing import Any

from streamreg.design.formula.expressions import Call, Expression, Name, expression, names
from streamreg.design.formula.value import Formula, Term
from streamreg.errors import MissingExtra, UsageError
from streamreg.sources.filters.syntax import shown

_MOST_TERMS = 20_000
_DEEPEST = 40
_CLOSES = {"(": ")", "[": "]", "{": "}"}
_NAME = "_factor{}_"


def parse(text: str, columns: Sequence[str] | None = None) -> Formula:
    """Parse a formula such as ``"log(y) ~ x + C(carrier):distance + poly(age, 3) - 1 | plane"``.

    Parameters
    ----------
    text : str
    columns : sequence of str, optional
        What ``.`` stands for: all of these that the target and the absorbed part do not name. Without them, a formula
        with a dot is returned with `dot` set and without terms, to be parsed again.

    Raises
    ------
    UsageError
        The text is no formula, or holds anything but columns, numbers, operators and known functions.
    MissingExtra
        formulaic is not installed.
    """
    if not isinstance(text, str):
        raise UsageError(f"a formula is a text such as 'y ~ x + C(g)', and this is of type {type(text).__name__}")
    try:
        left, right, absorbed = _parts(text)
        target = None if left is None else _target(left)
        absorb = () if absorbed is None else _absorbed(absorbed)
        used = {*(() if target is None else names(target)), *(name for part in absorb for name in part)}
        others = None if columns is None else [name for name in columns if name not in used]
        found = _terms(right, others)
    except UsageError as error:
        raise type(error)(
            str(error) if isinstance(error, MissingExtra) else f"formula {shown(text)}: {error}"
        ) from None
    if found is None:
        return Formula(text, target, True, (), absorb, dot=True)
    intercept, terms = found
    return Formula(text, target, intercept, terms, absorb)


def _parts(text: str) -> tuple[str | None, str, str | None]:
    """Return what is left of ``~``, what is right of it, and what comes after ``|``."""
    cuts: dict[str, list[int]] = {"~": [], "|": []}
    opened: list[str] = []
    quote = ""
    for place, char in enumerate(text):
        if quote:
            quote = "" if char == quote and (quote == "`" or text[place - 1] != "\\") else quote
        elif char in "`'\"":
            quote = char
        elif char in _CLOSES:
            opened.append(_CLOSES[char])
            if len(opened) > _DEEPEST:
                raise UsageError(f"brackets are nested more than {_DEEPEST} deep")
        elif char in _CLOSES.values():
            if not opened or opened.pop() != char:
                raise UsageError(f"{char} at place {place} closes no bracket")
        elif char in cuts and not opened:
            cuts[char].append(place)
    if opened or quote:
        raise UsageError(f"{(quote or opened[-1])} is missing at its end")
    if len(cuts["~"]) > 1 or len(cuts["|"]) > 1:
        raise UsageError("one ~ and one | at most; instrumental variables are written sr.IV('y ~ a + [b ~ z]')")
    bar = cuts["|"][0] if cuts["|"] else len(text)
    tilde = cuts["~"][0] if cuts["~"] else -1
    if tilde > bar:
        raise UsageError("~ comes before |")
    left = text[:tilde].strip() if tilde > 0 else ""
    return left or None, text[tilde + 1 : bar].strip(), text[bar + 1 :].strip() if cuts["|"] else None


def _target(text: str) -> Expression:
    found = expression(text)
    plain = isinstance(found, Name) or (isinstance(found, Call) and found.function.isalnum())
    if not plain or (isinstance(found, Call) and found.function in ("C", "i", "poly", "bs", "cr")):
        raise UsageError(f"the target is one column or function of columns, as in log(y) or I(a + b), not {text!r}")
    return found


def _absorbed(text: str) -> tuple[tuple[str, ...], ...]:
    """Return the columns of ``f1 + f2^f3``."""
    return tuple(dict.fromkeys(tuple(map(_column, _split(part, "^"))) for part in _split(text, "+")))


def _split(text: str, sign: str) -> list[str]:
    """Split a text at signs that do not stand between backticks."""
    return [piece.strip() for piece in re.split(rf"\{sign}(?=(?:[^`]*`[^`]*`)*[^`]*$)", text)]


def _column(text: str) -> str:
    if re.fullmatch(r"`[^`]+`", text):
        return text[1:-1]
    if re.fullmatch(r"[^\W\d][\w.]*", text):
        return text
    raise UsageError(f"after | come columns, as in f1 + f2^f3, and not {text!r}")


def _terms(text: str, columns: Sequence[str] | None) -> tuple[bool, tuple[Term, ...]] | None:
    """Return whether there is an intercept, and the terms; None where a dot cannot be told yet."""
    if not text:
        raise UsageError("there is nothing to the right of ~; write 1 for the intercept alone")
    tokenize, parser, syntax = _formulaic()
    place: dict[str, str] = {}
    factors: dict[str, Expression] = {}

    def known(factor: Expression) -> str:
        name = place.setdefault(
            factor.text if isinstance(factor, Name) else f" {factor.text}", _NAME.format(len(place))
        )
        factors[name] = factor
        return name

    pieces = []
    try:
        for token in tokenize(text):
            kind, piece = token.kind.value, token.token
            if kind == "python":
                if text[token.source_start] == "{":
                    raise UsageError(f"{{{piece}}} is not allowed: write I({piece})")
                piece = known(expression(piece))
            elif kind == "name":
                piece = known(Name(piece))
            elif kind == "value" and piece == ".":
                if columns is None:
                    return None
            elif kind == "value" and not re.fullmatch(r"\d+\.?\d*|\.\d+", piece):
                raise UsageError(f"{piece} is no factor; a constant scales a term, as in 2:x")
            pieces.append(piece)
        plain = " ".join(pieces)
        _require_few(parser.get_ast(plain), 1 if columns is None else len(columns))
        context = {"__formulaic_variables_available__": [known(Name(column)) for column in columns or ()]}
        found = parser.get_terms(plain, context=context)
    except syntax as error:
        message = re.sub(r"\x1b\[[\d;]*m|[⧚⧛]", "", str(error)).split("\n")[0]
        back = {name: key.strip() for key, name in place.items()}
        raise UsageError(re.sub(_NAME.format(r"\d+"), lambda m: back.get(m[0], m[0]), message)) from None
    except UsageError:
        raise
    except (RecursionError, MemoryError):
        raise UsageError("it is too deeply nested") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):  # of formulaic, for nonsense
        raise UsageError("it cannot be read; write it as in 'y ~ a + b'") from None
    return _sorted([[(f.expr, f.eval_method.value == "literal") for f in term.factors] for term in found.root], factors)


def _sorted(found: list[list[tuple[str, bool]]], factors: dict[str, Expression]) -> tuple[bool, tuple[Term, ...]]:
    intercept, terms = False, []
    for term in found:
        scale = 1.0
        for value in (float(text) for text, literal in term if literal):
            scale *= value
        parts = tuple(factors[text] for text, literal in term if not literal)
        if not parts:
            intercept = True
        else:
            terms.append(Term(parts, scale))
    return intercept, tuple(sorted(terms, key=lambda term: len(term.factors)))


def _require_few(tree: Any, columns: int) -> None:
    """Refuse what would multiply out to too many terms, before that is done."""
    counts: dict[int, int] = {}
    todo = [tree]
    while todo:
        node = todo[-1]
        inner = [arg for arg in getattr(node, "args", ())]
        waiting = [arg for arg in inner if hasattr(arg, "operator") and id(arg) not in counts]
        if waiting:
            todo.extend(waiting)
            continue
        todo.pop()
        if not hasattr(node, "operator"):
            continue
        sizes = [counts.get(id(arg), 1) for arg in inner]
        sign = node.operator.symbol
        if sign == ".":
            size = columns
        elif len(sizes) < 2:
            size = sum(sizes)
        elif sign in ("**", "^"):
            power = getattr(inner[1], "token", "")
            if not power.isdigit() or int(power) < 1:
                raise UsageError("the power of terms is a whole number from 1 on; of a column, write I(x**2)")
            if sizes[0] == 1 and int(power) > 1:
                raise UsageError("a power of one term is that term; for the square of a column write I(x**2)")
            size = sizes[0] ** min(int(power), 64)
        elif sign == ":":
            size = sizes[0] * sizes[1]
        elif sign in ("*", "/", "in"):
            size = sizes[0] + sizes[1] + sizes[0] * sizes[1]
        else:
            size = sum(sizes)
        if size > _MOST_TERMS:
            raise UsageError(f"it multiplies out to more than {_MOST_TERMS:,} terms")
        counts[id(node)] = size


def _formulaic() -> tuple[Any, Any, type[Exception]]:
    """Return formulaic's tokenizer, a parser of right-hand sides, and its exception."""
    try:
        from formulaic.errors import FormulaicError
        from formulaic.parser import DefaultFormulaParser
        from formulaic.parser.algos.tokenize import tokenize
    except ImportError:
        raise MissingExtra("formulas need formulaic; install it with: pip install 'streamreg[tables]'") from None
    return tokenize, DefaultFormulaParser(feature_flags=DefaultFormulaParser.FeatureFlags.NONE), FormulaicError
