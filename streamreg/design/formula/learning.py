"""From factors to coders: what each has to know of the rows, and what it makes of it."""

from fractions import Fraction
from itertools import pairwise
from math import isqrt

import numpy as np

from streamreg.design.formula.coders import Category, Coder, Interacted, Numeric
from streamreg.design.formula.codings import Coding
from streamreg.design.formula.expressions import Call, Expression, Name
from streamreg.design.formula.functions import DATES, TERMS
from streamreg.design.formula.levels import Levels
from streamreg.design.formula.profile import Key, Need, Profile
from streamreg.design.formula.smooth import BSpline, NaturalSpline, Polynomial, Powers
from streamreg.errors import DataError, UsageError
from streamreg.sources.base import Schema

Wanted = dict[Key, tuple[Expression, Need]]
Found = dict[Key, Profile]
Scaling = tuple[float, float, float]

_FINEST = Fraction(1, 2**60)


def check(factor: Expression, schema: Schema, label: str, number: bool = False) -> None:
    """Refuse what the types of the columns do not allow, before any row is read.

    Raises
    ------
    NotFound
        A column is not there.
    UsageError
        Text or dates where numbers belong, or a function of several columns within another one.
    """
    if isinstance(factor, Name):
        kind = schema.dtype(schema.require(factor.text, label)).kind
        if kind == "O" or (kind not in "TM" and not schema.numeric(factor.text)):
            raise UsageError(f"{label}: column {factor.text!r} is of a type that a formula cannot use")
        if kind == "T" and number:
            raise UsageError(
                f"{label}: column {factor.text!r} holds text, and a number is needed; as a term of its own "
                "it is a category"
            )
        return
    if not isinstance(factor, Call):
        return
    if number and factor.function in TERMS:
        raise UsageError(f"{label}: {factor.text} is a factor of its own, not a part of a number")
    if factor.function in DATES:
        inner = factor.args[0]
        check(inner, schema, label)
        if not isinstance(inner, Name) or schema.dtype(inner.text).kind != "M":
            raise UsageError(f"{label}: {factor.text}: {inner.text} is no column of dates")
        return
    categories = {"C": 1, "i": 2}.get(factor.function, 0)
    for k, arg in enumerate(factor.args):
        check(arg, schema, label, number=k >= categories)


def scaling_need(call: Call) -> Need:
    """Return what center(x) and its like must know of x."""
    return Need(powers=2 if _divides(call) else 1)


def scaling(call: Call, found: Profile) -> Scaling:
    """Return what is subtracted, as (high, low), and what is divided by."""
    centred = call.function == "center" or bool(call.option("center"))
    centre = found.mean if centred else Fraction(0)
    divisor = 1.0
    if _divides(call):
        divisor = float(np.sqrt(float(found.variance(call.option("ddof"), centre))))
        if divisor == 0.0:
            raise DataError(f"{call.text}: {found.text} does not vary, and cannot be divided by its standard deviation")
    return (*_halves(centre), divisor)


def _divides(call: Call) -> bool:
    return call.function != "center" and bool(call.option("scale" if call.function == "scale" else "rescale"))


def needs(factor: Expression, schema: Schema) -> Wanted:
    """Return what must be known of the rows to code a factor."""
    if is_text(factor, schema):
        return {(factor.text, True): (factor, Need(levels=True))}
    if not isinstance(factor, Call) or factor.function not in TERMS:
        return {}
    inner = factor.args[0]
    if factor.function == "C":
        return {} if factor.option("levels") is not None else {(inner.text, True): (inner, Need(levels=True))}
    if factor.function == "i":
        wanted = [inner, *(arg for arg in factor.args[1:] if is_category(factor, arg, schema))]
        return {(arg.text, True): (arg, Need(levels=True)) for arg in wanted}
    if factor.function == "poly":
        degree = _degree(factor, 1, 20)
        return {} if factor.option("raw") else {(inner.text, False): (inner, Need(powers=2 * degree))}
    bounded = factor.option("lower_bound") is not None and factor.option("upper_bound") is not None
    counted = factor.option("df") is not None
    return {} if bounded and not counted else {(inner.text, False): (inner, Need(counts=counted))}


def is_text(factor: Expression, schema: Schema) -> bool:
    """Return whether a factor is a column of text, and so a category by itself."""
    return isinstance(factor, Name) and schema.dtype(factor.text).kind == "T"


def is_category(call: Call, second: Expression, schema: Schema) -> bool:
    """Return whether the second argument of i() is a category: text, truth values, or a level of it is named."""
    named = call.option("ref2") is not None
    return named or (isinstance(second, Name) and schema.dtype(second.text).kind in "Tb")


def coder(factor: Expression, found: Found, schema: Schema) -> Coder:
    """Return the coder of a factor, from the profiles that it `needs`."""
    if is_text(factor, schema):
        return Category(factor, factor, _levels(factor, found, None, factor.text), Coding())
    if not isinstance(factor, Call) or factor.function not in TERMS:
        return Numeric(factor)
    inner = factor.args[0]
    if factor.function == "C":
        levels = _levels(inner, found, factor.option("levels"), factor.text)
        coding = Coding(*(factor.option("contrasts") or ("Treatment", None)))
        coding.base(levels, factor.text)
        return Category(factor, inner, levels, coding, not factor.option("spans_intercept"))
    if factor.function == "i":
        return _interacted(factor, found, schema)
    if factor.function == "poly":
        degree = _degree(factor, 1, 20)
        return Powers(factor, degree) if factor.option("raw") else _polynomial(factor, found[inner.text, False], degree)
    return _spline(factor, found.get((inner.text, False)))


def _levels(inner: Expression, found: Found, given: tuple[object, ...] | None, text: str) -> Levels:
    if given is not None:
        return Levels.of((), given, text)
    profile = found[inner.text, True]
    values, _ = profile.levels()
    if not values:
        raise DataError(f"{text}: all values are missing")
    return Levels.of(values, None, text, profile.counts.dtype.startswith("M8"))


def _interacted(call: Call, found: Found, schema: Schema) -> Interacted:
    first, second = _levels(call.args[0], found, None, call.text), None
    if len(call.args) > 1 and is_category(call, call.args[1], schema):
        second = _levels(call.args[1], found, None, call.text)
    refs = [call.option("ref"), call.option("ref2")]
    places = [
        0 if ref is None or levels is None else levels.place(ref, call.text)
        for ref, levels in zip(refs, (first, second), strict=True)
    ]
    return Interacted(call, first, places[0], refs[0] is not None, second, places[1], refs[1] is not None)


def _degree(call: Call, least: int, most: int) -> int:
    degree = call.option("degree")
    if not isinstance(degree, int) or not least <= degree <= most:
        raise UsageError(f"{call.text}: the degree is a whole number from {least} to {most}")
    return degree


def _polynomial(call: Call, found: Profile, degree: int) -> Polynomial:
    """Return the orthogonal polynomials of the values that were found, from their moments by exact fractions."""
    found.require_values()
    moments = [found.moment(k) for k in range(2 * degree + 1)]
    before, here = [Fraction(0)], [Fraction(1)]
    length, alphas, betas, norms = moments[0], [], [Fraction(0)], []
    for k in range(degree):
        alpha = _inner(here, here, moments, 1) / length
        after = _minus(_minus([Fraction(0), *here], here, alpha), before, betas[-1])
        before, here = here, after
        shorter, length = length, _inner(here, here, moments)
        size = sum((abs(a * b * moments[i + j]) for i, a in enumerate(here) for j, b in enumerate(here)), Fraction(0))
        if length <= size * _FINEST:
            raise DataError(
                f"{call.text}: {found.text} has too few different values for degree {k + 1}, or they differ by too "
                f"little for their size; lower the degree, or write poly(center({found.text}), {degree})"
            )
        alphas.append(alpha + Fraction(found.origin))
        betas.append(length / shorter)
        norms.append(length)
    return Polynomial(
        call,
        tuple(map(_halves, alphas)),
        tuple(map(float, betas[:-1])),
        tuple(float(_root(norm)) for norm in norms),
    )


def _inner(p: list[Fraction], q: list[Fraction], moments: list[Fraction], power: int = 0) -> Fraction:
    return sum((a * b * moments[i + j + power] for i, a in enumerate(p) for j, b in enumerate(q)), Fraction(0))


def _minus(p: list[Fraction], q: list[Fraction], factor: Fraction) -> list[Fraction]:
    return [a - factor * (q[k] if k < len(q) else 0) for k, a in enumerate(p)]


def _root(value: Fraction) -> Fraction:
    """Return the square root to more than 106 bits."""
    shift = 2 * max(0, 128 + (value.denominator.bit_length() - value.numerator.bit_length()) // 2)
    return Fraction(isqrt((value.numerator << shift) // value.denominator), 1 << (shift // 2))


def _halves(value: Fraction) -> tuple[float, float]:
    """Return a fraction as a double-double."""
    high = float(value)
    return high, float(value - Fraction(high))


def _spline(call: Call, found: Profile | None) -> Coder:
    """Return splines whose knots are given, or quantiles of the values that were found."""
    natural = call.function != "bs"
    df, knots = call.option("df"), call.option("knots")
    if df is not None and knots is not None:
        raise UsageError(f"{call.text}: give df or knots, not both")
    bounds = [call.option("lower_bound"), call.option("upper_bound")]
    if found is not None:
        found.require_values()
        bounds = [b if b is not None else e for b, e in zip(bounds, (found.low, found.high), strict=True)]
    lower, upper = map(float, bounds)
    how = ("raise", "clip", "na", "zero", "extend")
    if call.option("extrapolation") not in how:
        raise UsageError(f"{call.text}: extrapolation is one of {', '.join(how)}")
    inner = _knots(call, df, knots, found, natural)
    every = (lower, *inner, upper)
    if not all(a < b for a, b in pairwise(every)) and (natural or lower >= upper):
        raise DataError(f"{call.text}: the knots {', '.join(f'{k:g}' for k in every)} do not increase; choose fewer")
    if list(every) != sorted(every):
        raise DataError(f"{call.text}: knots lie between the bounds {lower:g} and {upper:g}")
    return NaturalSpline(call, every) if natural else BSpline(call, every)


def _knots(
    call: Call, df: int | None, knots: tuple[float, ...] | None, found: Profile | None, natural: bool
) -> tuple[float, ...]:
    if knots is not None:
        if not all(isinstance(k, int | float) and not isinstance(k, bool) for k in knots):
            raise UsageError(f"{call.text}: knots are numbers")
        return tuple(sorted(map(float, knots)))
    fewest = 2 if natural else _degree(call, 0, 20) + bool(call.option("include_intercept"))
    if df is None:
        if natural:
            raise UsageError(f"{call.text}: say how many columns, as in cr(x, df=4), or give the knots")
        return ()
    if not fewest <= df <= 200 or (natural and df < 3):
        raise UsageError(f"{call.text}: df is a whole number from {max(fewest, 3 if natural else 0)} to 200")
    assert found is not None
    count = df - fewest
    fractions = [float(q) for q in np.linspace(0, 1, count + 2)[1:-1]]
    return found.quantiles(fractions, distinct=natural)
