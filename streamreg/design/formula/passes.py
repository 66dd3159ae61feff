"""Learn what a formula needs to know of the rows, in as few passes as its terms allow."""

from collections.abc import Callable, Mapping

from streamreg.design.formula import learning
from streamreg.design.formula.coders import Category, Coder, Numeric
from streamreg.design.formula.encoder import FormulaEncoder, Product
from streamreg.design.formula.expressions import Call, Expression, Name, walk
from streamreg.design.formula.functions import SCALING
from streamreg.design.formula.grammar import parse
from streamreg.design.formula.profile import Inquiry, Need, Profile
from streamreg.design.formula.structure import parts
from streamreg.design.formula.value import Formula
from streamreg.errors import UsageError
from streamreg.sources.base import Schema

Profiled = Callable[[Inquiry], learning.Found]

MOST_COLUMNS = 20_000

WIDE = 5_000
"""Levels of a category above which its effects are eliminated, where the model can do that.

Its columns would take three matrices of 200 MB, and some 10 s on one core, whatever the rows.
"""


def learn(
    formula: Formula, schema: Schema, profiled: Profiled, label: str = "rows", *, eliminate: bool = False
) -> FormulaEncoder:
    """Learn levels, means and knots.

    Parameters
    ----------
    formula : Formula
    schema : Schema
        Types of the columns.
    profiled : callable
        Given an `Inquiry`, reads the rows once and returns the profiles. Called once for most formulas, not at all
        where nothing has to be known, and more often where one term that learns is within another one.

    label : str
        What messages call the rows.
    eliminate : bool
        Whether categories of more than `WIDE` levels are absorbed, in place of having columns.

    Raises
    ------
    NotFound
        A column is not there.
    UsageError
        The types of the columns do not allow a term, or there are too many columns.
    DataError
        A term cannot be learned, as `poly` of too few different values.
    """
    if formula.dot:
        formula = parse(formula.text, schema.names)
    for name in formula.columns:
        schema.require(name, label)
    if formula.target is not None:
        learning.check(formula.target, schema, label, number=True)
        if any(isinstance(part, Call) and part.function in SCALING for part in walk(formula.target)):
            raise UsageError(
                f"{label}: {formula.target.text} as the target: it would depend on the rows that are fitted"
            )
    for factor in formula.factors.values():
        learning.check(factor, schema, label)
    scalings, profiles = _learned(formula, schema, profiled)
    coders = tuple(learning.coder(factor, profiles, schema) for factor in formula.factors.values())
    place = {text: k for k, text in enumerate(formula.factors)}
    terms = {term: tuple(place[factor.text] for factor in term.factors) for term in formula.terms}
    wide = {term: _wide(coders[k[0]], schema) for term, k in terms.items() if eliminate and len(k) == 1}
    absorbed = tuple(dict.fromkeys(name for name in wide.values() if name))
    terms = {term: k for term, k in terms.items() if not wide.get(term)}
    spans = [coder.spans for coder in coders]
    made = parts([*terms.values()], spans, formula.intercept or bool(formula.absorb or absorbed))
    products = tuple(Product(part, term.scale) for term, some in zip(terms, made, strict=True) for part in some if part)
    explained = None if formula.target is None else Numeric(formula.target)
    stored = tuple(name for name in formula.columns if schema.numeric(name))
    encoder = FormulaEncoder(formula, coders, products, explained, stored, scalings, eliminated=absorbed)
    if encoder.width > MOST_COLUMNS:
        raise UsageError(
            f"{label}: {formula.text} has {encoder.width:,} columns, whose cross-products take "
            f"{8e-9 * encoder.width**2:,.0f} GB, and a regression has {MOST_COLUMNS:,} at most; absorb what has the "
            "most levels, as in 'y ~ x | plane', or 'y ~ x | plane^route' for an interaction"
        )
    return encoder


def _wide(coder: Coder, schema: Schema) -> str:
    """Return the column of a category with more than `WIDE` levels, all of which are in the rows; empty for others."""
    if not isinstance(coder, Category) or not isinstance(coder.inner, Name) or len(coder.levels) <= WIDE:
        return ""
    given = isinstance(coder.factor, Call) and coder.factor.option("levels") is not None
    return "" if given or schema.dtype(coder.inner.text).kind not in "TMiub" else coder.inner.text


def _learned(
    formula: Formula, schema: Schema, profiled: Profiled
) -> tuple[dict[str, learning.Scaling], learning.Found]:
    """Return what scalings and factors have to know, by as few passes as nesting allows."""
    scalings: dict[str, learning.Scaling] = {}
    found: learning.Found = {}
    calls = {
        part.text: part
        for factor in formula.factors.values()
        for part in walk(factor)
        if isinstance(part, Call) and part.function in SCALING
    }
    while True:
        wanted: learning.Wanted = {}

        for text, call in calls.items():
            if text not in scalings and _known(call.args[0], scalings):
                _want(wanted, call.args[0], learning.scaling_need(call))
        for factor in formula.factors.values():
            for key, (expression, need) in learning.needs(factor, schema).items():
                if _known(expression, scalings) and not _serves(found.get(key), need):
                    _want(wanted, expression, need)
        if not wanted:
            return scalings, found
        found.update(profiled(Inquiry(wanted, formula.columns, dict(scalings), schema.zones)))
        for text, call in calls.items():
            if text not in scalings and _known(call.args[0], scalings):
                scalings[text] = learning.scaling(call, found[call.args[0].text, False])


def _want(wanted: learning.Wanted, expression: Expression, need: Need) -> None:
    key = (expression.text, need.levels)
    wanted[key] = (expression, need.joined(wanted[key][1]) if key in wanted else need)


def _known(expression: Expression, scalings: Mapping[str, learning.Scaling]) -> bool:
    inner = (part for part in walk(expression) if isinstance(part, Call) and part.function in SCALING)
    return all(part.text in scalings for part in inner)


def _serves(profile: Profile | None, need: Need) -> bool:
    return profile is not None and profile.need.joined(need) == profile.need
