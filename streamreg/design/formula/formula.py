"""A formula as a value: what to explain, by which terms, and which factors to absorb."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from streamreg.design.design import Design
from streamreg.design.formula.reading import Factor, factors
from streamreg.errors import UsageError, nearest
from streamreg.sources.base import Schema, Source

Term = tuple[Factor, ...]


@dataclass(frozen=True, slots=True)
class Formula:
    """What a formula says of a table.

    Attributes
    ----------
    text : str
    target : Factor or None
        None: the source's target.
    intercept : bool
    terms : tuple of tuples of Factor
        In the order in which they make columns; the factors of a term are multiplied.
    absorbed : tuple of tuples of str
        Columns whose levels each have an intercept of their own, which is not shown: several make one factor together.
    aliases : tuple of (str, str)
        What stands in the factors for columns whose names are no Python names, and these names.
    """

    text: str
    target: Factor | None
    intercept: bool
    terms: tuple[Term, ...]
    absorbed: tuple[tuple[str, ...], ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()

    def design(self, source: Source, target: str | None = None, keys: tuple[str, ...] = ()) -> Design:
        """Return what is read of a source, before anything is learned of it: columns in place of terms."""
        names = dict(self.aliases)
        read = [names.get(name, name) for term in self.terms for factor in term for name in factor.columns]
        own = None if self.target is None else names.get(self.target.text, self.target.text)
        aim = target or own or source.roles.target
        columns = tuple(dict.fromkeys((*read, *sum(self.absorbed, ()))))
        return Design(source.label, columns, aim, source.roles.weights, keys=keys)


def parse(text: str, schema: Schema, others: Sequence[str] = ()) -> Formula:
    """Read a formula in Wilkinson's notation, as R, patsy and formulaic have it.

    Parameters
    ----------
    text : str
        ``"y ~ a + log(b) + C(g):a - 1 | firm + year"``. Names that are no Python names stand in backticks.
    schema : Schema
        Of the table; text columns are categories, and ``.`` means all columns that are not named otherwise.
    others : sequence of str
        Columns that ``.`` leaves out: weights, groups.

    Raises
    ------
    UsageError
        It cannot be read; holds a function that is not known or code; or formulaic is not installed.
    NotFound
        It names a column that is not in the table.
    """
    if not isinstance(text, str) or not text.strip():
        raise UsageError(f"formula: {text!r} is no formula; write one as in 'y ~ a + b'")
    plain, names = _named(text)
    body, *parts = _split(plain)
    if len(parts) > 1:
        raise UsageError(f"formula: {text!r} has several '|'; what is absorbed stands after one, as in 'y ~ a | f + g'")
    left, tilde, _ = body.rpartition("~")
    aim = left.strip() if tilde else ""
    target = _single(aim, schema, names) if aim else None
    used = {names.get(name, name) for name in target.columns} if target is not None else set()
    free = [name for name in schema.names if name not in used and name not in others]
    found = _terms(body if tilde else f"~ {body}", text, free, names)
    intercept = ("1",) in found
    terms: list[Term] = []
    for parts_of in found:
        if parts_of == ("1",):
            continue
        term = tuple(f for part in parts_of for f in factors(part, schema, names))
        terms.append(term)
    absorbed = _absorbed(parts, text, names)
    read = [name for factor in (*([] if target is None else [target]), *sum(terms, ())) for name in factor.columns]
    for name in (*read, *sum(absorbed, ())):
        schema.require(names.get(name, name), "formula")
    ordered = sorted(dict.fromkeys(terms), key=len)  # main effects first, as R and formulaic have them
    return Formula(text, target, intercept, tuple(ordered), absorbed, tuple(names.items()))


def _terms(body: str, text: str, free: Sequence[str], names: dict[str, str]) -> list[tuple[str, ...]]:
    """Return the terms right of the tilde, each a tuple of the texts of its factors."""
    try:
        from formulaic.errors import FormulaicError
        from formulaic.parser import DefaultFormulaParser
    except ImportError:
        raise UsageError("formulas are read with formulaic: pip install 'streamreg[tables]'") from None
    stands = {column: mark for mark, column in names.items()}
    for k, name in enumerate(free):
        if not name.isidentifier() and name not in stands:
            names[f"_all{k}_"] = name
            stands[name] = f"_all{k}_"
    context = {"__formulaic_variables_available__": [stands.get(name, name) for name in free]}
    try:
        found = DefaultFormulaParser().get_terms(body.replace("\n", " "), context=context)
    except (FormulaicError, SyntaxError, ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise UsageError(f"formula: {text!r} cannot be read: {first}") from None
    right = found.rhs if hasattr(found, "rhs") else found
    if not hasattr(right, "__iter__") or not all(hasattr(term, "factors") for term in right):
        raise UsageError(f"formula: {text!r} has several parts where one is expected; write it as in 'y ~ a + b'")
    return [tuple(factor.expr for factor in term.factors) for term in right]


def _named(text: str) -> tuple[str, dict[str, str]]:
    """Replace names in backticks by names that Python knows."""
    names: dict[str, str] = {}

    def mark(match: re.Match[str]) -> str:
        name = match.group(1)
        for known, column in names.items():
            if column == name:
                return known
        names[f"_named{len(names)}_"] = name
        return f"_named{len(names) - 1}_"

    return re.sub(r"`([^`]+)`", mark, text), names


def _split(text: str) -> list[str]:
    """Cut a formula at each ``|`` outside of brackets and quotes."""
    out, depth, quote = [""], 0, ""
    for sign in text:
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        else:
            depth += (sign in "([{") - (sign in ")]}")
        if sign == "|" and not depth and not quote:
            out.append("")
        else:
            out[-1] += sign
    return out


def _single(text: str, schema: Schema, names: dict[str, str]) -> Factor:
    """Return what stands left of the tilde: one column or expression of columns."""
    term = factors(text, schema, names)
    if len(term) != 1 or len(getattr(term[0], "names", ("", ""))) != 1:
        raise UsageError(f"formula: {text!r} is to be explained, and it is not one number a row")
    return term[0]


def _absorbed(parts: Sequence[str], text: str, names: dict[str, str]) -> tuple[tuple[str, ...], ...]:
    """Return what stands after ``|``: factors joined by ``+``, each a column or several joined by ``^`` or ``:``."""
    if not parts:
        return ()
    found = []
    for piece in parts[0].split("+"):
        columns = tuple(names.get(c.strip(), c.strip()) for c in re.split(r"[\^:]", piece))
        for column in columns:
            if not column.isidentifier() and column not in names.values():
                raise UsageError(f"formula: {piece.strip()!r} in {text!r} is no column to absorb{nearest(column, ())}")
        found.append(columns)
    return tuple(found)
